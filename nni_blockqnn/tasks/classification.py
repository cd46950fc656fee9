"""Classification: one class an image, as in the paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, PyTorch's own name for it
from torch import Tensor

from nni_blockqnn.data import DATASETS, ImageData, load_dataset
from nni_blockqnn.network.measure import ACCURACY, Measure
from nni_blockqnn.tasks.task import Measured, Task

TOP5_CLASSES = 100
"""From so many classes on, the top-5 accuracy is taken as well."""


class Classification(Task):
    """Cross-entropy and top-1 accuracy; targets are (N,) int64, the classes' numbers from 0."""

    name = "classification"
    measures = (
        ACCURACY,
        Measure("balanced_accuracy", "balanced"),
        Measure("top5_accuracy", "top 5", always=False),
    )
    outputs = "classes"
    datasets = DATASETS

    def load_data(self, dataset: str, *arguments: Any, **options: Any) -> ImageData:
        return load_dataset(dataset, *arguments, **options)

    def chance(self, data: ImageData) -> float:
        return 100 / data.classes

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets, reduction="sum")

    def judge(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(B, 1): 1 where the largest logit is that of the label; of many classes (B, 2), then
        also 1 where one of the five largest is."""
        right = [outputs.argmax(dim=1) == targets]
        if outputs.shape[1] >= TOP5_CLASSES:
            right.append((outputs.topk(5, dim=1).indices == targets[:, None]).any(dim=1))
        return torch.stack(right, dim=1)

    def measure(self, judged: Tensor, targets: Tensor) -> Measured:
        right, *among_five = judged.to(torch.int64).T
        counts = targets.bincount().tolist()
        hits = torch.zeros(len(counts), dtype=torch.int64).index_add_(0, targets, right).tolist()
        of_classes = tuple(
            100 * hit / count if count else None for hit, count in zip(hits, counts, strict=True)
        )
        values = {"accuracy": 100 * sum(hits) / len(targets)}
        if among_five:
            values["top5_accuracy"] = 100 * int(among_five[0].sum()) / len(targets)
        values["balanced_accuracy"] = balanced(of_classes)
        return Measured(values, of_classes)


CLASSIFICATION = Classification()


def balanced(class_accuracies: Sequence[float | None]) -> float:
    """Mean over the classes that have images; what a constant answer gets is chance.

    NaN if none has, as in a checkpoint of an earlier version.
    """
    found = [accuracy for accuracy in class_accuracies if accuracy is not None]
    return sum(found) / len(found) if found else math.nan
