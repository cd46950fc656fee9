"""Tasks: what a network is trained for, and how it is judged (docs/tasks.md)."""

from nni_blockqnn.tasks.classification import CLASSIFICATION
from nni_blockqnn.tasks.find import TASKS, find_task
from nni_blockqnn.tasks.key_points import KEY_POINTS
from nni_blockqnn.tasks.segmentation import SEGMENTATION
from nni_blockqnn.tasks.task import Augment, Measured, Place, Share, Task
from nni_blockqnn.tasks.vectors import MULTI_LABEL, REGRESSION

__all__ = [
    "CLASSIFICATION",
    "KEY_POINTS",
    "MULTI_LABEL",
    "REGRESSION",
    "SEGMENTATION",
    "TASKS",
    "Augment",
    "Measured",
    "Place",
    "Share",
    "Task",
    "find_task",
]
