"""A first look at the data of a request, through its task."""

from __future__ import annotations

import hashlib
from pathlib import Path

from nni_blockqnn.automl._sizing import smallest_input
from nni_blockqnn.automl.request import Request
from nni_blockqnn.common.messages import alternatives, did_you_mean, shown
from nni_blockqnn.common.plugins import is_reference
from nni_blockqnn.data import DataError
from nni_blockqnn.data.outline import Outline, outline_of
from nni_blockqnn.tasks import CLASSIFICATION, Task, find_task


def look_at(request: Request) -> Outline:
    """The outline of the request's data.

    Of another task than classification the images are read for it, in the size of the smallest
    networks, once: later looks find them decoded.

    Raises:
        DataError: naming what is missing or does not go together, and what to do.
        ValueError: if there is no such task.
    """
    if request.task == CLASSIFICATION.name:
        return outline_of(request.data, request.data_dir)
    task = find_task(request.task)
    dataset, folder = _named(task, request)
    shape = task.image_shape(dataset, folder)
    size = None if shape is None else smallest_input(shape, task)
    data = task.load_data(dataset, folder, image_shape=size, validation="test")  # all of it
    held_out = task.load_data(dataset, folder, image_shape=size)
    has_validation = len(held_out.train) == len(data.train)
    splits = (data.train, held_out.valid, data.test)
    return Outline(
        dataset,
        folder,
        data.class_names,
        (len(data.train),),
        len(held_out.valid) if has_validation else 0,
        len(data.test),
        shape or data.image_shape,
        data.notes,
        hashlib.sha256(b"".join(split.labels.numpy().tobytes() for split in splits)).hexdigest(),
        task=request.task,
        is_resized=shape is not None,
    )


def _named(task: Task, request: Request) -> tuple[str, Path]:
    """A trial's ``--dataset`` and ``--data-dir``.

    Raises:
        DataError: if it is neither a data set of the task, nor a folder that can be only one.
    """
    data = request.data
    if data in task.datasets or is_reference(data):
        return data, request.data_dir.expanduser().absolute()
    folder = Path(data).expanduser()
    if folder.is_dir() and len(task.datasets) == 1:
        return task.datasets[0], folder.resolve()
    of_folder = [f"a folder ({task.datasets[0]})"] if len(task.datasets) == 1 else []
    named = [f"{name} with --data-dir" for name in task.datasets]
    allowed = alternatives([*of_folder, *named, "module:function"])
    kind = "a folder" if folder.is_dir() else "no folder"
    raise DataError(
        f"data of the task {task.name} must be {allowed} (docs/tasks.md); {shown(data)} is {kind}"
        f"{did_you_mean(data, task.datasets)}"
    )
