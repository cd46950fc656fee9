"""A data set of one's own: a function that returns arrays, named as ``module:function``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nni_blockqnn.common.messages import shown
from nni_blockqnn.common.plugins import load_object
from nni_blockqnn.data._arrays import Decoded, LabelledImages
from nni_blockqnn.data.errors import DataError, one_line


class ImageArrays(NamedTuple):
    """What the function returns. Hold-out, limit and normalisation are this package's.

    Attributes:
        train_images: (N, H, W) for grey or (N, H, W, C) for coloured images, uint8.
        train_labels: (N,) integers from 0.
        test_images: as the training images, of the same size.
        test_labels: likewise.
        class_names: one a class; by default the labels' numbers.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: Sequence[str] | None = None


def load_own(reference: str, data_dir: Path) -> Decoded:
    """The data set of ``module:function``, called as ``function(data_dir)`` by each process.

    Nothing is cached: a function that decodes for long should keep arrays in ``data_dir`` and map
    them (``np.load(..., mmap_mode="r")``).

    Raises:
        DataError: if the function cannot be loaded or fails, or what it returns is not as
            :class:`ImageArrays` says: naming the part, what it is and what is allowed.
    """
    arrays = own_arrays(reference, data_dir)
    train = _labelled(reference, "train", arrays.train_images, arrays.train_labels)
    test = _labelled(reference, "test", arrays.test_images, arrays.test_labels)
    check_one_shape(reference, train.images, test.images)
    classes = 1 + max(int(train.labels.max()), int(test.labels.max()))
    names = [str(label) for label in range(classes)]
    if arrays.class_names is not None:
        names = [str(name) for name in arrays.class_names]
    if len(names) < classes:
        raise DataError(f"{reference}: {len(names)} class_names for labels up to {classes - 1}")
    return Decoded.of(train, test, names)


def own_arrays(reference: str, data_dir: Path) -> ImageArrays:
    """What the function returns; its images and labels are not looked at.

    Raises:
        DataError: as :func:`load_own`.
    """
    try:
        arrays = load_object(reference, "a data set")(data_dir)
    except ValueError as error:
        raise DataError(one_line(error)) from error
    except Exception as error:  # a user's own code
        raise DataError(f"{reference} failed: {type(error).__name__}: {one_line(error)}") from error
    if not isinstance(arrays, ImageArrays):
        raise DataError(
            f"{reference} must return nni_blockqnn.data.ImageArrays, got {shown(arrays)}"
        )
    return arrays


def check_one_shape(reference: str, train: np.ndarray, test: np.ndarray) -> None:
    """Check that all images have one shape.

    Raises:
        DataError: naming both.
    """
    if train.shape[1:] != test.shape[1:]:
        raise DataError(
            f"{reference}: training and test images must have one (C, H, W), got "
            f"{train.shape[1:]} and {test.shape[1:]}"
        )


def channels_first(reference: str, split: str, images: Any) -> np.ndarray:
    """The function's images as (N, C, H, W).

    Raises:
        DataError: naming their type and shape, and what is allowed.
    """
    images = np.asanyarray(images)
    is_image = images.dtype == np.uint8 and images.ndim in (3, 4) and images.size > 0
    if not is_image or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise DataError(
            f"{reference}: {split}_images must be uint8 of shape (N, H, W), (N, H, W, 1) or "
            f"(N, H, W, 3), got {images.dtype} {images.shape}"
        )
    return np.ascontiguousarray(
        images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    )


def _labelled(reference: str, split: str, images: Any, labels: Any) -> LabelledImages:
    found, labels = channels_first(reference, split, images), np.asanyarray(labels)
    if labels.dtype.kind not in "iu" or labels.shape != found.shape[:1] or labels.min() < 0:
        raise DataError(
            f"{reference}: {split}_labels must be {len(found)} integers from 0, one an image, "
            f"got {labels.dtype} {labels.shape}"
        )
    return LabelledImages(found, labels.astype(np.int64))
