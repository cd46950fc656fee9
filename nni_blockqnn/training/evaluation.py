"""Top-1 and top-5 accuracy of a network, and the accuracy of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from nni_blockqnn.data import AnySplit
from nni_blockqnn.training._batches import Batches
from nni_blockqnn.training.device import autocast, check_precision, kernels
from nni_blockqnn.training.distributed import ALONE, World
from nni_blockqnn.training.errors import memory_errors_explained
from nni_blockqnn.training.streaming import StreamedBatches, batches_of

TOP5_CLASSES = 100
"""From so many classes on, the top-5 accuracy is taken as well."""


@dataclass(frozen=True)
class Accuracies:
    """In percent.

    Attributes:
        top1: the largest logit is that of the label.
        top5: one of the five largest is; None for fewer than `TOP5_CLASSES` classes.
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
    check_precision(precision, device)
    chosen = kernels(precision, deterministic=deterministic)
    with memory_errors_explained(batch_size, device), chosen:
        batches = batches_of(split, mean, std, device, world)
        return accuracies(network, batches, batch_size, precision)


def accuracies(
    network: nn.Module, batches: Batches | StreamedBatches, batch_size: int, precision: str
) -> Accuracies:
    """Accuracies in evaluation mode, of all processes' shares; restores the network's mode."""
    was_training = network.training
    network.eval()
    device = batches.device
    counts = batches.labels.bincount().tolist()
    right = torch.zeros(len(counts), dtype=torch.int64, device=device)
    among_five = torch.zeros((), dtype=torch.int64, device=device)
    classes = 0
    with torch.inference_mode(), autocast(precision, device):
        for images, labels in batches.in_order(batch_size):
            logits = network(images)
            classes = logits.shape[1]
            right.index_add_(0, labels, (logits.argmax(dim=1) == labels).to(torch.int64))
            if classes >= TOP5_CLASSES:
                among_five += _among_five(logits, labels)
    network.train(was_training)
    batches.world.sum_(right)
    batches.world.sum_(among_five)
    top5 = 100 * int(among_five) / len(batches) if classes >= TOP5_CLASSES else None
    of_classes = tuple(
        100 * hits / count if count else None
        for hits, count in zip(right.tolist(), counts, strict=True)
    )
    return Accuracies(100 * int(right.sum()) / len(batches), top5, of_classes)


def _among_five(logits: Tensor, labels: Tensor) -> Tensor:
    """How many of the labels (B,) are among the five largest of their logits (B, classes)."""
    return (logits.topk(5, dim=1).indices == labels[:, None]).sum()
