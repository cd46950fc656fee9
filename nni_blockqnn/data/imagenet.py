"""ImageNet, or any other folders of images that are too many for memory."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from nni_blockqnn.common.messages import shown
from nni_blockqnn.data._class_folders import ClassFolders
from nni_blockqnn.data.errors import DataError
from nni_blockqnn.data.streamed import StreamedSplit

IMAGENET = "imagenet"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels, a number a channel, on the scale 0 to 1, as torchvision has them."""

_SHAPE = (3, 224, 224)
_ADVICE = (
    "expected DIR/train/CLASS/image.JPEG and DIR/val/CLASS/image.JPEG; with the archives of "
    "ILSVRC2012 in DIR, torchvision.datasets.ImageNet(DIR, 'train') and ImageNet(DIR, 'val') "
    "unpack them so"
)
_FILES = ClassFolders(IMAGENET, _ADVICE)


def find_imagenet(
    data_dir: Path, image_shape: tuple[int, int, int] | None, workers: int
) -> tuple[StreamedSplit, StreamedSplit, tuple[str, ...]]:
    """The images in data_dir/train and data_dir/val, and the names of their classes.

    The files are listed, in sorted order, and none is read.

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
    train, val = data_dir / "train", data_dir / "val"
    for folder in (data_dir, train, val):
        if not folder.is_dir():
            raise DataError(f"{IMAGENET}: no directory {folder}: {_ADVICE}")
    class_names = _FILES.common_classes([train, val])
    splits = [_split(folder, class_names, shape, workers) for folder in (train, val)]
    return splits[0], splits[1], tuple(class_names)


def _split(
    folder: Path, class_names: list[str], shape: tuple[int, int, int], workers: int
) -> StreamedSplit:
    names = [_FILES.images(folder / class_name) for class_name in class_names]
    labels = np.repeat(np.arange(len(names)), [len(of_class) for of_class in names])
    paths = [
        os.fsencode(f"{class_name}/{name}")
        for class_name, of_class in zip(class_names, names, strict=True)
        for name in of_class
    ]
    return StreamedSplit(
        _FILES, folder, np.array(paths), torch.from_numpy(labels.astype(np.int64)), shape, workers
    )
