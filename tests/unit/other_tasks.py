"""Other tasks than classification: one of a user's own, and data sets of them in outline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from nni_blockqnn.data import ImageArrays
from nni_blockqnn.data.outline import Outline
from nni_blockqnn.network.measure import Measure
from nni_blockqnn.tasks import KEY_POINTS, Measured, Task


class Brightness(Task):
    """The mean of an image's pixels, from 0 to 1; the error is in grey levels."""

    name = "brightness"
    measures = (
        Measure("grey_error", "mean error", "levels", "minimize"),
        Measure("near", "within 16 levels"),
    )

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs[:, 0] - targets).square().sum()

    def judge(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return 255 * (outputs - targets[:, None]).abs()

    def measure(self, judged: Tensor, targets: Tensor) -> Measured:
        near = 100 * (judged < 16).double().mean().item()
        return Measured({"grey_error": judged.double().mean().item(), "near": near})


OWN = f"{__name__}:Brightness"
ERROR = Measure("grey_error", "mean error", "levels", "minimize")
PEOPLE = Outline(
    "coco", Path("/people"), KEY_POINTS.outputs, (600,), 0, 300, (3, 180, 120), (), "",
    task="keypoints", is_resized=True,
)  # fmt: skip
MASKS = replace(PEOPLE, dataset="mask-folder", task="segmentation", image_shape=(3, 300, 400))
NUMBERS = replace(
    PEOPLE,
    dataset=f"{__name__}:grey",
    task=OWN,
    class_names=("0",),
    image_shape=(1, 12, 12),
    is_resized=False,
)
OUTLINES = [
    replace(PEOPLE, class_names=tuple("abcdefghijklmn")),
    replace(MASKS, class_names=("a", "b")),
    NUMBERS,
]


def grey(data_dir: Path) -> ImageArrays:
    levels = np.random.default_rng(0).integers(0, 256, 60)
    images = np.broadcast_to(levels[:, None, None], (60, 4, 4)).astype(np.uint8)
    return ImageArrays(images[:50], levels[:50] / 255, images[50:], levels[50:] / 255)
