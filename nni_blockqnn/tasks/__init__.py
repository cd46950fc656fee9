"""Tasks: what a network is trained for, and how it is judged (docs/tasks.md)."""

from nni_blockqnn.tasks.classification import CLASSIFICATION
from nni_blockqnn.tasks.find import TASKS, find_task
from nni_blockqnn.tasks.task import Augment, Measured, Share, Task

__all__ = ["CLASSIFICATION", "TASKS", "Augment", "Measured", "Share", "Task", "find_task"]
