"""Batches of a split that lies on the device as bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from nni_blockqnn.data import Split
from nni_blockqnn.tasks import Augment
from nni_blockqnn.training._augment import random_crop_and_flip
from nni_blockqnn.training.distributed import ALONE, World


class Batches:
    """Normalised float images (B, C, H, W), channels last, with labels (B,) or targets (B, ...)."""

    def __init__(
        self,
        split: Split,
        mean: Sequence[float],
        std: Sequence[float],
        device: torch.device,
        world: World = ALONE,
        augment: Augment | None = None,
    ) -> None:
        """
        Args:
            split: copied to the device as bytes, whole; a quarter of what floats would take.
            mean: a number a channel, on the scale 0 to 1.
            std: likewise.
            world: of each batch, only this process's share is yielded.
            augment: of the task; default random crops and flips of the images alone.
        """
        self._augment = augment
        self.device = device
        self.world = world
        self._split = split.to(device)
        self._normalised = Normalisation(mean, std, device)

    def __len__(self) -> int:
        return len(self._split)

    @property
    def labels(self) -> Tensor:
        """(N,) int64, or targets (N, ...), of all processes' images."""
        return self._split.labels

    def shuffled(
        self, batch_size: int, generator: torch.Generator, augment: bool
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch of training: a new permutation, the last batch incomplete."""
        order = torch.randperm(len(self), generator=generator, device=self.device)
        self.world.take_first_(order)  # another model of GPU may draw other numbers
        for positions in training_batches(order, batch_size, self.world.size):
            images, labels = self._split.batch(positions)
            if augment and self._augment is not None:
                images, labels = self._augment(images, labels, generator, self.world.share)
            elif augment:
                images = random_crop_and_flip(images, generator, world=self.world)
                labels = self.world.share(labels)
            else:
                images, labels = self.world.share(images), self.world.share(labels)
            yield self._normalised(images), labels

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        every = torch.arange(len(self), device=self.device)
        for positions in self.world.share(every).split(batch_size):
            images, labels = self._split.batch(positions)
            yield self._normalised(images), labels


class Normalisation:
    """What makes bytes (B, C, H, W) on the device the floats, channels last, of a network."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        """
        Args:
            mean: a number a channel, on the scale 0 to 1.
            std: likewise.
        """
        self._mean = 255 * torch.tensor(mean, device=device).view(1, -1, 1, 1)
        self._scale = 1 / (255 * torch.tensor(std, device=device).view(1, -1, 1, 1))

    def __call__(self, images: Tensor) -> Tensor:
        # in this order: on a CPU, arithmetic by channel is slower on channels-last images
        floats = images.to(torch.float32).sub_(self._mean).mul_(self._scale)
        return floats.contiguous(memory_format=torch.channels_last)


def training_batches(order: Tensor, batch_size: int, shares: int = 1) -> Sequence[Tensor]:
    """The order (N,) cut into batches; a last one with a share of a single image is left out.

    Batch normalisation cannot normalise one value, and a map may have shrunk to 1x1.
    """
    batches = order.split(batch_size)
    if len(batches) > 1 and len(batches[-1]) < min(2 * shares, batch_size):
        batches = batches[:-1]
    return batches
