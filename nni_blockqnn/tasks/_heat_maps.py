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
    across = _slope(maps, row, column, width, dim=3)
    down = _slope(maps, row, column, height, dim=2)
    x = (column + _QUARTER * across + 0.5) * stride - 0.5
    y = (row + _QUARTER * down + 0.5) * stride - 0.5
    return torch.stack([x, y, peak], dim=2)


def _slope(maps: Tensor, row: Tensor, column: Tensor, size: int, dim: int) -> Tensor:
    """(B, K): the sign of the next cell less the one before; 0 at a border."""
    at = column if dim == 3 else row
    width = maps.shape[3]
    step = 1 if dim == 3 else width
    place = row * width + column
    flat = maps.flatten(2)
    inner = (at > 0) & (at < size - 1)
    safe = torch.where(inner, place, torch.full_like(place, 0))
    after = flat.gather(2, torch.where(inner, safe + step, safe)[..., None])[..., 0]
    before = flat.gather(2, torch.where(inner, safe - step, safe)[..., None])[..., 0]
    return torch.sign(after - before) * inner
