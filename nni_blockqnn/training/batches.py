"""Batches of a split that lies on the device as bytes, and the accuracy over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from nni_blockqnn.data import Split
from nni_blockqnn.training.augment import random_crop_and_flip
from nni_blockqnn.training.errors import memory_errors_explained
from nni_blockqnn.training.precision import autocast, check_precision, reproducible_kernels


class Batches:
    """Normalised float images (B, C, H, W), channels last, with labels (B,)."""

    def __init__(
        self, split: Split, mean: Sequence[float], std: Sequence[float], device: torch.device
    ) -> None:
        """
        Args:
            split: copied to the device as bytes, whole; a quarter of what floats would take.
            mean: a number a channel, on the scale 0 to 1.
            std: likewise.
        """
        self.split = split.to(device)
        self._device = device
        self._mean = 255 * torch.tensor(mean, device=device).view(1, -1, 1, 1)
        self._scale = 1 / (255 * torch.tensor(std, device=device).view(1, -1, 1, 1))

    def shuffled(
        self, batch_size: int, generator: torch.Generator, augment: bool
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch of training: a new permutation, the last batch incomplete."""
        order = torch.randperm(len(self.split), generator=generator, device=self._device)
        batches = order.split(batch_size)
        # Batch normalisation cannot normalise one value, and a map may have shrunk to 1x1.
        if len(batches) > 1 and len(batches[-1]) == 1 < batch_size:
            batches = batches[:-1]
        for positions in batches:
            images, labels = self.split.batch(positions)
            if augment:
                images = random_crop_and_flip(images, generator)
            yield self._normalised(images), labels

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        for positions in torch.arange(len(self.split), device=self._device).split(batch_size):
            images, labels = self.split.batch(positions)
            yield self._normalised(images), labels

    def _normalised(self, images: Tensor) -> Tensor:
        # in this order: on a CPU, arithmetic by channel is slower on channels-last images
        floats = images.to(torch.float32).sub_(self._mean).mul_(self._scale)
        return floats.contiguous(memory_format=torch.channels_last)


def evaluate(
    network: nn.Module,
    split: Split,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    device: torch.device,
    batch_size: int = 256,
    precision: str = "fp32",
) -> float:
    """The network's accuracy on the split in percent; the network lies on the device.

    Raises:
        ValueError: if there is no such precision on the device.
        TrainingError: if the device's memory does not suffice.
    """
    check_precision(precision, device)
    with memory_errors_explained(batch_size, device), reproducible_kernels(precision):
        return accuracy(network, Batches(split, mean, std, device), batch_size, precision)


def accuracy(network: nn.Module, batches: Batches, batch_size: int, precision: str) -> float:
    """Accuracy in percent, in evaluation mode; the network's mode is put back afterwards."""
    was_training = network.training
    network.eval()
    device = batches.split.labels.device
    correct = torch.zeros((), dtype=torch.int64, device=device)
    with torch.inference_mode(), autocast(precision, device):
        for images, labels in batches.in_order(batch_size):
            correct += (network(images).argmax(dim=1) == labels).sum()
    network.train(was_training)
    return 100 * int(correct) / len(batches.split)
