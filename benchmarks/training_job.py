"""What `training_speed` trains in each of its ways."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from nni_blockqnn import Block, NetworkSpec, build_network
from nni_blockqnn.data import ImageData, Split


@dataclass(frozen=True)
class Job:
    """What every arm trains."""

    block: Block
    spec: NetworkSpec
    images: int
    epochs: int
    batch_size: int
    device: torch.device
    threads: int

    def network(self) -> nn.Module:
        return build_network(self.block, self.spec)

    def data(self) -> ImageData:
        generator = torch.Generator().manual_seed(0)
        splits = [_images(count, generator) for count in (self.images, max(1, self.images // 10))]
        names = tuple(str(number) for number in range(10))
        return ImageData(splits[0], splits[1], splits[1], 10, names, (0.5,) * 3, (0.25,) * 3)


def _images(count: int, generator: torch.Generator) -> Split:
    pixels = torch.randint(256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return Split(pixels, torch.randint(10, (count,), generator=generator))
