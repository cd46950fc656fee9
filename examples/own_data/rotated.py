"""A data set of one's own: scikit-learn's digits, each turned by 0, 90, 180 or 270 degrees.

The class is the turn, so the network has 4 outputs. Run a trial from this folder:

    cd examples/own_data
    python -m nni_blockqnn.trial --dataset rotated:turned_digits --block residual \
        --network '{"preset": "digits", "classes": 4}' --epochs 2
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from nni_blockqnn.data import ImageArrays

TEST_IMAGES = 360


def turned_digits(data_dir: Path) -> ImageArrays:
    """8x8 grey images; ``data_dir`` is ``--data-dir``, which this data set does not need."""
    images = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)
    # always the same turns, whatever the seed of a search: the test set must not change
    turns = np.random.default_rng(0).integers(4, size=len(images))
    turned = np.stack([np.rot90(image, turn) for image, turn in zip(images, turns, strict=True)])
    return ImageArrays(
        train_images=turned[TEST_IMAGES:],
        train_labels=turns[TEST_IMAGES:],
        test_images=turned[:TEST_IMAGES],
        test_labels=turns[:TEST_IMAGES],
        class_names=["upright", "left", "upside down", "right"],
    )
