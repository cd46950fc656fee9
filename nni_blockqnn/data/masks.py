"""Images and a mask for each: folders ``images/`` and ``masks/`` with the same names in them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING

import numpy as np

from nni_blockqnn.data._arrays import Decoded, LabelledImages, Source, stamps_of
from nni_blockqnn.data._cache import cached
from nni_blockqnn.data._pictures import read_header
from nni_blockqnn.data.errors import DataError, one_line
from nni_blockqnn.data.image_files import fitted, image_files_below, open_image

if TYPE_CHECKING:
    from PIL.Image import Image

MASK_FOLDER = "mask-folder"
IGNORED = 255
"""The value of a pixel that belongs to no class."""
_IMAGES, _MASKS, _NAMES = "images", "masks", "classes.txt"
_PARTS = ("train", "val", "test")
_TEST_EVERY = 5
_LOOKED_AT = 100
_ADVICE = (
    f"expected DIR/{_IMAGES}/NAME.jpg and DIR/{_MASKS}/NAME.png, or the same in DIR/train, "
    "DIR/test and perhaps DIR/val"
)

_Pair = tuple[Path, Path]


def load_masks(data_dir: Path, image_shape: tuple[int, int, int] | None) -> Decoded:
    """The folder's images with their masks as targets, (N, H, W) uint8, decoded once.

    A mask's pixels are the classes' numbers from 0, 255 for none of them: a grey image or one with
    a palette. Names of the classes may stand in ``classes.txt``, a line each. Without ``test``,
    every fifth image is the test set.

    Args:
        image_shape: (channels, height, width) that image and mask are cut and resized to, the mask
            without any mixing of classes; default that of the first image, in colour.

    Raises:
        DataError: naming what is missing, broken or does not fit together.
    """
    parts = _found(data_dir)
    shape = image_shape or _shape_of(parts["train"][0][0])
    files = [file for pairs in parts.values() for pair in pairs for file in pair]
    names = data_dir / _NAMES
    stamped = [*files, names] if names.is_file() else files
    return cached(
        Source(
            MASK_FOLDER,
            f"{data_dir} {shape}",
            lambda: stamps_of(stamped),
            lambda: _decode(data_dir, parts, shape),
        )
    )


def usual_mask_shape(data_dir: Path) -> tuple[int, int, int]:
    """(channels, height, width) that suits most training images: medians of up to 100 of them.

    Raises:
        DataError: as :func:`load_masks`.
    """
    pairs = _found(data_dir)["train"]
    headers = []
    for image, _ in pairs[:: max(len(pairs) // _LOOKED_AT, 1)][:_LOOKED_AT]:
        try:
            headers.append(read_header(str(image)))
        except Exception as error:  # broken files raise SyntaxError, struct.error and more
            raise DataError(f"{MASK_FOLDER}: {image} cannot be read: {one_line(error)}") from error
    channels = 1 if all(one.is_grey for one in headers) else 3
    height = median_low(one.height for one in headers)
    return channels, height, median_low(one.width for one in headers)


def _found(data_dir: Path) -> dict[str, list[_Pair]]:
    """The pairs of each part; there are some for "train" and "test"."""
    parts = {part: _pairs(data_dir / part) for part in _PARTS if (data_dir / part).is_dir()}
    if "train" not in parts:
        pairs = _pairs(data_dir)
        parts = {
            "train": [pair for number, pair in enumerate(pairs, 1) if number % _TEST_EVERY],
            "test": [pair for number, pair in enumerate(pairs, 1) if not number % _TEST_EVERY],
        }
    for part in ("train", "test"):
        if not parts.get(part):
            raise DataError(f"{MASK_FOLDER}: {data_dir} has no images for {part}: {_ADVICE}")
    return parts


def _pairs(folder: Path) -> list[_Pair]:
    images, masks = folder / _IMAGES, folder / _MASKS
    if not (images.is_dir() and masks.is_dir()):
        raise DataError(f"{MASK_FOLDER}: {folder} lacks {_IMAGES}/ or {_MASKS}/: {_ADVICE}")
    by_name = {path.relative_to(masks).with_suffix(""): path for path in image_files_below(masks)}
    pairs = []
    for image in image_files_below(images):
        mask = by_name.get(image.relative_to(images).with_suffix(""))
        if mask is None:
            raise DataError(f"{MASK_FOLDER}: {image} has no mask of its name in {masks}")
        pairs.append((image, mask))
    return pairs


def _shape_of(image: Path) -> tuple[int, int, int]:
    width, height = _opened(image, 3).size
    return 3, height, width


def _decode(data_dir: Path, parts: dict[str, list[_Pair]], shape: tuple[int, int, int]) -> Decoded:
    read = {part: _read(pairs, shape) for part, pairs in parts.items()}
    names = _names(data_dir, max(classes for _, classes in read.values()))
    images = {part: found for part, (found, _) in read.items()}
    return Decoded.of(images["train"], images["test"], names, images.get("val"))


def _names(data_dir: Path, classes: int) -> list[str]:
    path = data_dir / _NAMES
    if not path.is_file():
        return [str(number) for number in range(classes)]
    lines = path.read_text(encoding="utf-8").splitlines()
    names = [line.strip() for line in lines if line.strip()]
    if len(names) < classes:
        raise DataError(
            f"{MASK_FOLDER}: {path} names {len(names)} classes, the masks have {classes}"
        )
    return names


def class_count(masks: np.ndarray) -> int:
    """How many classes there are, from the largest number that is one."""
    return 1 + int(masks.max(initial=0, where=masks != IGNORED))


def _read(pairs: Sequence[_Pair], shape: tuple[int, int, int]) -> tuple[LabelledImages, int]:
    """Images and masks, and how many classes the masks have, in whatever size they are read."""
    channels, height, width = shape

    def read(pair: _Pair) -> tuple[np.ndarray, np.ndarray, int]:
        image, mask = _opened(pair[0], channels), _mask(pair[1])
        if image.size != mask.size:
            raise DataError(
                f"{MASK_FOLDER}: {pair[0]} has {image.size} pixels (width, height), its mask "
                f"{mask.size}"
            )
        pixels = np.asarray(fitted(image, height, width)).reshape(height, width, channels)
        numbers = np.asarray(fitted(mask, height, width, mixing=False))
        return pixels.transpose(2, 0, 1), numbers, class_count(np.asarray(mask))

    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter lock
        found = list(pool.map(read, pairs))
    images, masks, classes = zip(*found, strict=True)
    return LabelledImages(np.stack(images), np.stack(masks)), max(classes)


def _opened(path: Path, channels: int) -> Image:
    try:
        return open_image(path, channels)
    except Exception as error:  # broken files raise SyntaxError, struct.error and more
        raise DataError(f"{MASK_FOLDER}: {path} cannot be read: {one_line(error)}") from error


def _mask(path: Path) -> Image:
    """The mask as an image of mode L, whose values are classes."""
    from PIL import Image as Pillow

    try:
        mask = Pillow.open(path)
        mask.load()
    except Exception as error:  # as above
        raise DataError(f"{MASK_FOLDER}: {path} cannot be read: {one_line(error)}") from error
    if mask.mode not in ("1", "L", "P"):
        raise DataError(
            f"{MASK_FOLDER}: {path} is of Pillow's mode {mask.mode}; a mask must be grey (L), "
            "black and white (1) or have a palette (P), its values the classes' numbers from 0"
        )
    numbers = np.asarray(mask)
    return Pillow.fromarray(numbers.astype(np.uint8))
