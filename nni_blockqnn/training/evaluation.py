"""What a network is worth on images: the measures of its task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from nni_blockqnn.data import AnySplit
from nni_blockqnn.tasks import CLASSIFICATION, Measured, Task
from nni_blockqnn.training._batches import Batches
from nni_blockqnn.training.device import autocast, check_precision, kernels
from nni_blockqnn.training.distributed import ALONE, World
from nni_blockqnn.training.errors import memory_errors_explained
from nni_blockqnn.training.streaming import StreamedBatches, batches_of

_RESAMPLES = 1_000
_OUTSIDE = 2.5
"""Percent on each side of an interval."""


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
    """The network's top-1 accuracy on the split in percent: :func:`evaluate_task` of classes."""
    found = evaluate_task(
        CLASSIFICATION,
        network,
        split,
        mean,
        std,
        device=device,
        batch_size=batch_size,
        precision=precision,
    )
    return found.values["accuracy"]


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
    interval: bool = False,
) -> Measured:
    """What the task measures on the split; the network must be on the device.

    Args:
        deterministic: on a GPU, the same kernels at each run.
        interval: whether to ask for :attr:`Measured.interval` (:func:`score_interval`).

    Raises:
        ValueError: if the device lacks the precision.
        TrainingError: if the device runs out of memory.
        DataError: if an image that is streamed is broken.
    """
    check_precision(precision, device)
    chosen = kernels(precision, deterministic=deterministic)
    with memory_errors_explained(batch_size, device), chosen:
        batches = batches_of(split, mean, std, device, world)
        judged, targets = judged_images(task, network, batches, batch_size, precision)
    found = task.measure(judged, targets)
    return replace(found, interval=score_interval(task, judged, targets)) if interval else found


def measured(
    task: Task,
    network: nn.Module,
    batches: Batches | StreamedBatches,
    batch_size: int,
    precision: str,
) -> Measured:
    """The task's measures in evaluation mode, of all processes' shares; restores the network's
    mode."""
    return task.measure(*judged_images(task, network, batches, batch_size, precision))


def judged_images(
    task: Task,
    network: nn.Module,
    batches: Batches | StreamedBatches,
    batch_size: int,
    precision: str,
) -> tuple[Tensor, Tensor]:
    """What the task judges of each image, (N, S), and the targets, (N, ...), both on the CPU."""
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
    return judged.cpu(), batches.labels.cpu()


def score_interval(task: Task, judged: Tensor, targets: Tensor) -> tuple[float, float]:
    """The 95 % interval of the score over images, by a percentile bootstrap (Efron 1979): the
    images drawn anew, with repetition, a thousand times. The same images give the same interval.

    Args:
        judged, targets: as :func:`judged_images` returns them.
    """
    rng = np.random.default_rng(0)
    count = len(judged)
    scores = []
    for _ in range(_RESAMPLES):
        rows = torch.from_numpy(rng.integers(count, size=count))
        scores.append(task.score_of(judged[rows], targets[rows]))
    low, high = np.percentile(scores, [_OUTSIDE, 100 - _OUTSIDE])
    return float(low), float(high)
