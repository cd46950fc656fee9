"""Images in the layout of ImageNet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

MODES = ("RGB", "L", "CMYK")


def write_tree(root: Path, splits: dict[str, int], classes: list[str]) -> None:
    """Noisy JPEGs of various sizes, grey and CMYK among them; `splits` says how many a class."""
    rng = np.random.default_rng(0)
    for split, count in splits.items():
        for name in classes:
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                height, width = (int(side) for side in rng.integers(17, 40, 2))
                image = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
                mode = MODES[number % len(MODES)]
                image.convert(mode).save(root / split / name / f"{name}_{number}.JPEG")
