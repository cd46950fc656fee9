"""``blockqnn predict`` of networks for other tasks than classification (imports PyTorch)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL.Image import Image

from nni_blockqnn.data.errors import one_line
from nni_blockqnn.data.image_files import fitted, open_image
from nni_blockqnn.export import ExportError, load_described
from nni_blockqnn.tasks import TASKS, Place, Task, find_task


def predict_task(
    folder: Path,
    named: str,
    given: str | None,
    files: Iterable[Path],
    draw: Path | None,
    tell: Callable[[str], None],
) -> int:
    """Print a JSON object for each image, a line each; returns how many.

    Args:
        folder: of the network.
        named: the task in its ``network.json``.
        given: the task on the command line, if any: what is read must not run code, so one of the
            user's own has to be named.
        draw: folder for the images with what was found drawn into them.
        tell: called with a line for each file that is passed over.

    Raises:
        ValueError: if the task is not known, or draws nothing.
    """
    if named not in TASKS and given != named:
        raise ExportError(
            f"{folder} is a network for the task {named}, whose code is imported only if you name "
            f"it: --task {named}"
        )
    description, network = load_described(folder)
    task = find_task(named).knowing(description.class_names, description.facts.get("data", {}))
    mean, std = (torch.tensor(one).view(-1, 1, 1) for one in (description.mean, description.std))
    count = 0
    for path in files:
        try:
            image = open_image(path, description.spec.input_shape[0])
        except Exception as error:  # broken files raise SyntaxError, struct.error and more
            tell(f"{path} is passed over: {getattr(error, 'strerror', None) or one_line(error)}")
            continue
        pixels, place = _cut(image, description.spec.input_shape)
        with torch.inference_mode():
            outputs = network(((pixels / 255 - mean) / std)[None])
        print(json.dumps({"file": str(path), **task.answer(outputs, place)}, ensure_ascii=False))
        if draw is not None:
            _draw(task, image, outputs, place, _unused(draw, path))
        count += 1
    return count


def _cut(image: Image, shape: tuple[int, int, int]) -> tuple[torch.Tensor, Place]:
    """The network's input, and where it is in the image: as for a training, about the centre."""
    channels, height, width = shape
    scale = max(width / image.width, height / image.height)
    left, top = (image.width - width / scale) / 2, (image.height - height / scale) / 2
    pixels = np.array(fitted(image, height, width)).reshape(height, width, channels)
    return torch.from_numpy(pixels).permute(2, 0, 1).float(), Place(left, top, scale)


def _draw(task: Task, image: Image, outputs: Any, place: Place, path: Path) -> None:
    picture = image.convert("RGB")
    task.draw(picture, outputs, place)
    picture.save(path)


def _unused(folder: Path, file: Path) -> Path:
    """A name in the folder that no image has yet."""
    folder.mkdir(parents=True, exist_ok=True)
    path, number = folder / f"{file.stem}.png", 1
    while path.exists():
        number += 1
        path = folder / f"{file.stem}-{number}.png"
    return path
