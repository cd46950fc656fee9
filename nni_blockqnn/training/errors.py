"""Errors that end a training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class TrainingError(Exception):
    """One line that says why a training ended and what to do.

    Attributes:
        of_block: whether the block caused it, so that another attempt would end alike.
    """

    def __init__(self, message: str, *, of_block: bool = True) -> None:
        super().__init__(message)
        self.of_block = of_block


NEIGHBOURS_SHARE = 0.1
"""Of a GPU's memory: if other processes hold more, a block may have failed for want of that."""
_CUDA_CONTEXT = 2**30
"""Bytes that a process takes on a GPU beside its tensors, at most."""

_MEMORY_SIGNS = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "alloc_failed",
    "bad_alloc",
)


def ran_out_of_memory(error: Exception) -> bool:
    """Whether it is any of the errors that PyTorch raises for it, on a GPU or the CPU."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in text for sign in _MEMORY_SIGNS)
    )


def too_large(batch_size: int, device: torch.device, smallest: int | None = None) -> TrainingError:
    """The error of a block that ran out of memory, which may be a neighbour's fault.

    Args:
        smallest: images of the smallest micro-batch that was tried as well.
    """
    tried = "" if smallest in (None, batch_size) else f", even in micro-batches of {smallest}"
    others, total = _memory_of_others(device)
    if others > NEIGHBOURS_SHARE * total:
        return TrainingError(
            f"out of memory on this device ({device}) at batch {batch_size}{tried}, while other "
            f"processes hold {others / 2**30:.3g} of its {total / 2**30:.3g} GiB: end them, or run "
            "fewer trials at a time on it (maxTrialNumberPerGpu, trialConcurrency)",
            of_block=False,
        )
    return TrainingError(
        f"the block is too large for this device ({device}) at batch {batch_size}{tried}: out of "
        "memory. Set limits.max_activations, fewer repeats, or a smaller batch size"
    )


def _memory_of_others(device: torch.device) -> tuple[int, int]:
    """Bytes of a GPU that other processes hold, and all that it has; nothing for the CPU, where
    the system can move what others hold out of the way."""
    if device.type != "cuda" or not torch.cuda.is_available():
        return 0, 0
    free, total = torch.cuda.mem_get_info(device)
    return max(0, total - free - torch.cuda.memory_reserved(device) - _CUDA_CONTEXT), total


@contextmanager
def memory_errors_explained(batch_size: int, device: torch.device) -> Iterator[None]:
    """Turn whatever PyTorch raises for want of memory into a TrainingError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        raise too_large(batch_size, device) from error
