"""Tasks by name."""

from __future__ import annotations

from nni_blockqnn.common.messages import alternatives, did_you_mean, shown
from nni_blockqnn.common.plugins import is_reference, load_object
from nni_blockqnn.tasks.classification import CLASSIFICATION
from nni_blockqnn.tasks.key_points import KEY_POINTS
from nni_blockqnn.tasks.segmentation import SEGMENTATION
from nni_blockqnn.tasks.task import Task
from nni_blockqnn.tasks.vectors import MULTI_LABEL, REGRESSION

TASKS: dict[str, Task] = {
    task.name: task for task in (CLASSIFICATION, SEGMENTATION, KEY_POINTS, REGRESSION, MULTI_LABEL)
}
"""The tasks that this package brings, by name."""


def find_task(name: str) -> Task:
    """The task of that name in `TASKS`, or the one that ``module:function`` returns.

    Raises:
        ValueError: if there is no such task, or the function returns none.
    """
    if name in TASKS:
        return TASKS[name]
    if not (isinstance(name, str) and is_reference(name)):
        allowed = alternatives([*TASKS, "module:function"])
        raise ValueError(f"task must be {allowed}, got {shown(name)}{did_you_mean(name, TASKS)}")
    make = load_object(name, "a task")
    try:
        task = make()
    except Exception as error:  # whatever a user's own code raises
        raise ValueError(f"task {name} failed: {type(error).__name__}: {error}") from error
    if not isinstance(task, Task):
        raise ValueError(
            f"task {name} must return a nni_blockqnn.tasks.Task, got {shown(task)}: inherit from it"
        )
    task.name = name
    return task
