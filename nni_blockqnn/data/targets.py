"""Images with any targets, a row for each image: what tasks other than classification train on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nni_blockqnn.common.messages import alternatives, shown
from nni_blockqnn.common.plugins import is_reference
from nni_blockqnn.data._arrays import channel_moments, mean_and_std
from nni_blockqnn.data.errors import DataError
from nni_blockqnn.data.load import VALIDATIONS, check_network, directory_of
from nni_blockqnn.data.own import channels_first, check_one_shape, own_arrays
from nni_blockqnn.data.types import ImageData, Split

_HELD_OUT = 0.1
"""Of the training images, where there is no validation set."""


@dataclass(frozen=True)
class TargetImages:
    """Images and what is to be found in each.

    Attributes:
        images: (N, C, H, W) uint8.
        targets: (N, ...), of a type that PyTorch has.
    """

    images: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class TargetSets:
    """A data set, before any of it is held out.

    Attributes:
        names: a name for each output of a network.
        valid: the data set's own validation set; default None.
        facts: as :attr:`ImageData.facts`.
        notes: as :attr:`ImageData.notes`.
    """

    train: TargetImages
    test: TargetImages
    names: Sequence[str]
    valid: TargetImages | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def load_targets(
    dataset: str,
    data_dir: Path | None,
    *,
    image_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    validation: str = "holdout",
    seed: int = 0,
    limit: int | None = None,
    read: Mapping[str, Callable[[Path], TargetSets]] | None = None,
    check: Callable[[str, np.ndarray, Sequence[str]], np.ndarray] | None = None,
) -> ImageData:
    """A data set of any targets, as :func:`nni_blockqnn.data.load_dataset` has those of classes.

    Args:
        dataset: a name in `read`, or ``module:function`` of a function that takes `data_dir` and
            returns :class:`nni_blockqnn.data.ImageArrays`, whose labels are the targets.
        limit: training images used, drawn at random, those held out included.
        read: what reads the data sets that have a name, from `data_dir`; default none.
        check: called with the reference, the targets of each part of a function, and their names:
            returns them as they should be, or raises DataError. By default floats become float32.

    Raises:
        DataError: naming what is wrong and what to do.
    """
    known = read or {}
    if dataset not in known and not is_reference(dataset):
        allowed = alternatives([*known, "module:function"])
        raise DataError(f"dataset must be {allowed}, got {shown(dataset)}")
    if validation not in VALIDATIONS:
        raise DataError(f"validation must be {alternatives(VALIDATIONS)}, got {shown(validation)}")
    directory = directory_of(dataset, data_dir)
    found = known[dataset](directory) if dataset in known else _own(dataset, directory, check)
    shape = found.train.images.shape[1:]
    check_network(dataset, shape, len(found.names), image_shape, classes)
    return split_targets(found, validation == "holdout", seed, limit)


def split_targets(
    sets: TargetSets, hold_out: bool = True, seed: int = 0, limit: int | None = None
) -> ImageData:
    """The data set as a training uses it; every tenth training image is held out, at random,
    unless there is a validation set.

    Raises:
        DataError: if there are too few images.
    """
    order = np.random.default_rng(seed).permutation(len(sets.train.images))[:limit]
    test = _split(sets.test)
    valid = _split(sets.valid) if hold_out and sets.valid is not None else test
    if hold_out and sets.valid is None:
        if len(order) < 2:
            raise DataError(f"of {len(order)} training images none can be held out: add images")
        count = max(1, round(_HELD_OUT * len(order)))
        valid, order = _split(sets.train, np.sort(order[:count])), order[count:]
    rows = np.sort(order)
    height, width = sets.train.images.shape[2:]
    mean, std = mean_and_std(channel_moments(sets.train.images)[rows], height * width)
    return ImageData(
        train=_split(sets.train, rows),
        valid=valid,
        test=test,
        classes=len(sets.names),
        class_names=tuple(sets.names),
        mean=mean,
        std=std,
        notes=sets.notes,
        facts=sets.facts,
    )


def _own(
    reference: str,
    directory: Path,
    check: Callable[[str, np.ndarray, Sequence[str]], np.ndarray] | None,
) -> TargetSets:
    arrays = own_arrays(reference, directory)
    given = {
        "train": (arrays.train_images, np.asanyarray(arrays.train_labels)),
        "test": (arrays.test_images, np.asanyarray(arrays.test_labels)),
    }
    _, targets = given["train"]
    names = [str(number) for number in range(targets.shape[1] if targets.ndim > 1 else 1)]
    if arrays.class_names is not None:
        names = [str(name) for name in arrays.class_names]
    parts = {}
    for part, (images, targets) in given.items():
        pixels = channels_first(reference, part, images)
        if targets.shape[:1] != pixels.shape[:1] or targets.dtype.kind not in "biuf":
            raise DataError(
                f"{reference}: {part}_labels must be numbers, a row for each of {len(pixels)} "
                f"images, got {targets.dtype} {targets.shape}"
            )
        if check is not None:
            targets = check(f"{reference}: {part}_labels", targets, names)
        parts[part] = TargetImages(pixels, targets)
    check_one_shape(reference, parts["train"].images, parts["test"].images)
    return TargetSets(parts["train"], parts["test"], names)


def _split(part: TargetImages, rows: np.ndarray | None = None) -> Split:
    targets = torch.from_numpy(part.targets)
    if targets.is_floating_point():
        targets = targets.to(torch.float32)
    chosen = None if rows is None else torch.from_numpy(rows)
    return Split(torch.from_numpy(part.images), targets, chosen)
