"""What each table's blocks are trained on: data, network and recipe, small enough for one core."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.data import ImageData, Split, load_dataset
from nni_blockqnn.data._arrays import channel_moments, mean_and_std
from nni_blockqnn.data._splits import stratified_sample
from nni_blockqnn.network.equal_cost import CostTarget, equal_cost
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.training.recipe import Recipe


@dataclass(frozen=True)
class Setup:
    """How a table's accuracies came about.

    Attributes:
        load: the data from the folder of the data set's files; ``None`` if it needs none.
        match: what every network costs, by its width; ``None`` for the spec as it is.
        scored: the split whose accuracy counts after the last epoch.
        seeds: trainings of a block; ``None`` for those of its kind (:mod:`nsc_bench.plan`).
    """

    name: str
    spec: NetworkSpec
    recipe: Recipe
    load: Callable[[Path | None], ImageData]
    match: CostTarget | None = None
    scored: Literal["valid", "test"] = "valid"
    seeds: int | None = None

    def network(self, block: Block) -> NetworkSpec | None:
        """The network around the block; ``None`` if it cannot have the cost."""
        return self.spec if self.match is None else equal_cost(block, self.spec, self.match)

    def described(self) -> str:
        """JSON text: two tables are comparable if theirs are equal."""
        parts = {"data": self.name, "network": asdict(self.spec), "recipe": asdict(self.recipe)}
        if self.match is not None:
            parts |= {"match": self.match._asdict(), "scored": self.scored}
        return json.dumps(parts, sort_keys=True)


def _pooled_fashion_mnist(data_dir: Path | None) -> ImageData:
    """2,000 training and 3,000 validation images, both of the training set, of 14x14 pixels."""
    data = load_dataset("fashion_mnist", data_dir, limit=5_000, validation_fraction=0.6)
    assert isinstance(data.train, Split)
    assert isinstance(data.valid, Split)
    train, valid = _pooled(data.train), _pooled(data.valid)
    mean, std = mean_and_std(channel_moments(train.images.numpy()), 14 * 14)
    return ImageData(train, valid, valid, data.classes, data.class_names, mean, std)


def _pooled(split: Split) -> Split:
    """Average-pooled 2x2, rounded to bytes."""
    pooled = torch.nn.functional.avg_pool2d(split.images.float(), 2)
    return Split(pooled.round().to(torch.uint8), split.labels)


def _half_of_digits(_: Path | None) -> ImageData:
    """719 training and 719 validation images of 8x8 pixels."""
    return load_dataset("digits", None, validation_fraction=0.5)


@cache
def _fashion_mnist(data_dir: Path | None) -> ImageData:
    """5,000 training and 2,000 validation images of 14x14 pixels, and the 10,000 of the test
    set."""
    data = load_dataset("fashion_mnist", data_dir, limit=7_000, validation_fraction=2 / 7)
    assert isinstance(data.train, Split)
    assert isinstance(data.valid, Split)
    assert isinstance(data.test, Split)
    train = _pooled(data.train)
    mean, std = mean_and_std(channel_moments(train.images.numpy()), 14 * 14)
    return replace(
        data, train=train, valid=_pooled(data.valid), test=_pooled(data.test), mean=mean, std=std
    )


@cache
def _cifar10(data_dir: Path | None) -> ImageData:
    """5,000 training and 2,000 validation images of 16x16 pixels, and the 10,000 of the test set.

    The folder holds ``train`` and ``test``, in each a folder a class.
    """
    return load_dataset(
        "image-folder", data_dir, image_shape=(3, 16, 16), limit=7_000, validation_fraction=2 / 7
    )


@cache
def unused_images(data_dir: Path | None) -> Split:
    """20,000 of CIFAR-10's training images, 16x16, that no other setup has used."""
    used = _cifar10(data_dir)
    every = load_dataset("image-folder", data_dir, image_shape=(3, 16, 16), validation="test").train
    assert isinstance(every, Split)
    assert isinstance(used.train, Split)
    assert isinstance(used.valid, Split)
    seen = {image.numpy().tobytes() for part in (used.train, used.valid) for image in part.images}
    pool = every.images
    order = np.random.default_rng(0).permutation(len(every))
    rows = [row for row in order if pool[row].numpy().tobytes() not in seen]
    return every.select(torch.tensor(rows[:20_000]))


