"""What a data set holds, before anything is trained on it: classes, counts, sizes, splits."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nni_blockqnn.common.messages import alternatives, did_you_mean, shown
from nni_blockqnn.common.plugins import is_reference
from nni_blockqnn.data._image_folder import FILES
from nni_blockqnn.data._imbalance import is_imbalanced
from nni_blockqnn.data._layout import Splits, find_splits
from nni_blockqnn.data._survey import survey
from nni_blockqnn.data.errors import DataError
from nni_blockqnn.data.load import DATASETS, load_dataset

IMAGE_FOLDER = "image-folder"
NAMED = tuple(name for name in DATASETS if name != IMAGE_FOLDER)


@dataclass(frozen=True)
class Outline:
    """What a data set holds.

    Attributes:
        dataset: a trial's ``--dataset``.
        data_dir: a trial's ``--data-dir``, absolute.
        class_names: a name for each output of a network.
        counts: training images of each class, of another task than classification of all together;
            those to be held out for validation are included.
        validated: images of the data set's own validation set, 0 if it has none.
        tested: images of the test set.
        image_shape: (channels, height, width); of a folder, the medians of some images.
        notes: lines on how the data was read.
        fingerprint: SHA-256 that changes with the files of a folder, or the labels of other data.
        task: that it was looked at for; default "classification".
        is_resized: whether its images are brought to a network's input; default False: they have
            one size.
    """

    dataset: str
    data_dir: Path
    class_names: tuple[str, ...]
    counts: tuple[int, ...]
    validated: int
    tested: int
    image_shape: tuple[int, int, int]
    notes: tuple[str, ...]
    fingerprint: str
    task: str = "classification"
    is_resized: bool = False

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @property
    def trained(self) -> int:
        """Training images, those to be held out included."""
        return sum(self.counts)

    @property
    def is_imbalanced(self) -> bool:
        """Whether the largest class has so many more images that an accuracy says little."""
        return len(self.counts) > 1 and is_imbalanced(self.counts)


def outline_of(data: str, data_dir: Path) -> Outline:
    """The outline of a data set's name, a folder of images, or "module:function".

    Args:
        data: a name wins over a folder of that name, which "./name" names.
        data_dir: where a named data set lies, or is downloaded to.

    Raises:
        DataError: naming what is missing or does not go together, and what to do.
    """
    if data in NAMED or is_reference(data):
        return _of_loaded(data, data_dir.expanduser().absolute())
    folder = Path(data).expanduser()
    if not folder.is_dir():
        what = "a file" if folder.exists() else "no folder"
        raise DataError(
            f"data must be a folder of images or {alternatives([*NAMED, 'module:function'])}; "
            f"{shown(data)} is {what}{did_you_mean(data, NAMED)}"
        )
    return _of_folder(folder.resolve())


def _of_folder(folder: Path) -> Outline:
    found = find_splits(FILES, folder)
    labels, tested = found.train.labels, 0
    if found.test is None:
        rows, test_rows = found.test_rows(FILES.name)
        labels, tested = labels[rows], len(test_rows)
    else:
        tested = len(found.test.names)
    return Outline(
        IMAGE_FOLDER,
        folder,
        tuple(found.class_names),
        _counts(labels, len(found.class_names)),
        0 if found.valid is None else len(found.valid.names),
        tested,
        survey(FILES, found.train.paths).shape,
        tuple(found.notes),
        _digest(_files_of(found)),
        is_resized=True,
    )


def _of_loaded(name: str, data_dir: Path) -> Outline:
    data = load_dataset(name, data_dir, validation="test")  # holds nothing out
    held_out = load_dataset(name, data_dir)
    counts = _counts(data.train.labels.numpy(), data.classes)
    splits = (data.train, held_out.valid, data.test)
    return Outline(
        name,
        data_dir,
        data.class_names,
        counts,
        len(held_out.valid) if len(held_out.train) == len(data.train) else 0,
        len(data.test),
        data.image_shape,
        data.notes,
        _digest(split.labels.numpy().tobytes() for split in splits),
    )


def _counts(labels: np.ndarray, classes: int) -> tuple[int, ...]:
    return tuple(np.bincount(labels, minlength=classes).tolist())


def _files_of(found: Splits) -> Iterable[bytes]:
    """Names and sizes: a copy of the folder, whose times are new, is the same data."""
    for number, split in enumerate(found.all):
        for name, (_, size, _) in zip(split.names, split.stamps(), strict=True):
            yield os.fsencode(f"{number} {name} {size}\n")


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
