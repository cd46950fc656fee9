"""Random crops and flips of a whole batch at once, on whatever device it lies."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812, PyTorch's own name for it
from torch import Tensor

PADDING = 4
"""Pixels on each side, of the paper's recipe."""


def drawn_crops(
    count: int, padding: int, generator: torch.Generator, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Where to cut, (2, count) from 0 to 2 * padding, and whether to flip, (count,) bool."""
    offsets = torch.randint(2 * padding + 1, (2, count), generator=generator, device=device)
    flips = torch.randint(2, (count,), generator=generator, device=device).bool()
    return offsets, flips


def crop_and_flip(images: Tensor, top: Tensor, left: Tensor, flips: Tensor, padding: int) -> Tensor:
    """Each image of the batch cut out of its zero-padded self.

    Args:
        images: (B, C, H, W).
        top: (B,) first row of the cut in the padded image, 0 to 2 * padding.
        left: (B,) first column.
        flips: (B,) bool, whether to mirror the cut left to right.
        padding: pixels on each side.
    """
    count, channels, height, width = images.shape
    device = images.device
    padded = F.pad(images, (padding, padding, padding, padding))
    rows = top[:, None] + torch.arange(height, device=device)
    columns = left[:, None] + torch.arange(width, device=device)
    columns = torch.where(flips[:, None], columns.flip(1), columns)
    return padded[
        torch.arange(count, device=device)[:, None, None, None],
        torch.arange(channels, device=device)[None, :, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]
