"""A trained network's answers for image files."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nni_blockqnn.common.messages import shown
from nni_blockqnn.data.errors import one_line
from nni_blockqnn.data.image_files import image_files_below, open_image, read_image
from nni_blockqnn.data.imagenet import IMAGENET
from nni_blockqnn.export import Description, ExportError, load_described, network_source
from nni_blockqnn.training.streaming import centre_crop

_BATCH = 64


@dataclass(frozen=True)
class Prediction:
    """What the network says of one image.

    Attributes:
        file: as it was named, or found in a folder.
        probabilities: of each class, from 0 to 1.
    """

    file: str
    class_names: tuple[str, ...]
    probabilities: tuple[float, ...]

    @property
    def label(self) -> int:
        return max(range(len(self.probabilities)), key=self.probabilities.__getitem__)

    @property
    def class_name(self) -> str:
        return self.class_names[self.label]

    @property
    def probability(self) -> float:
        return self.probabilities[self.label]


class Predictor:
    """The network of a folder of ``blockqnn search``, ``export`` or ``train``.

    Attributes:
        description: what the folder says of it.
    """

    def __init__(self, found: Path) -> None:
        """
        Raises:
            ExportError: naming what is missing or damaged.
        """
        self.folder = network_folder(found)
        self.description, network = load_described(self.folder)
        self.network = _plain_network(self.folder, self.description) or network
        self._shape = self.description.spec.input_shape
        channels = self._shape[0]
        if channels not in (1, 3):
            raise ExportError(
                f"{self.folder}: the network takes images of {channels} channels, and files of "
                "images have 1 or 3"
            )
        self._crop = centre_crop(self._shape[1:]) if self._is_streamed else None
        self._mean, self._std = (
            torch.tensor(values).view(-1, 1, 1)
            for values in (self.description.mean, self.description.std)
        )

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.description.class_names

    @property
    def _is_streamed(self) -> bool:
        return self.description.facts.get("dataset") == IMAGENET

    def of_files(self, paths: Iterable[Path], tell: Callable[[str], None]) -> Iterator[Prediction]:
        """An answer for each file that is an image, in their order.

        Args:
            tell: called with a line for each file that is passed over.
        """
        waiting = iter(paths)
        while chunk := list(islice(waiting, _BATCH)):
            read = [(path, self._read(path, tell)) for path in chunk]
            images = [(path, pixels) for path, pixels in read if pixels is not None]
            if images:
                answers = self.of_images(np.stack([pixels for _, pixels in images])).tolist()
                for (path, _), probabilities in zip(images, answers, strict=True):
                    yield Prediction(str(path), self.class_names, tuple(probabilities))

    def of_images(self, images: Any) -> np.ndarray:
        """Probabilities (N, classes) of images.

        Args:
            images: (N, C, H, W) numbers from 0 to 255, of the network's C, H and W.

        Raises:
            ValueError: if they have another shape.
        """
        pixels = torch.from_numpy(np.array(images))  # a copy: an image's own is read-only
        if pixels.ndim != 4 or tuple(pixels.shape[1:]) != self._shape:
            raise ValueError(
                f"images must be of shape (N, {', '.join(map(str, self._shape))}), got "
                f"{shown(tuple(pixels.shape))}"
            )
        with torch.inference_mode():
            answers = [self._probabilities(batch) for batch in pixels.split(_BATCH)]
        return torch.cat(answers).numpy() if answers else np.empty((0, len(self.class_names)))

    def _probabilities(self, pixels: Tensor) -> Tensor:
        return self.network((pixels.float() / 255 - self._mean) / self._std).softmax(dim=1)

    def _read(self, path: Path, tell: Callable[[str], None]) -> np.ndarray | None:
        try:
            if self._crop is None:
                return read_image(path, self._shape)
            cut = np.asarray(self._crop(open_image(path, self._shape[0])))
            return cut.reshape(*cut.shape[:2], -1).transpose(2, 0, 1)
        except Exception as error:  # broken files raise SyntaxError, struct.error and more
            tell(f"{path} is passed over: {getattr(error, 'strerror', None) or one_line(error)}")
            return None


def network_folder(found: Path) -> Path:
    """The folder of the network: of a search, its exported one.

    Raises:
        ExportError: if the search has not come so far.
    """
    if (found / "search.json").is_file():
        if not (found / "network").is_dir():
            raise ExportError(
                f"the search in {found} has no network yet: run its blockqnn search again, which "
                "goes on with it"
            )
        return found / "network"
    return found


def files_of(named: Sequence[Path], tell: Callable[[str], None]) -> Iterator[Path]:
    """The files that are named, and the image files in the folders that are, however deep.

    Args:
        tell: called with a line for each folder without images.
    """
    for path in named:
        if not path.is_dir():
            yield path
            continue
        is_empty = True
        try:
            for file in image_files_below(path):
                is_empty = False
                yield file
        except OSError as error:
            tell(f"{error.filename} is passed over: {error.strerror}")
        if is_empty:
            tell(f"{path} holds no images")


def _plain_network(folder: Path, description: Description) -> nn.Module | None:
    """The exported network, if its code is what ``export`` writes; None otherwise.

    Code that somebody has changed, or another version has written, is not run: the network of this
    package gives the same outputs.
    """
    path = folder / "model.py"
    try:
        code = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    if code != network_source(description.block, description.spec):
        return None
    return runpy.run_path(str(path))["load"](folder)
