"""Micro-batches for networks that a whole batch does not fit in memory.

Gradients of the micro-batches add up to that of the mean over the whole batch. Only batch
normalisation sees the difference: it normalises each micro-batch by itself.
"""

from __future__ import annotations

import gc

import psutil
import torch

from nni_blockqnn.network.cost import Cost
from nni_blockqnn.training.errors import TrainingError

SMALLEST_MICRO_BATCH = 16
"""Statistics of fewer images are too noisy (Wu and He, arXiv 1803.08494, Fig. 1)."""

_BYTES = 4
_BYTES_OF_A_MAP = {"fp32": 4, "tf32": 4, "bf16": 2}
_COPIES_OF_A_WEIGHT = 4
"""The weight itself, its gradient and Adam's two moments."""


def halved(micro_batch: int) -> int | None:
    """The micro-batch to try next, or ``None`` if there is no smaller one."""
    half = micro_batch // 2
    return half if half >= SMALLEST_MICRO_BATCH else None


def fitting_micro_batch(
    cost: Cost,
    batch_size: int,
    device: torch.device,
    precision: str = "fp32",
    processes: int = 1,
) -> int:
    """The batch size, or the first half, quarter, ... of it that fits in the device's memory.

    The need is an estimate: weights with gradients and moments, and the feature maps of a
    micro-batch. What a backward pass needs of these is 0.5 to 2.3 times the estimate, in the median
    0.8 times (80 random blocks; the indices of max poolings are what takes more).

    Args:
        processes: that share the memory where the device is the CPU.

    Raises:
        TrainingError: if none fits, saying how much memory it needs, how much the device has,
            and what to do.
    """
    available = _total_memory(device, processes)
    micro_batch = batch_size
    while (needed := _needed(cost, micro_batch, precision)) > available:
        half = halved(micro_batch)
        if half is None:
            raise TrainingError(
                f"the block is too large for this device ({device}): its network needs some "
                f"{needed / 2**30:.3g} GiB at batch {micro_batch}, of {available / 2**30:.3g} GiB. "
                "Set the tuner's limits (max_params, max_activations), fewer repeats or a smaller "
                "batch"
            )
        micro_batch = half
    return micro_batch


def free_memory(device: torch.device) -> None:
    """Free what a failed attempt left behind."""
    gc.collect()  # a network may lie in a cycle of references
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _needed(cost: Cost, micro_batch: int, precision: str) -> int:
    weights = _BYTES * _COPIES_OF_A_WEIGHT * cost.params
    return weights + _BYTES_OF_A_MAP[precision] * micro_batch * cost.activations


def _total_memory(device: torch.device, processes: int) -> int:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return psutil.virtual_memory().total // processes
