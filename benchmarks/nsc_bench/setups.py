"""What each table's blocks are trained on: data, network and recipe, small enough for one core."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from nni_blockqnn.data import ImageData, Split, load_dataset
from nni_blockqnn.data._arrays import channel_moments, mean_and_std
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.training.recipe import Recipe


@dataclass(frozen=True)
class Setup:
    """How a table's accuracies came about.

    Attributes:
        load: the data from the folder of the data set's files; ``None`` if it needs none.
    """

    name: str
    spec: NetworkSpec
    recipe: Recipe
    load: Callable[[Path | None], ImageData]

    def described(self) -> str:
        """JSON text: two tables are comparable if theirs are equal."""
        parts = {"data": self.name, "network": asdict(self.spec), "recipe": asdict(self.recipe)}
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
}
