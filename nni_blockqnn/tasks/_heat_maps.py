"""Key points as maps, and back."""

from __future__ import annotations

import torch
from torch import Tensor

_SMALLEST_SIGMA = 1.0
_SIGMA_OF_HEIGHT = 1 / 32
"""2 cells of 64x48, 3 of 96x72 (Xiao et al., arXiv 1804.06208)."""
_QUARTER = 0.25


def drawn_maps(points: Tensor, size: tuple[int, int], stride: float) -> tuple[Tensor, Tensor]:
    """A Gaussian around each point, and which maps say something.

    Args:
        points: (B, K, 3): x and y in pixels of the network's input, and the visibility.
        size: (height, width) of the maps.
        stride: pixels of the input over cells of a map.

    Returns:
        (B, K, height, width), 1 at a point; and (B, K) bool, of points that are labelled and lie
        within the map.
    """
    height, width = size
    sigma = max(_SMALLEST_SIGMA, _SIGMA_OF_HEIGHT * height)
    cells = (points[..., :2] + 0.5) / stride - 0.5
    x, y = cells.unbind(-1)
    columns = torch.arange(width, device=points.device)
    rows = torch.arange(height, device=points.device)
    across = torch.exp(-((columns - x[..., None]) ** 2) / (2 * sigma**2))
    down = torch.exp(-((rows - y[..., None]) ** 2) / (2 * sigma**2))
    inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    return down[..., None] * across[..., None, :], (points[..., 2] > 0) & inside


def found_points(maps: Tensor, stride: float) -> Tensor:
    """(B, K, 3): x and y in pixels of the input, and the height of the peak.

    The highest cell, moved a quarter towards the higher one of its neighbours (Newell et al., arXiv
    1603.06937).

    Args:
        maps: (B, K, height, width).
        stride: pixels of the input over cells of a map.
    """
    height, width = maps.shape[2:]
    peak, place = maps.flatten(2).max(dim=2)
    row, column = place // width, place % width
    across = _slope(maps, place, column, width, step=1)
    down = _slope(maps, place, row, height, step=width)
    x = (column + _QUARTER * across + 0.5) * stride - 0.5
    y = (row + _QUARTER * down + 0.5) * stride - 0.5
    return torch.stack([x, y, peak], dim=2)


def _slope(maps: Tensor, place: Tensor, at: Tensor, size: int, step: int) -> Tensor:
    """(B, K): the sign of the next cell less the one before; 0 at a border.

    Args:
        place: (B, K), of the cells among those of a map.
        at: (B, K), their row or column, of `size`.
        step: from a cell to the next in that direction.
    """
    inner = (at > 0) & (at < size - 1)
    flat = maps.flatten(2)
    after, before = (
        flat.gather(2, torch.where(inner, place + move, place)[..., None])[..., 0]
        for move in (step, -step)
    )
    return torch.sign(after - before)
