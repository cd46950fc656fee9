"""What `training_speed` compares with: a bare loop, and the usual script with a DataLoader."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, PyTorch's own name for it
from PIL import Image
from plain_block import unshare
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from training_job import Job

from nni_blockqnn.data import AnySplit, ImageData, Split


def bare_loop(
    job: Job,
    data: ImageData,
    *,
    channels_last: bool = True,
    fused: bool = True,
    shared: bool = True,
) -> None:
    """Float images, normalised beforehand, lie on the device; nothing but steps and accuracies."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    torch.manual_seed(0)
    network = job.network().to(job.device).to(memory_format=layout)
    if not shared:
        unshare(network, job.block)
    optimizer = torch.optim.Adam(network.parameters(), 0.001, fused=fused)
    images, labels = _preloaded(data.train, data, job.device, layout)
    valid_images, valid_labels = _preloaded(data.valid, data, job.device, layout)
    torch.backends.cudnn.benchmark = True  # as `train` has it
    torch.backends.cudnn.allow_tf32 = False
    for _ in range(job.epochs):
        network.train()
        for chosen in torch.randperm(len(images), device=job.device).split(job.batch_size):
            loss = F.cross_entropy(network(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.eval()
        correct = torch.zeros((), dtype=torch.int64, device=job.device)
        with torch.inference_mode():
            for some, answers in zip(
                valid_images.split(job.batch_size), valid_labels.split(job.batch_size), strict=True
            ):
                correct += (network(some).argmax(1) == answers).sum()
        int(correct)


class PilImages(Dataset):
    """As torchvision's CIFAR10 gives them."""

    def __init__(self, split: AnySplit, data: ImageData) -> None:
        assert isinstance(split, Split)
        self._pixels = split.images.permute(0, 2, 3, 1).contiguous().numpy()
        self._labels = split.labels.tolist()
        self._transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize(data.mean, data.std)]
        )

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels: np.ndarray = self._pixels[index]
        return self._transform(Image.fromarray(pixels)), self._labels[index]


def dataloader_script(job: Job, data: ImageData, *, workers: int) -> None:
    """What a tutorial shows: PIL images, a DataLoader, PyTorch's defaults, losses read at once."""
    torch.manual_seed(0)
    network = job.network().to(job.device)
    unshare(network, job.block)
    optimizer = torch.optim.Adam(network.parameters(), 0.001)
    pin = job.device.type == "cuda"
    loaders = [
        DataLoader(
            PilImages(split, data), job.batch_size, shuffle, num_workers=workers, pin_memory=pin
        )
        for split, shuffle in ((data.train, True), (data.valid, False))
    ]
    for _ in range(job.epochs):
        network.train()
        running = 0.0
        for images, labels in loaders[0]:
            images, labels = images.to(job.device), labels.to(job.device)
            loss = F.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            running += loss.item()
        network.eval()
        correct = 0
        with torch.no_grad():
            for images, labels in loaders[1]:
                images, labels = images.to(job.device), labels.to(job.device)
                correct += (network(images).argmax(1) == labels).sum().item()


@cache
def _preloaded(
    split: Split, data: ImageData, device: torch.device, layout: torch.memory_format
) -> tuple[Tensor, Tensor]:
    """Done once, in the first, untimed call."""
    mean, std = (
        torch.tensor(values, device=device).view(1, -1, 1, 1) for values in (data.mean, data.std)
    )
    images = (split.images.to(device).float() / 255 - mean) / std
    return images.to(memory_format=layout), split.labels.to(device)
