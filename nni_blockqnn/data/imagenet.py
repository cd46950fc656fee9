"""ImageNet, or any other folders of images that are too many for memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from nni_blockqnn.common.messages import shown
from nni_blockqnn.data._class_folders import ClassFolders, Listed
from nni_blockqnn.data._layout import find_splits
from nni_blockqnn.data._survey import misfits, survey
from nni_blockqnn.data.errors import DataError
from nni_blockqnn.data.streamed import StreamedSplit

IMAGENET = "imagenet"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels, a number a channel, on the scale 0 to 1, as torchvision has them."""

_SHAPE = (3, 224, 224)
_ADVICE = (
    "expected DIR/train/CLASS/image.JPEG and DIR/val/CLASS/image.JPEG, for two classes at least; "
    "with the archives of ILSVRC2012 in DIR, torchvision.datasets.ImageNet(DIR, 'train') and "
    "ImageNet(DIR, 'val') unpack them so"
)
_FILES = ClassFolders(IMAGENET, _ADVICE)
_CUT_SAID_FROM = 0.4
"""Squares out of photos of 4:3 or 3:2 are this data set's own way."""


class StreamedImages(NamedTuple):
    """A data set whose images stay in their files.

    Attributes:
        valid: None unless there are validation and test images.
        notes: lines on how the folders were read.
    """

    train: StreamedSplit
    valid: StreamedSplit | None
    test: StreamedSplit
    class_names: tuple[str, ...]
    notes: tuple[str, ...]


def find_imagenet(
    data_dir: Path, image_shape: tuple[int, int, int] | None, workers: int
) -> StreamedImages:
    """The images in data_dir/train, data_dir/val and data_dir/test, or in data_dir/CLASS.

    Which folders are what, :func:`find_splits` says. The files are listed, in sorted order, and
    only the headers of some are read.

    Args:
        image_shape: (3, height, width) of the network; (3, 224, 224) if not given.
        workers: processes that are to decode the images.

    Raises:
        DataError: naming the directory that is missing, has no classes or no images, or not the
            classes of `train`, or what is wrong with an argument.
    """
    shape = image_shape or _SHAPE
    if shape[0] != 3:
        raise DataError(
            f"{IMAGENET}: the network has input_shape {list(shape)}, but images have 3 channels "
            "(RGB): set its channels to 3"
        )
    if workers < 0:
        raise DataError(f"workers must be at least 0, got {shown(workers)}")
    found = find_splits(_FILES, data_dir)
    notes = found.notes + misfits(survey(_FILES, found.train.paths), shape, _CUT_SAID_FROM)
    train = _streamed(found.train, shape, workers)
    if found.test is None:
        rows, test_rows = found.test_rows(IMAGENET)
        train, test = train.select(rows), train.select(test_rows)
    else:
        test = _streamed(found.test, shape, workers)
    valid = None if found.valid is None else _streamed(found.valid, shape, workers)
    return StreamedImages(train, valid, test, tuple(found.class_names), tuple(notes))


def _streamed(listed: Listed, shape: tuple[int, int, int], workers: int) -> StreamedSplit:
    names = np.array([os.fsencode(name) for name in listed.names])
    labels = torch.from_numpy(listed.labels)
    return StreamedSplit(_FILES, listed.folder, names, labels, shape, workers)
