"""Folders of images: train, val and test, in each a folder a class; or the class folders alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil

from nni_blockqnn.data._arrays import Decoded, LabelledImages, Source
from nni_blockqnn.data._class_folders import ClassFolders, Listed
from nni_blockqnn.data._layout import Splits, find_splits
from nni_blockqnn.data._progress import with_progress
from nni_blockqnn.data._survey import misfits, survey
from nni_blockqnn.data.errors import DataError
from nni_blockqnn.data.image_files import read_image

_NAME = "image-folder"
_ADVICE = (
    "expected DIR/train/CLASS/image.png and the same under DIR/val, DIR/test or both, or "
    "DIR/CLASS/image.png, for two classes at least"
)
FILES = ClassFolders(_NAME, _ADVICE)


def find_image_folder(data_dir: Path, image_shape: tuple[int, int, int] | None) -> Source:
    """Images in data_dir/train, data_dir/val and data_dir/test, or in data_dir/CLASS.

    Which folders are what, :func:`find_splits` says. Files and classes are taken in sorted order;
    hidden files and those without an image's ending are passed over, which the notes say.

    Args:
        image_shape: (channels, height, width) to bring the images to, 1 channel for grey and 3 for
            RGB: resized so that the upright image covers height and width, and the centre cut out.
            If not given, the median height and width of the training images, RGB if any is in
            colour.

    Raises:
        DataError: naming the directory that is missing, has no classes, or not those of `train`; or
            if the images do not fit into memory.
    """
    found = find_splits(FILES, data_dir)
    shape = image_shape or survey(FILES, found.train.paths).shape
    if shape[0] not in (1, 3):
        raise DataError(
            f"{_NAME}: the network has input_shape {list(shape)}, but images have 1 channel (grey) "
            "or 3 (RGB): set its channels to one of them"
        )
    _check_memory(found, shape)
    return Source(
        _NAME,
        f"{data_dir} {shape}",
        lambda: (stamp for split in found.all for stamp in split.stamps()),
        lambda: _decode(found, shape),
        tuple(found.notes),
    )


def _check_memory(found: Splits, shape: tuple[int, int, int]) -> None:
    count = sum(len(split.names) for split in found.all)
    needed, memory = count * np.prod(shape, dtype=np.float64), psutil.virtual_memory().total
    if needed > memory:
        channels, height, width = shape
        raise DataError(
            f"{_NAME}: {count:,} images of {width}x{height} pixels (width x height) in {channels} "
            f"channels take {needed / 2**30:.3g} GiB, and this machine has {memory / 2**30:.3g}: "
            "choose a smaller input_shape for the network, or --dataset imagenet, which decodes "
            "images as it needs them"
        )


def _decode(found: Splits, shape: tuple[int, int, int]) -> Decoded:
    train, *others = _read_all(found.all, shape)
    if found.test is None:
        rows, test_rows = found.test_rows(_NAME)
        train, test = (
            LabelledImages(train.images[chosen], train.labels[chosen])
            for chosen in (rows, test_rows)
        )
        valid = None
    else:
        *validated, test = others
        valid = validated[0] if validated else None
    notes = misfits(survey(FILES, found.train.paths), shape)
    return Decoded.of(train, test, found.class_names, valid, notes)


def _read_all(splits: list[Listed], shape: tuple[int, int, int]) -> list[LabelledImages]:
    """Raises DataError naming the files that are broken, of all splits together."""
    arrays = [np.empty((len(split.names), *shape), np.uint8) for split in splits]
    paths = [path for split in splits for path in split.paths]
    places = (image for array in arrays for image in array)
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter lock
        read = pool.map(_read_into, places, paths)
        errors = list(with_progress(read, len(paths), "reads images"))
    broken = {path: error for path, error in zip(paths, errors, strict=True) if error is not None}
    if broken:
        raise FILES.broken(broken, f" of {len(paths):,}")
    return [
        LabelledImages(array, split.labels) for array, split in zip(arrays, splits, strict=True)
    ]


def _read_into(pixels: np.ndarray, path: str) -> Exception | None:
    """Why the image cannot be read, if so."""
    channels, height, width = pixels.shape
    try:
        pixels[:] = read_image(path, (channels, height, width))
    except Exception as error:  # broken files raise SyntaxError, struct.error and more
        return error
    return None
