"""Data sets by name, split for a search or for a final training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from nni_blockqnn._messages import alternatives, shown
from nni_blockqnn.data.arrays import Decoded, LabelledImages, mean_and_std
from nni_blockqnn.data.cache import cached
from nni_blockqnn.data.cifar import CIFAR10, CIFAR100, find_cifar
from nni_blockqnn.data.digits import load_digits
from nni_blockqnn.data.errors import DataError
from nni_blockqnn.data.fashion_mnist import find_fashion_mnist
from nni_blockqnn.data.image_folder import find_image_folder
from nni_blockqnn.data.splits import stratified_sample
from nni_blockqnn.data.types import ImageData, Split
from nni_blockqnn.network_spec import PRESETS

DATASETS = ("digits", "fashion_mnist", "cifar10", "cifar100", "image-folder")
VALIDATIONS = ("holdout", "test")


def load_dataset(
    name: str,
    data_dir: Path | None,
    *,
    image_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    validation: str = "holdout",
    validation_fraction: float = 0.1,
    seed: int = 0,
    limit: int | None = None,
) -> ImageData:
    """A data set, decoded by the first process and mapped from the cache by the others.

    Args:
        name: one of `DATASETS`.
        data_dir: where the data lies, or is downloaded to; digits need none.
        image_shape: (channels, height, width) that the network takes. An image folder is brought to
            it; any other data set must have it.
        classes: outputs of the network, which the data must have.
        validation: "holdout" takes a stratified part of the training set for validation, unless an
            image folder brings a validation set of its own. "test" validates on the test set and
            holds nothing out, as the paper does: for comparisons with it, and for final trainings
            on all training data.
        validation_fraction: of the training set that is held out.
        seed: of the hold-out and of the limit; the test set is always the same.
        limit: a stratified part of the training set of this many images, hold-out included, for
            quick searches; all of it if there are no more.

    Raises:
        DataError: naming what is missing, broken, not allowed or does not suit the network, and
            what to do.
    """
    if name not in DATASETS:
        raise DataError(f"dataset must be {alternatives(DATASETS)}, got {shown(name)}")
    if validation not in VALIDATIONS:
        raise DataError(f"validation must be {alternatives(VALIDATIONS)}, got {shown(validation)}")
    if not 0 < validation_fraction < 1:
        raise DataError(f"validation_fraction must lie in 0 to 1, got {shown(validation_fraction)}")
    decoded = _decoded(name, data_dir, image_shape)
    _check_network(name, decoded, image_shape, classes)

    rng = np.random.default_rng(seed)
    rows = _limited(decoded, limit, rng)
    train, test = _split(decoded.train, rows), _split(decoded.test)
    if validation == "test":
        valid = test
    elif decoded.valid is not None:
        valid = _split(decoded.valid)
    else:
        rows, held_out = _hold_out(decoded, rows, validation_fraction, rng)
        train, valid = _split(decoded.train, rows), _split(decoded.train, held_out)

    _, _, height, width = decoded.train.images.shape
    moments = decoded.moments if rows is None else decoded.moments[rows]
    mean, std = mean_and_std(moments, height * width)
    names = decoded.class_names
    return ImageData(train, valid, test, len(names), names, mean, std)


def _decoded(name: str, data_dir: Path | None, image_shape: tuple[int, int, int] | None) -> Decoded:
    if name == "digits":
        return load_digits()
    if data_dir is None:
        raise DataError(
            f"{name}: data_dir is missing (--data-dir of a trial): say where the data lies"
        )
    data_dir = Path(data_dir).expanduser().resolve()
    if name == "fashion_mnist":
        return cached(find_fashion_mnist(data_dir))
    if name == "image-folder":
        return cached(find_image_folder(data_dir, image_shape))
    return cached(find_cifar(CIFAR10 if name == "cifar10" else CIFAR100, data_dir))


def _check_network(
    name: str, decoded: Decoded, image_shape: tuple[int, int, int] | None, classes: int | None
) -> None:
    _, *found_shape = decoded.train.images.shape
    found_classes = len(decoded.class_names)
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
    own = f'{{"input_shape": {found_shape}, "classes": {found_classes}, ...}}'
    raise DataError(f"the network has {problem}: set network to {alternatives([*fitting, own])}")


def _limited(decoded: Decoded, limit: int | None, rng: np.random.Generator) -> np.ndarray | None:
    """Rows of the training set, None for all."""
    labels = decoded.train.labels
    occurring = len(np.unique(labels))
    if limit is None or limit >= len(labels):
        return None
    if limit < occurring:
        raise DataError(
            f"limit must be at least {occurring}, one image for each class, got {shown(limit)}"
        )
    return stratified_sample(labels, limit, rng)


def _hold_out(
    decoded: Decoded, rows: np.ndarray | None, fraction: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The rows that stay and the rows held out; each class has at least one of both."""
    if rows is None:
        rows = np.arange(len(decoded.train.labels))
    labels = decoded.train.labels[rows]
    available = np.bincount(labels)
    if (available == 1).any():
        single = decoded.class_names[int(np.argmax(available == 1))]
        raise DataError(
            f"no validation set can be held out: class {single!r} has one training image of the "
            f"{len(rows)} and needs two: add images, raise the limit or use validation 'test'"
        )
    occurring = int((available > 0).sum())
    total = min(max(round(fraction * len(rows)), occurring), len(rows) - occurring)
    held_out = stratified_sample(labels, total, rng, leave=1)
    return np.delete(rows, held_out), rows[held_out]


def _split(part: LabelledImages, rows: np.ndarray | None = None) -> Split:
    return Split(
        torch.from_numpy(part.images),
        torch.from_numpy(part.labels),
        None if rows is None else torch.from_numpy(rows),
    )
