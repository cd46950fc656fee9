"""A task of one's own: by how many degrees is a digit turned?

    cd examples/own_task
    python -m nni_blockqnn.trial --task angles:Angles --dataset angles:turned_digits \
        --network '{"preset": "digits", "classes": 2}' --block residual --mu 0 --rho 0

A search says the same in its trialCommand, `blockqnn train` trains what it finds. The whole way:

    blockqnn search angles:turned_digits --task angles:Angles --hours 1 -o found
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import rotate
from sklearn.datasets import load_digits
from torch import Tensor

from nni_blockqnn.data import ImageArrays
from nni_blockqnn.network.measure import Measure
from nni_blockqnn.tasks import Measured, Share, Task


class Angles(Task):
    """Two outputs, the cosine and sine of the angle; judged by the mean error in degrees."""

    measures = (Measure("angle_error", unit="degrees", direction="minimize"),)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().sum()

    def judge(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(B, 1): each image's error."""
        difference = (_degrees(outputs) - _degrees(targets) + 180) % 360 - 180
        return difference.abs()[:, None]

    def measure(self, judged: Tensor, targets: Tensor) -> Measured:
        return Measured({"angle_error": judged.mean().item()})

    def augment(
        self, images: Tensor, targets: Tensor, generator: torch.Generator, share: Share
    ) -> tuple[Tensor, Tensor]:
        """Half of the images upside down, which turns the direction around."""
        flipped = torch.rand(len(images), generator=generator, device=images.device) < 0.5
        upside_down = torch.where(flipped[:, None, None, None], images.flip(2, 3), images)
        return share(upside_down), share(torch.where(flipped[:, None], -targets, targets))


def turned_digits(data_dir: Path) -> ImageArrays:
    """scikit-learn's digits, each turned by an angle between -90 and 90 degrees."""
    digits = (load_digits().images * (255 / 16)).astype(np.uint8)
    angles = np.random.default_rng(0).uniform(-90, 90, len(digits))
    images = np.stack(
        [
            rotate(digit, angle, reshape=False, order=1)
            for digit, angle in zip(digits, angles, strict=True)
        ]
    )
    targets = np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles))], axis=1)
    return ImageArrays(
        images[360:], targets[360:], images[:360], targets[:360], class_names=["cosine", "sine"]
    )


def _degrees(directions: Tensor) -> Tensor:
    """(B,) of cosines and sines (B, 2)."""
    return torch.rad2deg(torch.atan2(directions[:, 1], directions[:, 0]))
