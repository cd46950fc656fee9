"""Data sets by name, split for a search or for a final training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from nni_blockqnn.common.messages import alternatives, shown
from nni_blockqnn.common.plugins import is_reference
from nni_blockqnn.data._arrays import Decoded, LabelledImages, mean_and_std
from nni_blockqnn.data._cache import cached
from nni_blockqnn.data._cifar import CIFAR10, CIFAR100, find_cifar
from nni_blockqnn.data._digits import load_digits
from nni_blockqnn.data._fashion_mnist import find_fashion_mnist
from nni_blockqnn.data._image_folder import find_image_folder
from nni_blockqnn.data._imbalance import imbalance
from nni_blockqnn.data._splits import stratified_sample
from nni_blockqnn.data.errors import DataError
from nni_blockqnn.data.imagenet import IMAGENET, MEAN, STD, find_imagenet
from nni_blockqnn.data.own import load_own
from nni_blockqnn.data.types import ImageData, Split
from nni_blockqnn.network.spec import PRESETS

_Decode = Callable[[Path, tuple[int, int, int] | None], Decoded]
"""From the data's directory and the (C, H, W) that the network takes."""

_DECODED: dict[str, _Decode] = {
    "digits": lambda data_dir, shape: load_digits(),
    "fashion_mnist": lambda data_dir, shape: cached(find_fashion_mnist(data_dir)),
    "cifar10": lambda data_dir, shape: cached(find_cifar(CIFAR10, data_dir)),
    "cifar100": lambda data_dir, shape: cached(find_cifar(CIFAR100, data_dir)),
    "image-folder": lambda data_dir, shape: cached(find_image_folder(data_dir, shape)),
}
"""The data sets that are decoded once; ImageNet is streamed."""

DATASETS = (*_DECODED, IMAGENET)
VALIDATIONS = ("holdout", "test")


def load_dataset(
    name: str,
    data_dir: Path | None,
    *,
    image_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    validation: str = "holdout",
    validation_fraction: float = 0.1,
    validation_images: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    workers: int = 0,
) -> ImageData:
    """A data set, decoded by the first process and mapped from the cache by the others.

    ImageNet is only looked for; a training decodes its images anew whenever it uses them.

    Args:
        name: one of `DATASETS`, or "module:function" (:mod:`nni_blockqnn.data.own`).
        data_dir: where the data lies, or is downloaded to; digits need none.
        image_shape: (channels, height, width) that the network takes. Image folders and ImageNet
            are brought to it; any other data set must have it.
        classes: outputs of the network, which the data must have.
        validation: "holdout" takes a stratified part of the training set for validation, unless
            folders of images bring a validation set of their own. "test" validates on the test set
            and holds nothing out, as the paper does: for comparisons with it, and for final
            trainings on all training data.
        validation_fraction: of the training set, or of the limit, that is held out.
        validation_images: held out instead, of all training images and beside the limit, since a
            tenth of a small limit says little; of a validation set of the data's own, so many are
            used. Without effect on "test".
        seed: of the hold-out and of the limit; the test set is always the same.
        limit: a stratified part of the training set of this many images, hold-out included unless
            `validation_images` are given, for quick searches; all of it if there are no more.
        workers: processes that decode ImageNet's images during a training; 0 for its own.

    Raises:
        DataError: naming what is missing, broken, not allowed or does not suit the network, and
            what to do.
    """
    _check_arguments(name, validation, validation_fraction, validation_images)
    if name in PRESETS and name != IMAGENET:  # known before anything is downloaded
        known = PRESETS[name]
        check_network(name, known["input_shape"], known["classes"], image_shape, classes)
    directory = directory_of(name, data_dir)
    hold_out = validation == "holdout"
    choice = _Choice(hold_out, validation_fraction, validation_images, limit, seed)
    if name == IMAGENET:
        data = _streamed(directory, image_shape, workers, choice)
    else:
        decode = _DECODED.get(name)
        decoded = decode(directory, image_shape) if decode else load_own(name, directory)
        data = _in_memory(decoded, choice)
    check_network(name, data.image_shape, data.classes, image_shape, classes)
    if data.classes < 2:
        raise DataError(f"{name}: it has one class, {data.class_names[0]!r}; two are needed")
    return replace(data, notes=(*data.notes, *imbalance(data.train.labels, data.class_names)))


def _check_arguments(
    name: str, validation: str, validation_fraction: float, validation_images: int | None
) -> None:
    if name not in DATASETS and not is_reference(name):
        raise DataError(
            f"dataset must be {alternatives([*DATASETS, 'module:function'])}, got {shown(name)}"
        )
    if validation not in VALIDATIONS:
        raise DataError(f"validation must be {alternatives(VALIDATIONS)}, got {shown(validation)}")
    if not 0 < validation_fraction < 1:
        raise DataError(f"validation_fraction must lie in 0 to 1, got {shown(validation_fraction)}")
    if validation_images is not None and validation_images < 1:
        raise DataError(f"validation_images must be at least 1, got {shown(validation_images)}")


