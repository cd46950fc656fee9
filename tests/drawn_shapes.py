"""A folder of images with masks: discs and squares on noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIZE = 20
NETWORK = json.dumps(
    {
        "input_shape": [3, 16, 16],
        "classes": 3,
        "filters": [8, 12],
        "repeats": 1,
        "frame": "upsample",
    }
)


def write_shapes(folder: Path, count: int) -> None:
    """Write ``images/``, ``masks/`` and ``classes.txt``; a disc and a square in each image."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    (folder / "classes.txt").write_text("background\ndisc\nsquare\n")
    for number in range(count):
        noise = rng.integers(0, 120, (SIZE, SIZE, 3), dtype=np.uint8)
        image, mask = Image.fromarray(noise), Image.new("L", (SIZE, SIZE))
        for label, shape in ((1, "ellipse"), (2, "rectangle")):
            left, top = rng.integers(1, SIZE - 8, 2).tolist()
            for picture, colour in ((image, (200, 200, 200)), (mask, label)):
                getattr(ImageDraw.Draw(picture), shape)([left, top, left + 6, top + 6], fill=colour)
        image.save(folder / "images" / f"{number}.png")
        mask.save(folder / "masks" / f"{number}.png")
