"""Splits of data sets that do not fit into memory: the images stay in their files."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nni_blockqnn.data._class_folders import ClassFolders
from nni_blockqnn.data._pictures import read_picture
from nni_blockqnn.data.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

_MODE = "RGB"
_SEARCH_SECONDS = 60.0
"""How long a split is searched for more broken images once one was met."""


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
        """The RGB image there, upright, in the size that it has in its file.

        Raises:
            DataError: naming the file, if it is no whole image.
        """
        return self._files.read(self._path(position), _MODE)

    def search_broken(self, first: DataError) -> DataError:
        """The error of all broken images that are found within a minute; `first` if it is the only
        one. So they need not be removed one by one, a training for each."""
        deadline = time.monotonic() + _SEARCH_SECONDS
        looked_at: list[str] = []
        broken: dict[str, Exception] = {}

        def look(path: str) -> None:
            if time.monotonic() > deadline:
                return
            looked_at.append(path)
            try:
                read_picture(path, _MODE)
            except Exception as error:  # broken files raise SyntaxError, struct.error and more
                broken[path] = error

        paths = [self._path(position) for position in range(len(self))]
        with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter lock
            list(pool.map(look, paths))
        if not broken:  # they are whole again
            return first
        return self._files.broken(dict(sorted(broken.items())), f" of {len(looked_at):,} looked at")

    def _path(self, position: int) -> str:
        name = os.fsdecode(bytes(self._names[position]))
        return os.path.join(self._folder, name)  # noqa: PTH118, of a million

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
