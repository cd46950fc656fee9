"""Batches of images that are decoded while the network trains (torchvision's v2 transforms)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nni_blockqnn.data import AnySplit, DataError, StreamedSplit
from nni_blockqnn.tasks import Augment
from nni_blockqnn.training._batches import Batches, Normalisation, training_batches
from nni_blockqnn.training.distributed import ALONE, World

if TYPE_CHECKING:
    from PIL.Image import Image

_RESIZED, _CUT = 256, 224
"""The shorter side of an image whose centre of 224 pixels is cut out; other sizes in proportion."""


class StreamedBatches:
    """As :class:`nni_blockqnn.training._batches.Batches`, out of files.

    The same generator gives the same batches for any number of worker processes.
    """

    def __init__(
        self,
        split: StreamedSplit,
        mean: Sequence[float],
        std: Sequence[float],
        device: torch.device,
        world: World = ALONE,
    ) -> None:
        """
        Args:
            mean: a number a channel, on the scale 0 to 1.
            std: likewise.
            world: of each batch, only this process's share is read and yielded.
        """
        self.device = device
        self.world = world
        self._split = split
        self._normalised = Normalisation(mean, std, device)
        _, *self._size = split.image_shape

    def __len__(self) -> int:
        return len(self._split)

    @property
    def labels(self) -> Tensor:
        """(N,) int64, of all processes' images."""
        return self._split.labels

    def shuffled(
        self, batch_size: int, generator: torch.Generator, augment: bool
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch of training: a new permutation, the last batch incomplete.

        Args:
            augment: cut a random piece out of each image (8 to 100 % of its area, 3:4 to 4:3),
                resize it and flip it or not; otherwise as :meth:`in_order` does.
        """
        order = torch.randperm(len(self), generator=generator, device=self.device)
        self.world.take_first_(order)  # another model of GPU may draw other numbers
        seed = torch.randint(2**62, (), generator=generator, device=self.device)
        transform = augmentation(self._size) if augment else centre_crop(self._size)
        batches = training_batches(order.cpu(), batch_size, self.world.size)
        yield from self._load([self.world.share(some) for some in batches], transform, int(seed))

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image resized and its centre cut out."""
        batches = self.world.share(torch.arange(len(self))).split(batch_size)
        yield from self._load(batches, centre_crop(self._size), 0)

    def _load(
        self, batches: Sequence[Tensor], transform: Callable[[Image], Image], seed: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        split, device = self._split, self.device
        loader = DataLoader(
            _Images(split, transform, seed),
            batch_sampler=[positions.tolist() for positions in batches],
            num_workers=split.workers,
            collate_fn=_stacked,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # else it draws from the global one
        )
        for positions, images in zip(batches, _explained(loader, split), strict=True):
            labels = split.labels[positions]
            yield (
                self._normalised(images.to(device, non_blocking=True)),
                labels.to(device, non_blocking=True),
            )


def batches_of(
    split: AnySplit,
    mean: Sequence[float],
    std: Sequence[float],
    device: torch.device,
    world: World = ALONE,
    augment: Augment | None = None,
) -> Batches | StreamedBatches:
    """Normalised batches of the split, whatever its images lie in.

    Args:
        augment: of the task, for images that are not streamed.
    """
    if isinstance(split, StreamedSplit):
        return StreamedBatches(split, mean, std, device, world)
    return Batches(split, mean, std, device, world, augment)


def augmentation(size: Sequence[int]) -> Callable[[Image], Image]:
    """A random piece of an image, brought to (height, width), flipped or not."""
    from torchvision.transforms import v2

    return v2.Compose([v2.RandomResizedCrop(tuple(size)), v2.RandomHorizontalFlip()])


def centre_crop(size: Sequence[int]) -> Callable[[Image], Image]:
    """The centre of an image, (height, width): 224x224 once its shorter side has 256 pixels."""
    from torchvision.transforms import v2

    return v2.Compose([v2.Resize(shorter_side(size)), v2.CenterCrop(tuple(size))])


def shorter_side(size: Sequence[int]) -> int:
    """Pixels that an image's shorter side is resized to, before (height, width) is cut out."""
    return round(max(size) * _RESIZED / _CUT)


class _Images(Dataset):
    """Images of a split as (C, H, W) uint8, or what is wrong with them.

    A DataError that a worker raised would arrive with the worker's traceback as its message.
    """

    def __init__(
        self, split: StreamedSplit, transform: Callable[[Image], Image], seed: int
    ) -> None:
        self._split = split
        self._transform = transform
        self._seed = seed

    def __getitem__(self, position: int) -> Tensor | DataError:
        from torchvision.transforms.v2.functional import pil_to_tensor

        try:
            image = self._split.read(position)
        except DataError as error:
            return error
        # its own seed, so that it does not matter which worker decodes it, and after which others
        seed = np.random.SeedSequence([self._seed, position]).generate_state(1, np.uint64)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(seed[0]))
            return pil_to_tensor(self._transform(image))


def _stacked(images: list[Tensor | DataError]) -> Tensor | DataError:
    """(B, C, H, W), or the first that went wrong."""
    whole = []
    for image in images:
        if isinstance(image, DataError):
            return image
        whole.append(image)
    return torch.stack(whole)


def _explained(loader: DataLoader, split: StreamedSplit) -> Iterator[Tensor]:
    """The loader's batches; raises DataError for what a worker found, or for its end."""
    batches = iter(loader)
    while True:
        try:
            images = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise DataError(
                "a process that decodes images was killed, for want of memory or of shared memory "
                "(in a container, its --shm-size): give it more, or set --workers to fewer or 0 "
                f"({str(error).splitlines()[0]})"
            ) from error
        if isinstance(images, DataError):
            raise split.search_broken(images)
        yield images
