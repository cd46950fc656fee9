"""Image files outside of a data set: which there are, and their pixels as a network takes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nni_blockqnn.data._pictures import ENDINGS, read_picture
from nni_blockqnn.data._unread import is_junk

if TYPE_CHECKING:
    from PIL.Image import Image

_MODES = {1: "L", 3: "RGB"}


def read_image(path: str | Path, shape: tuple[int, int, int]) -> np.ndarray:
    """The image as (C, H, W) uint8, as image folders are read for a training.

    Upright, resized so that it covers height and width, its centre cut out; of several images in
    the file, the first.

    Raises:
        Exception: whatever Pillow raises for a broken file: SyntaxError, struct.error and more.
    """
    channels, height, width = shape
    image = fitted(open_image(path, channels), height, width)
    return np.asarray(image).reshape(height, width, channels).transpose(2, 0, 1)


def fitted(image: Image, height: int, width: int, mixing: bool = True) -> Image:
    """The image resized so that it covers height and width, its centre cut out.

    Args:
        mixing: whether pixels are mixed (bilinear); otherwise each is one of the image's own.
    """
    from PIL import ImageOps
    from PIL.Image import Resampling

    if image.size == (width, height):
        return image
    method = Resampling.BILINEAR if mixing else Resampling.NEAREST
    return ImageOps.fit(image, (width, height), method)


def open_image(path: str | Path, channels: int) -> Image:
    """The upright image as Pillow's, in the size that it has in its file.

    Args:
        channels: 1 for grey, 3 for RGB.

    Raises:
        Exception: as :func:`read_image`.
    """
    return read_picture(str(path), _MODES[channels])


def image_files_below(folder: Path) -> Iterator[Path]:
    """The image files in a folder and all folders in it, sorted, without hidden ones.

    Raises:
        OSError: naming a folder that cannot be read.
    """
    for entry in sorted(folder.iterdir()):
        if is_junk(entry.name):
            continue
        if entry.is_dir():
            if not entry.is_symlink():  # which may lead back here
                yield from image_files_below(entry)
        elif os.path.splitext(entry.name)[1].lower() in ENDINGS:  # noqa: PTH122
            yield entry
