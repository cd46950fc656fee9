"""Images with any targets, a row for each image: what tasks other than classification train on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from nni_blockqnn.common.messages import alternatives, shown
from nni_blockqnn.common.plugins import is_reference
from nni_blockqnn.data._arrays import Decoded, LabelledImages, mean_and_std
from nni_blockqnn.data.errors import DataError
from nni_blockqnn.data.load import VALIDATIONS, check_network, directory_of
from nni_blockqnn.data.own import channels_first, check_one_shape, own_arrays
from nni_blockqnn.data.types import ImageData, Split

_HELD_OUT = 0.1
"""Of the training images, where there is no validation set."""

ImageShape = tuple[int, int, int]
"""(channels, height, width)"""


class Reader(NamedTuple):
    """What reads a data set that has a name.

    Attributes:
        read: all of it, from its folder, its images brought to a shape; of None, as they come.
        usual_shape: what its images are like, from its folder.
    """

    read: Callable[[Path, ImageShape | None], Decoded]
    usual_shape: Callable[[Path], ImageShape]


Adapt = Callable[[str, LabelledImages, Sequence[str] | None], tuple[np.ndarray, Sequence[str]]]
"""What a task makes of the targets that a user's function returned. It is called with a beginning
for messages, a part of the data (its targets as they came) and the names if the function gave any;
it returns the targets as they should be, and a name for each output, or raises DataError."""


def load_targets(
    dataset: str,
    data_dir: Path | None,
    *,
    image_shape: ImageShape | None = None,
    classes: int | None = None,
    validation: str = "holdout",
    validation_images: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    readers: Mapping[str, Reader] | None = None,
    adapt: Adapt | None = None,
) -> ImageData:
    """A data set of any targets, as :func:`nni_blockqnn.data.load_dataset` has those of classes.

    Args:
        dataset: a name in `readers`, or ``module:function`` of a function that takes `data_dir` and
            returns :class:`nni_blockqnn.data.ImageArrays`, whose labels are the targets.
        validation_images: held out, of all training images and beside the limit, or used of the
            data's own; default None, a tenth of the limit or of all, or all of the data's own.
        limit: training images used, drawn at random, those held out included unless
            `validation_images` are given.
        readers: of the data sets that have a name; default none.
        adapt: checks and converts what a function returned; default :func:`as_they_are`.

    Raises:
        DataError: naming what is wrong and what to do.
    """
    known = readers or {}
    if dataset not in known and not is_reference(dataset):
        allowed = alternatives([*known, "module:function"])
        raise DataError(f"dataset must be {allowed}, got {shown(dataset)}")
    if validation not in VALIDATIONS:
        raise DataError(f"validation must be {alternatives(VALIDATIONS)}, got {shown(validation)}")
    directory = directory_of(dataset, data_dir)
    decoded = (
        known[dataset].read(directory, image_shape)
        if dataset in known
        else _own(dataset, directory, adapt or as_they_are)
    )
    shape = decoded.train.images.shape[1:]
    check_network(dataset, shape, len(decoded.class_names), image_shape, classes)
    return _split_up(decoded, validation == "holdout", validation_images, seed, limit)


def _split_up(
    decoded: Decoded, hold_out: bool, held_out: int | None, seed: int, limit: int | None
) -> ImageData:
    """Images are held out at random, unless there is a validation set."""
    order = np.random.default_rng(seed).permutation(len(decoded.train.images))
    if not hold_out or decoded.valid is not None or held_out is None:
        order = order[:limit]
    test = valid = _split(decoded.test)
    if hold_out and decoded.valid is not None:
        own = np.random.default_rng(seed).permutation(len(decoded.valid.images))
        valid = _split(decoded.valid, np.sort(own[:held_out]))
    elif hold_out:
        if len(order) < 2:
            raise DataError(f"of {len(order)} training images none can be held out: add images")
        count = max(1, round(_HELD_OUT * len(order)))
        if held_out is not None:
            count = min(held_out, len(order) - 1)
        valid, order = _split(decoded.train, np.sort(order[:count])), order[count:][:limit]
    rows = np.sort(order)
    height, width = decoded.train.images.shape[2:]
    mean, std = mean_and_std(decoded.moments[rows], height * width)
    return ImageData(
        train=_split(decoded.train, rows),
        valid=valid,
        test=test,
        classes=len(decoded.class_names),
        class_names=decoded.class_names,
        mean=mean,
        std=std,
        notes=decoded.notes,
        facts=decoded.facts,
    )


def _own(reference: str, directory: Path, adapt: Adapt) -> Decoded:
    arrays = own_arrays(reference, directory)
    given = {
        "train": (arrays.train_images, arrays.train_labels),
        "test": (arrays.test_images, arrays.test_labels),
    }
    parts, names = {}, arrays.class_names
    for part, (images, labels) in given.items():
        pixels, targets = channels_first(reference, part, images), np.asanyarray(labels)
        what = f"{reference}: {part}_labels"
        if targets.shape[:1] != pixels.shape[:1] or targets.dtype.kind not in "biuf":
            raise DataError(
                f"{what} must be numbers, a row for each of {len(pixels)} images, "
                f"got {targets.dtype} {targets.shape}"
            )
        targets, names = adapt(what, LabelledImages(pixels, targets), names)
        parts[part] = LabelledImages(pixels, targets)
    train, test = parts["train"], parts["test"]
    check_one_shape(reference, train.images, test.images)
    return Decoded.of(train, test, [str(name) for name in names or ()])


def as_they_are(
    what: str, part: LabelledImages, names: Sequence[str] | None
) -> tuple[np.ndarray, Sequence[str]]:
    """The targets as a function returned them, and an output for each column."""
    outputs = part.labels.shape[1] if part.labels.ndim > 1 else 1
    return part.labels, names or _numbers(outputs)


def output_names(
    what: str, names: Sequence[str] | None, count: int, outputs: str, *, spare: bool = False
) -> Sequence[str]:
    """A name for each output: those that a function gave, or the numbers from 0.

    Args:
        what: the beginning of a message.
        outputs: what they are, in the plural.
        spare: whether there may be more names than outputs.

    Raises:
        DataError: if there are too few names, or too many.
    """
    names = names or _numbers(count)
    if len(names) < count or (len(names) > count and not spare):
        raise DataError(f"{what} have {count} {outputs}, and there are {len(names)} names")
    return names


def _numbers(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def _split(part: LabelledImages, rows: np.ndarray | None = None) -> Split:
    targets = torch.from_numpy(part.labels)
    if targets.is_floating_point():
        targets = targets.to(torch.float32)
    chosen = None if rows is None else torch.from_numpy(rows)
    return Split(torch.from_numpy(part.images), targets, chosen)
