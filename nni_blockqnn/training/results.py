"""What a training tells of itself."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


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
        top5_accuracy: on the validation set, in percent; None for fewer than 100 classes.
    """

    epoch: int
    loss: float
    accuracy: float
    learning_rate: float
    restarts: int
    seconds: float
    top5_accuracy: float | None = None


@dataclass(frozen=True)
class TrainingResult:
    """A training's outcome.

    Attributes:
        network: as the last epoch left it, or the best one with `keep_best`, on the device, in
            evaluation mode.
        accuracy: the last epoch's on the validation set, in percent.
        best_accuracy: the best epoch's.
        kept_epoch: whose weights the network has, counted from 1.
        restarts: how often it started anew.
        learning_rate: initial learning rate of the start that counts.
        epochs: of the start that counts.
        seconds: all starts together, and attempts that ran out of memory.
        micro_batch: images that the network saw at once; the batch size unless memory was short.
    """

    network: nn.Module
    accuracy: float
    best_accuracy: float
    kept_epoch: int
    restarts: int
    learning_rate: float
    epochs: list[EpochResult]
    seconds: float
    micro_batch: int


def best_epoch(epochs: list[EpochResult]) -> EpochResult:
    """The latest of the best: at equal accuracy, later epochs have the smaller learning rate."""
    return max(reversed(epochs), key=lambda epoch: epoch.accuracy)
