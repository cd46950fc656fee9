"""Trainings that cannot go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class TrainingError(Exception):
    """One line that says why a training ended and what to do."""


_MEMORY_SIGNS = ("out of memory", "not enough memory", "can't allocate memory", "alloc_failed")


@contextmanager
def memory_errors_explained(batch_size: int, device: torch.device) -> Iterator[None]:
    """Turns each of the ways in which PyTorch runs out of memory into a TrainingError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error).lower()
        if not isinstance(error, MemoryError) and not any(sign in text for sign in _MEMORY_SIGNS):
            raise
        raise TrainingError(
            f"the block is too large for this device ({device}) at batch {batch_size}: out of "
            "memory. Set limits.max_activations, fewer repeats, or a smaller batch size"
        ) from error
