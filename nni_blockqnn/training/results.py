"""Results of epochs and trainings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class EpochResult:
    """The result of one epoch.

    Attributes:
        epoch: counted from 1, and from 1 again after a restart.
        loss: mean cross-entropy over the epoch's training batches; not finite only in a first
            epoch that is followed by a restart.
        accuracy: on the validation set, in percent.
        learning_rate: of the optimizer throughout the epoch.
        restarts: how many restarts came before it.
        seconds: wall-clock time of training and validation together.
        top5_accuracy: on the validation set, in percent; None for fewer than 100 classes.
        class_accuracies: of each class's images there, in percent; None for a class without any.
    """

    epoch: int
    loss: float
    accuracy: float
    learning_rate: float
    restarts: int
    seconds: float
    top5_accuracy: float | None = None
    class_accuracies: tuple[float | None, ...] = ()

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the accuracies of the classes that have validation images, in percent."""
        return balanced(self.class_accuracies)


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training.

    Attributes:
        network: with the weights of `kept_epoch`, on the device, in evaluation mode.
        accuracy: of the last epoch on the validation set, in percent.
        best_accuracy: of the best epoch on the validation set, in percent.
        kept_epoch: the last epoch, or with `keep_best` the best one, counted from 1.
        restarts: how often it started anew.
        learning_rate: initial learning rate of the start that counts.
        epochs: of the start that counts.
        seconds: wall-clock time of all starts, attempts that ran out of memory included.
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


def balanced(class_accuracies: Sequence[float | None]) -> float:
    """Mean over the classes that have images; what a constant answer gets is chance.

    NaN if none has, as in a checkpoint of an earlier version.
    """
    found = [accuracy for accuracy in class_accuracies if accuracy is not None]
    return sum(found) / len(found) if found else math.nan


def best_epoch(epochs: list[EpochResult]) -> EpochResult:
    """The epoch of the best accuracy, the latest of several: its learning rate is the smallest."""
    return max(reversed(epochs), key=lambda epoch: epoch.accuracy)
