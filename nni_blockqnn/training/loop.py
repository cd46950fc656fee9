"""Training with the paper's restart rule (BlockQNN, arXiv 1708.05552, Section 4.2)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, PyTorch's own name for it
from torch import nn
from torch.optim.lr_scheduler import MultiStepLR

from nni_blockqnn.data import ImageData
from nni_blockqnn.training.batches import Batches, accuracy
from nni_blockqnn.training.checkpoint import Checkpoint
from nni_blockqnn.training.errors import TrainingError, memory_errors_explained
from nni_blockqnn.training.recipe import Recipe


@dataclass(frozen=True)
class EpochResult:
    """An epoch's outcome.

    Attributes:
        epoch: counted from 1, and from 1 again after a restart.
        loss: mean cross-entropy over the epoch's training batches; not finite only in a first
            epoch that is followed by a restart.
        accuracy: on the validation set, in percent.
        learning_rate: the epoch's.
        restarts: how many restarts came before.
        seconds: training and validation together.
    """

    epoch: int
    loss: float
    accuracy: float
    learning_rate: float
    restarts: int
    seconds: float


@dataclass(frozen=True)
class TrainingResult:
    """A training's outcome.

    Attributes:
        network: as the last epoch left it, on the device, in evaluation mode.
        accuracy: the last epoch's on the validation set, in percent.
        best_accuracy: the best epoch's.
        restarts: how often it started anew.
        learning_rate: initial learning rate of the start that counts.
        epochs: of the start that counts.
        seconds: all starts together.
    """

    network: nn.Module
    accuracy: float
    best_accuracy: float
    restarts: int
    learning_rate: float
    epochs: list[EpochResult]
    seconds: float


def train(
    make_network: Callable[[], nn.Module],
    data: ImageData,
    recipe: Recipe,
    *,
    device: torch.device,
    seed: int = 0,
    on_epoch: Callable[[EpochResult], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> TrainingResult:
    """Trains a network on `data.train`, with `data.valid` looked at after each epoch.

    If the first epoch is not better than chance (accuracy <= 100 / classes, or a loss that is not
    finite), the training starts anew with a new network, other random numbers and a smaller
    learning rate, at most `recipe.restarts` times; after that it goes on whatever the accuracy.

    Args:
        make_network: builds a freshly initialised network, once for each start; it draws from
            PyTorch's global generator, which is seeded for it and put back at the end.
        data: whole on the device, as bytes.
        seed: of weights, order and augmentation. The same seed gives the same result on the same
            device.
        on_epoch: is told of each epoch, those before a restart included, but not of those that a
            checkpoint brings.
        checkpoint: written after epochs and gone on from if it is there; the result is the same.

    Raises:
        TrainingError: if the loss is not finite, or the device's memory does not suffice.
    """
    began = time.perf_counter()
    chance = 100 / data.classes
    saved = checkpoint.load() if checkpoint else None
    first_start = saved["restarts"] if saved else 0
    with memory_errors_explained(recipe.batch_size, device), _deterministic_cudnn():
        training = Batches(data.train, data.mean, data.std, device)
        validation = Batches(data.valid, data.mean, data.std, device)
        for restarts in range(first_start, recipe.restarts + 1):
            with _seeded(seed, restarts, device) as generator:
                start = _Start(make_network().to(device), recipe, restarts, generator)
                if saved and restarts == first_start:
                    start.restore(saved)
                if start.run(training, validation, chance, on_epoch, checkpoint):
                    break
    epochs = start.epochs
    return TrainingResult(
        network=start.network.eval(),
        accuracy=epochs[-1].accuracy,
        best_accuracy=max(epoch.accuracy for epoch in epochs),
        restarts=restarts,
        learning_rate=start.learning_rate,
        epochs=epochs,
        seconds=time.perf_counter() - began,
    )


class _Start:
    """One start: a new network and what trains it."""

    def __init__(
        self, network: nn.Module, recipe: Recipe, restarts: int, generator: torch.Generator
    ) -> None:
        self.network = network.to(memory_format=torch.channels_last)
        self.learning_rate = recipe.learning_rate * recipe.restart_factor**restarts
        self.epochs: list[EpochResult] = []
        self._recipe = recipe
        self._restarts = restarts
        self._generator = generator
        self._optimizer = _optimizer(self.network, recipe, self.learning_rate)
        self._schedule = MultiStepLR(self._optimizer, list(recipe.milestones), recipe.factor)

    def run(
        self,
        training: Batches,
        validation: Batches,
        chance: float,
        on_epoch: Callable[[EpochResult], None] | None,
        checkpoint: Checkpoint | None,
    ) -> bool:
        """All epochs that are left; False if the first one calls for a restart."""
        for epoch in range(len(self.epochs) + 1, self._recipe.epochs + 1):
            result = self._epoch(epoch, training, validation)
            finite = math.isfinite(result.loss)
            may_restart = epoch == 1 and self._restarts < self._recipe.restarts
            if not finite and not may_restart:
                raise _diverged(result)
            if on_epoch is not None:
                on_epoch(result)
            # a constant answer has exactly chance, which division need not give exactly
            if may_restart and not (finite and result.accuracy > chance + 1e-9):
                return False
            self.epochs.append(result)
            if checkpoint is not None:
                checkpoint.save(self._state())
        return True

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`_state` gave."""
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._generator.set_state(state["generator"])
        self.epochs = [EpochResult(**epoch) for epoch in state["epochs"]]

    def _state(self) -> dict[str, Any]:
        schedule = self._schedule.state_dict()
        progress = ("last_epoch", "_step_count", "_last_lr")
        return {
            "restarts": self._restarts,
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": {name: schedule[name] for name in progress},
            "generator": self._generator.get_state(),
            "epochs": [asdict(epoch) for epoch in self.epochs],
        }

    def _epoch(self, epoch: int, training: Batches, validation: Batches) -> EpochResult:
        began = time.perf_counter()
        (learning_rate,) = self._schedule.get_last_lr()
        loss = self._fit(training)
        self._schedule.step()
        percent = accuracy(self.network, validation, self._recipe.batch_size)
        seconds = time.perf_counter() - began
        return EpochResult(epoch, loss, percent, float(learning_rate), self._restarts, seconds)

    def _fit(self, training: Batches) -> float:
        """One epoch of steps; the mean loss."""
        self.network.train()
        recipe, images_seen = self._recipe, 0
        # summed up on the device: reading a loss after each step would wait for the device
        total = torch.zeros((), device=training.split.labels.device)
        for images, labels in training.shuffled(recipe.batch_size, self._generator, recipe.augment):
            loss = F.cross_entropy(self.network(images), labels)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self._optimizer.step()
            total += loss.detach() * len(labels)
            images_seen += len(labels)
        return float(total) / images_seen


