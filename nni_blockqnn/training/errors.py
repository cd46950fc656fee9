"""Errors that end a training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class TrainingError(Exception):
    """One line that says why a training ended and what to do."""


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
    """The error of a block that ran out of memory.

    Args:
        smallest: images of the smallest micro-batch that was tried as well.
    """
    tried = "" if smallest in (None, batch_size) else f", even in micro-batches of {smallest}"
    return TrainingError(
        f"the block is too large for this device ({device}) at batch {batch_size}{tried}: out of "
        "memory. Set limits.max_activations, fewer repeats, or a smaller batch size"
    )


@contextmanager
def memory_errors_explained(batch_size: int, device: torch.device) -> Iterator[None]:
    """Turn whatever PyTorch raises for want of memory into a TrainingError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        raise too_large(batch_size, device) from error
