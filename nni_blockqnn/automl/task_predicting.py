"""What a trained network for another task than classification says of image files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from nni_blockqnn.common.messages import shown
from nni_blockqnn.data.errors import one_line
from nni_blockqnn.data.image_files import fitted, open_image
from nni_blockqnn.export import ExportError, load_described
from nni_blockqnn.export.description import read_description
from nni_blockqnn.tasks import TASKS, Place, Task, find_task

_BATCH = 64


@dataclass(frozen=True)
class TaskAnswer:
    """What the network says of one image.

    Attributes:
        file: as it was named, or found in a folder.
        says: the task's answer, as JSON values.
    """

    file: str
    says: dict[str, Any]
    _task: Task
    _image: Image
    _outputs: Tensor
    _place: Place

    def draw(self, path: Path) -> None:
        """Save a copy of the image with the answer drawn into it.

        Raises:
            ValueError: if the task draws nothing.
        """
        picture = self._image.convert("RGB")
        self._task.draw(picture, self._outputs, self._place)
        picture.save(path)


def task_named_in(folder: Path) -> str | None:
    """The task that the network in the folder is for; None if it is for classes."""
    named = read_description(folder).facts.get("task")
    return named if isinstance(named, str) else None


class TaskPredictor:
    """The network of a folder, and its task."""

    def __init__(self, folder: Path, task: str | None = None) -> None:
        """
        Args:
            folder: of the network itself.
            task: what was named by the user: reading a folder must not run code, so a task of the
                user's own has to be.

        Raises:
            ExportError: naming what is missing or damaged.
            ValueError: if the task is not known.
        """
        named = task_named_in(folder)
        if named not in TASKS and task != named:
            raise ExportError(
                f"{folder} is a network for the task {named}, whose code is imported only if you "
                f"name it: --task {named}"
            )
        self.description, self.network = load_described(folder)
        found = find_task(str(named))
        facts = self.description.facts.get("data", {})
        self.task = found.knowing(self.description.class_names, facts)
        self._mean, self._std = (
            torch.tensor(one).view(-1, 1, 1)
            for one in (self.description.mean, self.description.std)
        )

    def of_files(self, files: Iterable[Path], tell: Callable[[str], None]) -> Iterator[TaskAnswer]:
        """An answer for each file that is an image, in their order.

        Args:
            tell: called with a line for each file that is passed over.
        """
        shape = self.description.spec.input_shape
        for path in files:
            try:
                image = open_image(path, shape[0])
            except Exception as error:  # broken files raise SyntaxError, struct.error and more
                why = getattr(error, "strerror", None) or one_line(error)
                tell(f"{path} is passed over: {why}")
                continue
            pixels, place = _cut(image, shape)
            outputs = self._outputs(pixels[None])
            says = self.task.answer(outputs, place)
            yield TaskAnswer(str(path), says, self.task, image, outputs, place)

    def of_images(self, images: Any) -> np.ndarray:
        """The network's outputs, (N, classes) or (N, classes, h, w), of images.

        Args:
            images: (N, C, H, W) numbers from 0 to 255, of the network's C, H and W.

        Raises:
            ValueError: if they have another shape.
        """
        shape = self.description.spec.input_shape
        pixels = torch.from_numpy(np.array(images))  # a copy: an image's own is read-only
        if pixels.ndim != 4 or tuple(pixels.shape[1:]) != shape:
            raise ValueError(
                f"images must be of shape (N, {', '.join(map(str, shape))}), got "
                f"{shown(tuple(pixels.shape))}"
            )
        return torch.cat([self._outputs(batch) for batch in pixels.split(_BATCH)]).numpy()

    def _outputs(self, pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            outputs: Tensor = self.network((pixels.float() / 255 - self._mean) / self._std)
        return outputs


def _cut(image: Image, shape: tuple[int, int, int]) -> tuple[Tensor, Place]:
    """The network's input, and where it is in the image: as for a training, about the centre."""
    channels, height, width = shape
    scale = max(width / image.width, height / image.height)
    left, top = (image.width - width / scale) / 2, (image.height - height / scale) / 2
    pixels = np.array(fitted(image, height, width)).reshape(height, width, channels)
    return torch.from_numpy(pixels).permute(2, 0, 1), Place(left, top, scale)
