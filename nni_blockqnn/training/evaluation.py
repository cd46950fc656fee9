"""What a network is worth on images: the measures of its task, for classification accuracies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from nni_blockqnn.data import AnySplit
from nni_blockqnn.tasks import CLASSIFICATION, Measured, Task
from nni_blockqnn.training._batches import Batches
from nni_blockqnn.training.device import autocast, check_precision, kernels
from nni_blockqnn.training.distributed import ALONE, World
from nni_blockqnn.training.errors import memory_errors_explained
from nni_blockqnn.training.streaming import StreamedBatches, batches_of


@dataclass(frozen=True)
class Accuracies:
    """In percent.

    Attributes:
        top1: the largest logit is that of the label.
        top5: one of the five largest is; None for fewer than 100 classes.
        of_classes: top-1 of each class's images; None for a class that has none. Not compared.
    """

    top1: float
    top5: float | None
    of_classes: tuple[float | None, ...] = field(default=(), compare=False)


def evaluate(
    network: nn.Module,
    split: AnySplit,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    device: torch.device,
    batch_size: int = 256,
    precision: str = "fp32",
) -> float:
    """The network's top-1 accuracy on the split in percent: see :func:`evaluate_accuracies`."""
    return evaluate_accuracies(
        network, split, mean, std, device=device, batch_size=batch_size, precision=precision
    ).top1


def evaluate_accuracies(
    network: nn.Module,
    split: AnySplit,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    device: torch.device,
    batch_size: int = 256,
    precision: str = "fp32",
    deterministic: bool = False,
    world: World = ALONE,
) -> Accuracies:
    """The network's accuracies on the split; the network must be on the device.

    Args:
        deterministic: on a GPU, the same kernels at each run.

    Raises:
        ValueError: if the device lacks the precision.
        TrainingError: if the device runs out of memory.
        DataError: if an image that is streamed is broken.
    """
    return _accuracies(
        evaluate_task(
            CLASSIFICATION,
            network,
            split,
            mean,
            std,
            device=device,
            batch_size=batch_size,
            precision=precision,
            deterministic=deterministic,
            world=world,
        )
    )


def evaluate_task(
    task: Task,
    network: nn.Module,
    split: AnySplit,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    device: torch.device,
    batch_size: int = 256,
    precision: str = "fp32",
    deterministic: bool = False,
    world: World = ALONE,
) -> Measured:
    """What the task measures on the split: as :func:`evaluate_accuracies`, of any task."""
    check_precision(precision, device)
    chosen = kernels(precision, deterministic=deterministic)
    with memory_errors_explained(batch_size, device), chosen:
        batches = batches_of(split, mean, std, device, world)
        return measured(task, network, batches, batch_size, precision)


def measured(
    task: Task,
    network: nn.Module,
    batches: Batches | StreamedBatches,
    batch_size: int,
    precision: str,
) -> Measured:
    """The task's measures in evaluation mode, of all processes' shares; restores the network's
    mode."""
    was_training = network.training
    network.eval()
    found = []
    with torch.inference_mode(), autocast(precision, batches.device):
        for images, targets in batches.in_order(batch_size):
            found.append(task.judge(network(images).float(), targets).to(torch.float32))
    network.train(was_training)
    own = torch.cat(found)
    judged = torch.zeros(len(batches), own.shape[1], device=batches.device)
    batches.world.share(judged).copy_(own)  # a view: each process fills in its own images' rows
    batches.world.sum_(judged)
    return task.measure(judged.cpu(), batches.labels.cpu())


def accuracies(
    network: nn.Module, batches: Batches | StreamedBatches, batch_size: int, precision: str
) -> Accuracies:
    """As :func:`measured`, of classification."""
    return _accuracies(measured(CLASSIFICATION, network, batches, batch_size, precision))


def _accuracies(found: Measured) -> Accuracies:
    values = found.values
    return Accuracies(values["accuracy"], values.get("top5_accuracy"), found.of_outputs)
