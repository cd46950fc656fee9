"""Trainings that one process does as well as each of torchrun's, with what they are told apart by.

Started by torchrun, it keeps each process's results in the folder of its only argument.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nni_blockqnn.data import ImageData, Split, load_dataset
from nni_blockqnn.training import (
    ALONE,
    Checkpoint,
    EpochResult,
    Recipe,
    TrainingResult,
    World,
    joined,
    train,
)
from nni_blockqnn.training._batches import Batches

CPU = torch.device("cpu")
RECIPE = Recipe(
    epochs=2, batch_size=8, optimizer="sgd", learning_rate=0.1, restarts=0, augment=True
)
IMAGES = 21
"""Batches of 8, 8 and 5, whose shares are of 3 and 2; validated in shares of 11 and 10."""


def without_batch_norm() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 16, 4)
    )


def with_batch_norm() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 16, 4)
    )


def of_colours() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3, stride=2, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(16, 3)),
    )


class AlwaysTheLastClass(nn.Module):
    """Learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1, 4))

    def forward(self, images: Tensor) -> Tensor:
        logits = torch.tensor([0.0, 0.0, 0.0, 1.0]) + 0 * self.unused
        return logits.expand(len(images), -1)


def some_data() -> ImageData:
    generator = torch.Generator().manual_seed(5)
    split = Split(
        torch.randint(256, (IMAGES, 1, 6, 6), generator=generator, dtype=torch.uint8),
        torch.randint(4, (IMAGES,), generator=generator),
    )
    return ImageData(split, split, split, 4, tuple("abcd"), (0.5,), (0.25,))


def sorted_data() -> ImageData:
    """Validated on images sorted by class: the five of the last class are in the second share."""
    data = some_data()
    valid = Split(data.train.images, torch.arange(IMAGES) * 4 // IMAGES)
    return ImageData(data.train, valid, valid, 4, tuple("abcd"), (0.5,), (0.25,))


def plain(world: World = ALONE, **options: Any) -> TrainingResult:
    return train(without_batch_norm, some_data(), RECIPE, device=CPU, world=world, **options)


def normed(world: World = ALONE, **options: Any) -> TrainingResult:
    return train(with_batch_norm, some_data(), RECIPE, device=CPU, world=world, **options)


def restarted(world: World = ALONE) -> TrainingResult:
    """The first network is right for 5 of 21 images, below chance: for half of the second share,
    and for none of the first. The best of the second one's six epochs is kept."""
    networks = iter([AlwaysTheLastClass, without_batch_norm])
    recipe = Recipe(epochs=6, batch_size=8, optimizer="sgd", learning_rate=0.5, restarts=1)
    make_network: Callable[[], nn.Module] = lambda: next(networks)()  # noqa: E731
    return train(make_network, sorted_data(), recipe, device=CPU, keep_best=True, world=world)


def streamed(images: Path, world: World = ALONE) -> TrainingResult:
    data = load_dataset("imagenet", images, image_shape=(3, 16, 16), workers=0)
    return train(of_colours, data, RECIPE, device=CPU, world=world)


def resumed(world: World, folder: Path, epochs: list[int]) -> TrainingResult:
    checkpoint = Checkpoint(folder / f"{world.rank}.checkpoint", "it", seconds_between=0)
    with suppress(KeyboardInterrupt):
        normed(world, on_epoch=_interrupt_second_epoch, checkpoint=checkpoint)
    return normed(world, on_epoch=lambda it: epochs.append(it.epoch), checkpoint=checkpoint)


def _interrupt_second_epoch(epoch: EpochResult) -> None:
    if epoch.epoch == 2:
        raise KeyboardInterrupt


def _order_of_first(world: World) -> list[int]:
    """The labels of an epoch where each process's generator is another one."""
    images = torch.zeros(IMAGES, 1, 6, 6, dtype=torch.uint8)
    batches = Batches(Split(images, torch.arange(IMAGES)), (0.5,), (0.25,), CPU, world)
    generator = torch.Generator().manual_seed(world.rank)
    return torch.cat([labels for _, labels in batches.shuffled(8, generator, False)]).tolist()


def _difference(world: World) -> str:
    try:
        world.check_same({"seed": 3, "epochs": 5 + world.rank})
    except ValueError as error:
        return str(error)
    return ""


def _in_two_processes(folder: Path) -> None:
    torch.set_num_threads(1)
    with joined("cpu") as (world, device):
        assert device == "cpu"
        epochs: list[int] = []
        found = {
            "plain": plain(world),
            "split": plain(world, micro_batch=2),  # each share of four in two parts
            "normed": normed(world),
            "resumed": resumed(world, folder, epochs),
            "restarted": restarted(world),
            "streamed": streamed(folder / "images", world),
        }
        kept = {
            "weights": {name: one.network.state_dict() for name, one in found.items()},
            "losses": {name: [e.loss for e in one.epochs] for name, one in found.items()},
            "accuracies": {name: [e.accuracy for e in one.epochs] for name, one in found.items()},
            "restarts": found["restarted"].restarts,
            "kept_epoch": found["restarted"].kept_epoch,
            "resumed_epochs": epochs,
            "order": _order_of_first(world),
            "difference": _difference(world),
            "least": world.least(7 - world.rank, CPU),
        }
        torch.save(kept, folder / f"{world.rank}.pt")


if __name__ == "__main__":
    _in_two_processes(Path(sys.argv[1]))
