"""Results of epochs and trainings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from nni_blockqnn.tasks.classification import balanced


@dataclass(frozen=True)
class EpochResult:
    """The result of one epoch.

    Attributes:
        epoch: counted from 1, and from 1 again after a restart.
        loss: mean over the epoch's training batches; not finite only in a first
            epoch that is followed by a restart.
        accuracy: on the validation set, in percent; of another task than classification its score,
            the first of its measures, turned so that more is better.
        learning_rate: of the optimizer throughout the epoch.
        restarts: how many restarts came before it.
        seconds: wall-clock time of training and validation together.
        top5_accuracy: on the validation set, in percent; None for fewer than 100 classes.
        class_accuracies: of each class's images there, in percent; None for a class without any. Of
            another task the first measure of each key point and so on.
        measured: all that the task measured there, by its measures' names; empty if an earlier
            version trained.
        sampled: whether all this was measured on a sample of the validation set.
    """

    epoch: int
    loss: float
    accuracy: float
    learning_rate: float
    restarts: int
    seconds: float
    top5_accuracy: float | None = None
    class_accuracies: tuple[float | None, ...] = ()
    measured: Mapping[str, float] = field(default_factory=dict)
    sampled: bool = False

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the accuracies of the classes that have validation images, in percent."""
        return balanced(self.class_accuracies)

    def value(self, name: str) -> float | None:
        """What metrics have under this name: "accuracy", or one of the task's measures."""
        if name in self.measured and name != "accuracy":
            return self.measured[name]
        value: float | None = getattr(self, name, None)
        return value


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


def best_epoch(epochs: list[EpochResult]) -> EpochResult:
    """The epoch of the best accuracy, the latest of several: its learning rate is the smallest.

    Of those that were validated on a sample, and those on all images, only the latter count.
    """
    whole = [epoch for epoch in epochs if not epoch.sampled] or epochs
    return max(reversed(whole), key=lambda epoch: epoch.accuracy)