@cache
def _well_validated(data_dir: Path | None) -> ImageData:
    """As for the long training, but 10,000 other images to validate on."""
    return replace(_cifar10(data_dir), valid=unused_images(data_dir).select(torch.arange(10_000)))


def _early(data: ImageData) -> ImageData:
    """2,000 of the training images; the same validation images."""
    assert isinstance(data.train, Split)
    rows = stratified_sample(data.train.labels.numpy(), 2_000, np.random.default_rng(0))
    return replace(data, train=data.train.select(torch.from_numpy(rows)))


_EARLY = Recipe(4, 64, "adam", 0.006, milestones=(2, 3), factor=0.3)
_LONG = Recipe(12, 64, "adam", 0.006, milestones=(6, 9, 11), factor=0.3)


def _ground(
    name: str,
    images: str,
    load: Callable[[Path | None], ImageData],
    input_shape: tuple[int, int, int],
    flops: int,
) -> dict[str, Setup]:
    """The full space at equal cost: an early stop, a long training, and one in a larger network."""
    spec = NetworkSpec(
        input_shape=input_shape, classes=10, filters=(16, 32), repeats=1, stem_pools=1
    )
    few = f"{images}, 2,000 training and 2,000 validation images"
    many = f"{images}, 5,000 training and 10,000 test images"
    target, larger = CostTarget("flops", flops), CostTarget("flops", 4 * flops)
    long = Setup(many, spec, _LONG, load, target, scored="test", seeds=3)
    return {
        name: Setup(few, spec, _EARLY, lambda folder: _early(load(folder)), target, seeds=2),
        f"{name}_long": long,
        f"{name}_large": replace(long, spec=spec.with_repeats(2), match=larger, seeds=2),
    }


SETUPS = {
    "fashion_mnist": Setup(
        "fashion_mnist, 14x14, 2,000 training and 3,000 validation images",
        # the stem's pooling halves the map before the first block, where most of the time goes
        NetworkSpec(input_shape=(1, 14, 14), classes=10, filters=(8, 16), repeats=1, stem_pools=1),
        # the smaller learning rate of the last epoch takes a third off the noise between seeds
        Recipe(2, 64, "adam", 0.01, milestones=(1,), factor=0.2),
        _pooled_fashion_mnist,
    ),
    "digits": Setup(
        "digits, 8x8, 719 training and 719 validation images",
        NetworkSpec(input_shape=(1, 8, 8), classes=10, filters=(8, 16), repeats=1, stem_pools=1),
        Recipe(4, 32, "adam", 0.01, milestones=(2, 3), factor=0.3),
        _half_of_digits,
    ),
    **_ground(
        "cifar10", "CIFAR-10 (a JPEG copy, 30.5 dB), 16x16", _cifar10, (3, 16, 16), 1_000_000
    ),
    **_ground("fashion_mnist_full", "fashion_mnist, 14x14", _fashion_mnist, (1, 14, 14), 750_000),
}

SETUPS["cifar10_validated"] = replace(
    SETUPS["cifar10"],
    name="CIFAR-10 (a JPEG copy, 30.5 dB), 16x16, 2,000 training and 10,000 validation images",
    load=lambda folder: _early(_well_validated(folder)),
)
SETUPS["cifar10_long_validated"] = replace(
    SETUPS["cifar10_long"],
    name="CIFAR-10 (a JPEG copy, 30.5 dB), 16x16, 5,000 training, 10,000 validation, 10,000 test",
    load=_well_validated,
)

GROUNDS = {
    name: (name, f"{name}_long", f"{name}_large") for name in ("cifar10", "fashion_mnist_full")
}
"""Setups of early stops, long trainings and larger networks over the same blocks."""
