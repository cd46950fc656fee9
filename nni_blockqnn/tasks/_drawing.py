"""Answers drawn into images."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nni_blockqnn.tasks.task import Place

if TYPE_CHECKING:
    from PIL.Image import Image

_OPACITY = 128
"""Of a mask, of 255."""
_GOLDEN = 0.618
"""Hues so far apart differ, however many there are."""


def draw_points(
    image: Image, points: Sequence[Sequence[float]], bones: Sequence[Sequence[int]]
) -> None:
    """Draw a dot of its own colour at each point, and the bones.

    Args:
        points: x and y of each, and more.
        bones: pairs of points' numbers.
    """
    from PIL import ImageDraw

    canvas = ImageDraw.Draw(image)
    radius = max(1.5, max(image.size) / 120)
    for first, last in bones:
        line = [tuple(points[end][:2]) for end in (first, last)]
        canvas.line(line, fill=(255, 255, 255), width=max(1, round(radius / 1.5)))
    for number, (x, y, *_) in enumerate(points):
        dot = [x - radius, y - radius, x + radius, y + radius]
        canvas.ellipse(dot, fill=_colour(number), outline=(0, 0, 0))


def draw_mask(image: Image, answers: np.ndarray, place: Place) -> None:
    """Colour the pixels of each class but the first, which is mostly the background.

    Args:
        answers: (h, w) uint8, of what was cut out of the image.
    """
    from PIL import Image as Pillow

    colours = np.array([(0, 0, 0), *(_colour(number) for number in range(255))], np.uint8)
    tinted = np.dstack([colours[answers], np.where(answers > 0, _OPACITY, 0).astype(np.uint8)])
    size = round(image.width - 2 * place.left), round(image.height - 2 * place.top)
    mask = Pillow.fromarray(tinted).resize(size, Pillow.Resampling.NEAREST)
    image.paste(mask, (round(place.left), round(place.top)), mask)


def _colour(number: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.85, 1)
    return round(255 * red), round(255 * green), round(255 * blue)
