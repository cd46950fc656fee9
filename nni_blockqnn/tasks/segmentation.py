"""Segmentation: a class for each pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, PyTorch's own name for it
from torch import Tensor

from nni_blockqnn.data import DataError
from nni_blockqnn.data.masks import (
    IGNORED,
    MASK_FOLDER,
    class_count,
    load_masks,
    usual_mask_shape,
)
from nni_blockqnn.data.targets import LabelledImages, Reader, output_names
from nni_blockqnn.network.measure import Measure
from nni_blockqnn.tasks._drawing import draw_mask
from nni_blockqnn.tasks.crops import PADDING, crop_and_flip, drawn_crops
from nni_blockqnn.tasks.task import Measured, Place, Share, Task

if TYPE_CHECKING:
    from PIL.Image import Image


class Segmentation(Task):
    """Cross-entropy of all pixels and mean IoU; targets are (N, H, W) uint8, 255 for no class.

    The network's maps are brought to the images' size (bilinear). The mean IoU is that of PASCAL
    VOC: of each class over all images' pixels, then the mean over the classes that masks or
    answers have.
    """

    name = "segmentation"
    measures = (Measure("mean_iou", "mean IoU"), Measure("pixel_accuracy"))
    output = "maps"
    outputs = "classes of pixels"
    readers = MappingProxyType({MASK_FOLDER: Reader(load_masks, usual_mask_shape)})

    def __init__(self, names: Sequence[str] = ()) -> None:
        """
        Args:
            names: of the classes, of data that is known.
        """
        self._names = tuple(names)

    def own_targets(
        self, what: str, part: LabelledImages, names: Sequence[str] | None
    ) -> tuple[np.ndarray, Sequence[str]]:
        masks, size = part.labels, part.images.shape[2:]
        if masks.dtype.kind not in "biu" or masks.shape[1:] != size:
            raise DataError(
                f"{what} must be integers of shape (N, {size[0]}, {size[1]}), the images', got "
                f"{masks.dtype} {masks.shape}"
            )
        if masks.min() < 0 or masks.max() > IGNORED:
            raise DataError(
                f"{what} must be from 0 to {IGNORED}, which is no class, got {masks.min()} to "
                f"{masks.max()}"
            )
        names = output_names(what, names, class_count(masks), "classes", spare=True)
        return masks.astype(np.uint8), names

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        logits, labels = _resized(outputs, targets), targets.long()
        losses = F.cross_entropy(logits, labels, reduction="none", ignore_index=IGNORED)
        pixels = (labels != IGNORED).sum(dim=(1, 2)).clamp(min=1)
        return (losses.sum(dim=(1, 2)) / pixels).sum()

    def judge(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(B, 3 classes): the pixels of each class that are right, are answered, and are there."""
        classes = outputs.shape[1]
        labelled = targets != IGNORED
        answers = _resized(outputs, targets).argmax(dim=1)
        counts = []
        for number in range(classes):
            here, said = targets == number, (answers == number) & labelled
            counts += [here & said, said, here]
        pixels = torch.stack([count.sum(dim=(1, 2)) for count in counts], dim=1)
        return pixels.view(-1, classes, 3).transpose(1, 2).flatten(1)

    def measure(self, judged: Tensor, targets: Tensor) -> Measured:
        right, said, here = judged.double().sum(dim=0).view(3, -1)
        union = said + here - right
        of_classes = tuple(
            100 * hits / pixels if pixels else None
            for hits, pixels in zip(right.tolist(), union.tolist(), strict=True)
        )
        known = [value for value in of_classes if value is not None]
        accuracy = 100 * float(right.sum() / here.sum().clamp(min=1))
        mean = sum(known) / max(len(known), 1)
        return Measured({"mean_iou": mean, "pixel_accuracy": accuracy}, of_classes)

    def knowing(self, names: Sequence[str], facts: Mapping[str, Any]) -> Segmentation:
        return Segmentation(names)

    def answer(self, outputs: Tensor, place: Place) -> dict[str, Any]:
        """The share of the pixels that each class has, in percent, where it has any."""
        answers = outputs[0].argmax(dim=0)
        counts = answers.flatten().bincount(minlength=outputs.shape[1]).tolist()
        shares = zip(self._names, counts, strict=True)
        return {
            "pixels": {
                name: round(100 * count / answers.numel(), 2) for name, count in shares if count
            }
        }

    def draw(self, image: Image, outputs: Tensor, place: Place) -> None:
        draw_mask(image, outputs[0].argmax(dim=0).to(torch.uint8).numpy(), place)

    def augment(
        self, images: Tensor, targets: Tensor, generator: torch.Generator, share: Share
    ) -> tuple[Tensor, Tensor]:
        """Random crops and flips of images and masks alike; what was outside has no class."""
        offsets, flips = drawn_crops(len(images), PADDING, generator, images.device)
        where = share(offsets[0]), share(offsets[1]), share(flips), PADDING
        # bytes wrap around: no class is 0 meanwhile, which padding brings in
        masks = crop_and_flip(share(targets)[:, None] + 1, *where)[:, 0] - 1
        return crop_and_flip(share(images), *where), masks


def _resized(outputs: Tensor, targets: Tensor) -> Tensor:
    size = targets.shape[1:]
    if outputs.shape[2:] == size:
        return outputs
    return F.interpolate(outputs, size=size, mode="bilinear", align_corners=False)


SEGMENTATION = Segmentation()