def _in_memory(decoded: Decoded, choice: _Choice) -> ImageData:
    names = decoded.class_names
    rows, held_out = choice.rows(decoded.train.labels, names, decoded.valid is not None)
    train, test = _split(decoded.train, rows), _split(decoded.test)
    if held_out is not None:
        valid = _split(decoded.train, held_out)
    elif decoded.valid is not None and choice.hold_out:
        valid = _split(decoded.valid, choice.of_own(decoded.valid.labels))
    else:
        valid = test
    moments = decoded.moments if rows is None else decoded.moments[rows]
    _, height, width = decoded.train.images.shape[1:]
    mean, std = mean_and_std(moments, height * width)
    return ImageData(train, valid, test, len(names), names, mean, std, decoded.notes)


def _streamed(
    directory: Path, image_shape: tuple[int, int, int] | None, workers: int, choice: _Choice
) -> ImageData:
    found = find_imagenet(directory, image_shape, workers)
    names = found.class_names
    rows, held_out = choice.rows(found.train.labels.numpy(), names, found.valid is not None)
    train = found.train if rows is None else found.train.select(rows)
    if held_out is not None:
        valid = found.train.select(held_out)
    elif found.valid is not None and choice.hold_out:
        own = choice.of_own(found.valid.labels.numpy())
        valid = found.valid if own is None else found.valid.select(own)
    else:
        valid = found.test
    return ImageData(train, valid, found.test, len(names), names, MEAN, STD, found.notes)


@dataclass(frozen=True)
class _Choice:
    """Which of a data set's training images are used, and for what."""

    hold_out: bool
    fraction: float
    held_out: int | None
    limit: int | None
    seed: int

    def rows(
        self, labels: np.ndarray, class_names: Sequence[str], brings_valid: bool = False
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The rows to train on, None for all, and those held out, None if none are."""
        rng = np.random.default_rng(self.seed)
        if not self.hold_out or brings_valid:
            return _limited(labels, self.limit, rng), None
        if self.held_out is not None:
            rest, held_out = _hold_out(labels, class_names, None, self.held_out, rng)
            limited = _limited(labels[rest], self.limit, rng)
            return rest if limited is None else rest[limited], held_out
        rows = _limited(labels, self.limit, rng)
        used = len(labels) if rows is None else len(rows)
        return _hold_out(labels, class_names, rows, round(self.fraction * used), rng)

    def of_own(self, labels: np.ndarray) -> np.ndarray | None:
        """The rows of the data's own validation set that are used; None for all."""
        if self.held_out is None:
            return None
        count = max(self.held_out, len(np.unique(labels)))
        return _limited(labels, count, np.random.default_rng(self.seed))


def directory_of(name: str, data_dir: Path | None) -> Path:
    """Digits come with the installation, and a function may do without."""
    if data_dir is None and name in DATASETS and name != "digits":
        raise DataError(
            f"{name}: data_dir is missing (--data-dir of a trial): say where the data lies"
        )
    directory = Path(data_dir or ".").expanduser().resolve()
    if directory.is_file() and name in DATASETS:
        raise DataError(f"{name}: {directory} is a file: name the directory that it lies in")
    return directory


def check_network(
    name: str,
    shape: Sequence[int],
    found_classes: int,
    image_shape: tuple[int, int, int] | None,
    classes: int | None,
) -> None:
    found_shape = list(shape)
    if image_shape is not None and list(image_shape) != found_shape:
        problem = f"input_shape={list(image_shape)} but the data {name} has images of {found_shape}"
    elif classes is not None and classes != found_classes:
        problem = f"classes={classes} but the data {name} has {found_classes}"
    else:
        return
    fitting = [
        preset
        for preset, fields in PRESETS.items()
        if list(fields["input_shape"]) == found_shape and fields["classes"] == found_classes
    ]
    own = f"""'{{"input_shape": {found_shape}, "classes": {found_classes}}}'"""
    raise DataError(f"the network has {problem}: set network to {alternatives([*fitting, own])}")


def _limited(labels: np.ndarray, limit: int | None, rng: np.random.Generator) -> np.ndarray | None:
    """Rows of the training set, None for all."""
    occurring = len(np.unique(labels))
    if limit is None or limit >= len(labels):
        return None
    if limit < occurring:
        raise DataError(
            f"limit must be at least {occurring}, one image for each class, got {shown(limit)}"
        )
    return stratified_sample(labels, limit, rng)


def _hold_out(
    labels: np.ndarray,
    class_names: Sequence[str],
    rows: np.ndarray | None,
    count: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """The rows that stay and about ``count`` held out; each class has at least one of both."""
    if rows is None:
        rows = np.arange(len(labels))
    labels = labels[rows]
    available = np.bincount(labels)
    if (available == 1).any():
        single = class_names[int(np.argmax(available == 1))]
        raise DataError(
            f"no validation set can be held out: class {single!r} has one training image of the "
            f"{len(rows)} and needs two: add images, raise the limit or use validation 'test'"
        )
    occurring = int((available > 0).sum())
    total = min(max(count, occurring), len(rows) - occurring)
    held_out = stratified_sample(labels, total, rng, leave=1)
    return np.delete(rows, held_out), rows[held_out]


def _split(part: LabelledImages, rows: np.ndarray | None = None) -> Split:
    return Split(
        torch.from_numpy(part.images),
        torch.from_numpy(part.labels),
        None if rows is None else torch.from_numpy(rows),
    )