def _optimizer(network: nn.Module, recipe: Recipe, learning_rate: float) -> torch.optim.Optimizer:
    def make(**options: bool) -> torch.optim.Optimizer:
        decay = recipe.weight_decay
        if recipe.optimizer == "adam":
            return torch.optim.Adam(
                network.parameters(),
                learning_rate,
                recipe.betas,
                recipe.eps,
                weight_decay=decay,
                **options,
            )
        return torch.optim.SGD(
            network.parameters(), learning_rate, recipe.momentum, weight_decay=decay, **options
        )

    try:
        return make(fused=True)
    except (RuntimeError, TypeError):  # not on this device, or not in this version of PyTorch
        return make()


def _diverged(result: EpochResult) -> TrainingError:
    became = "NaN" if math.isnan(result.loss) else "infinite"
    return TrainingError(
        f"loss became {became} in epoch {result.epoch} (learning rate {result.learning_rate:g}): "
        "lower the recipe's learning rate; if it happens to every block, look at the data"
    )


@contextmanager
def _seeded(seed: int, restarts: int, device: torch.device) -> Iterator[torch.Generator]:
    """Seeds PyTorch's global generator for a while; yields one for order and augmentation."""
    weights, order = np.random.SeedSequence([seed, restarts]).generate_state(2)
    generator = torch.Generator(device=device).manual_seed(int(order))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(weights))
        yield generator


@contextmanager
def _deterministic_cudnn() -> Iterator[None]:
    """Otherwise cuDNN may choose other kernels at each run: the same seed, but other weights."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
