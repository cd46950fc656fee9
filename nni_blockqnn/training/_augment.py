"""Random crops and flips of a batch of which several processes take shares."""

from __future__ import annotations

import torch
from torch import Tensor

from nni_blockqnn.tasks.crops import PADDING, crop_and_flip, drawn_crops
from nni_blockqnn.training.distributed import ALONE, World

__all__ = ["crop_and_flip", "random_crop_and_flip"]


def random_crop_and_flip(
    images: Tensor, generator: torch.Generator, padding: int = PADDING, world: World = ALONE
) -> Tensor:
    """Each image padded with zeros, cut back to its size at a random place, and flipped or not.

    Args:
        images: (B, C, H, W).
        generator: on the images' device.
        padding: pixels on each side.
        world: only this process's share of the images is returned; the generator has drawn for
            all of them.
    """
    offsets, flips = drawn_crops(len(images), padding, generator, images.device)
    return crop_and_flip(
        world.share(images),
        world.share(offsets[0]),
        world.share(offsets[1]),
        world.share(flips),
        padding,
    )
