"""What a training gets to see: three splits and the statistics that normalise them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nni_blockqnn.data.streamed import StreamedSplit


class Split:
    """Images with labels or other targets, either a pool of them or selected rows of a pool that
    other splits share.

    A selection keeps row numbers and not a copy: the pool is often a file mapped into memory, and a
    training never needs more of it at once than a batch.
    """

    def __init__(self, images: Tensor, labels: Tensor, rows: Tensor | None = None) -> None:
        """
        Args:
            images: (N, C, H, W) uint8, the pool.
            labels: (N,) int64, the pool's; for tasks other than classification (N, ...) of any
                type, a row for each image.
            rows: the pool's rows that belong to the split, int64; all of them if not given.
        """
        self._pool = images
        self._rows = rows
        self.labels = labels if rows is None else labels[rows]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> Tensor:
        """(N, C, H, W) uint8: the pool if the split is all of it, otherwise a new copy a call."""
        return self._pool if self._rows is None else self._pool[self._rows]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        _, channels, height, width = self._pool.shape
        return channels, height, width

    def batch(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) uint8 and labels (B,) at these positions of the split."""
        rows = positions if self._rows is None else self._rows[positions]
        return self._pool[rows], self.labels[positions]

    def select(self, positions: Tensor) -> Split:
        """A split of copies of the images at these positions."""
        return Split(*self.batch(positions))

    def to(self, device: torch.device) -> Split:
        """The split on the device; itself if it is there already."""
        here = self._pool.device
        if here.type == device.type and device.index in (None, here.index):
            return self
        return Split(self.images.to(device), self.labels.to(device))


AnySplit = Split | StreamedSplit
"""Whatever the images lie in; :func:`nni_blockqnn.training.streaming.batches_of` takes either."""


@dataclass(frozen=True)
class ImageData:
    """A data set as a training uses it.

    Attributes:
        train: what the weights are fitted to.
        valid: what the search selects on; the same split as `test` with validation="test".
        test: read once, by the winner.
        classes: outputs of a network; of classification, labels are 0 to classes - 1.
        class_names: a name for each output.
        mean: mean of `train`'s pixels, a number a channel, on the scale 0 to 1; for streamed
            images ImageNet's.
        std: standard deviation of the same; 1 for a channel without any.
        notes: lines that a user should see: files that are not read, a test set that was made,
            images that do not fit the network, classes of very different sizes. Default none.
        facts: what else a task knows of its data, as JSON values, for ``network.json``. Default
            none.
    """

    train: AnySplit
    valid: AnySplit
    test: AnySplit
    classes: int
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.train.image_shape
