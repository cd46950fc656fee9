"""Splits of data sets that do not fit into memory: the images stay in their files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nni_blockqnn.data._class_folders import ClassFolders

if TYPE_CHECKING:
    from PIL.Image import Image


class StreamedSplit:
    """Labelled images, each decoded whenever it is asked for.

    Attributes:
        labels: (N,) int64.
        image_shape: (channels, height, width) that a training brings the images to.
        workers: processes that are to decode them; 0 for the training's own.
    """

    def __init__(
        self,
        files: ClassFolders,
        folder: Path,
        names: np.ndarray,
        labels: Tensor,
        image_shape: tuple[int, int, int],
        workers: int,
    ) -> None:
        """
        Args:
            names: (N,) bytes, the files' paths within `folder`. An array and not a list, since
                worker processes that count references would copy a list of a million.
        """
        self.labels = labels
        self.image_shape = image_shape
        self.workers = workers
        self._files = files
        self._folder = str(folder)
        self._names = names

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, position: int) -> Image:
        """The RGB image there, in the size that it has in its file.

        Raises:
            DataError: naming the file, if it is no whole image.
        """
        name = os.fsdecode(bytes(self._names[position]))
        return self._files.read(os.path.join(self._folder, name), "RGB")  # noqa: PTH118

    def select(self, positions: np.ndarray | Tensor) -> StreamedSplit:
        """A split of the images at these positions."""
        rows = torch.as_tensor(positions)
        return StreamedSplit(
            self._files,
            Path(self._folder),
            self._names[rows.numpy()],
            self.labels[rows],
            self.image_shape,
            self.workers,
        )
