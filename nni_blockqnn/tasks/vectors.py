"""Tasks of a few numbers for each image: regression and multi-label classification."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F  # noqa: N812, PyTorch's own name for it
from torch import Tensor

from nni_blockqnn.data import DataError, ImageData
from nni_blockqnn.data.targets import LabelledImages, output_names
from nni_blockqnn.network.measure import Measure
from nni_blockqnn.tasks.task import Measured, Task

_LARGEST_NUMBER = 10.0


class Regression(Task):
    """Squared errors, and their root mean over images and outputs; targets are (N,) or (N, D)
    numbers.

    They should be of a size about 1: nothing scales them. Data whose numbers are far larger has a
    note that says so.
    """

    name = "regression"
    measures = (
        Measure("rmse", "RMSE", "", "minimize"),
        Measure("mean_absolute_error", unit="", direction="minimize"),
    )
    outputs = "numbers"

    def load_data(self, dataset: str, data_dir: Path | None, **options: Any) -> ImageData:
        data = super().load_data(dataset, data_dir, **options)
        largest = float(data.train.labels.abs().max())
        if largest <= _LARGEST_NUMBER:
            return data
        note = (
            f"the numbers to learn are as large as {largest:.4g}, and nothing scales them: "
            f"trainings may diverge, so divide them by some {10 ** round(math.log10(largest)):,}"
        )
        return replace(data, notes=(*data.notes, note))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - _rows(targets)).square().mean(dim=1).sum()

    def judge(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(B, D): the errors."""
        return outputs - _rows(targets)

    def measure(self, judged: Tensor, targets: Tensor) -> Measured:
        errors = judged.double()
        roots = errors.square().mean(dim=0).sqrt()
        values = {
            "rmse": errors.square().mean().sqrt().item(),
            "mean_absolute_error": errors.abs().mean().item(),
        }
        return Measured(values, tuple(roots.tolist()))


class MultiLabel(Task):
    """Any number of classes an image: binary cross-entropy, and the mean of the classes' F1.

    Targets are (N, classes) of 0 and 1; a class is answered from a probability of one half.
    """

    name = "multilabel"
    measures = (Measure("macro_f1", "macro F1"), Measure("exact_match"))
    outputs = "classes, any number an image"

    def own_targets(
        self, what: str, part: LabelledImages, names: Sequence[str] | None
    ) -> tuple[np.ndarray, Sequence[str]]:
        targets = part.labels
        if targets.ndim != 2 or not np.isin(targets, (0, 1)).all():
            raise DataError(
                f"{what} must be 0 or 1 for each class, of shape (N, classes), got {targets.dtype} "
                f"{targets.shape}"
            )
        return targets.astype(np.uint8), output_names(what, names, targets.shape[1], "classes")

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        losses = F.binary_cross_entropy_with_logits(outputs, targets.float(), reduction="none")
        return losses.mean(dim=1).sum()

    def judge(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(B, classes): 1 for those that are answered."""
        return (outputs > 0).float()

    def measure(self, judged: Tensor, targets: Tensor) -> Measured:
        said, there = judged.bool(), targets.bool()
        right = (said & there).sum(dim=0).double()
        either = (said.sum(dim=0) + there.sum(dim=0)).double()
        of_classes = tuple(
            200 * hits / count if count else None
            for hits, count in zip(right.tolist(), either.tolist(), strict=True)
        )
        known = [value for value in of_classes if value is not None]
        exact = 100 * (said == there).all(dim=1).double().mean().item()
        mean = sum(known) / max(len(known), 1)
        return Measured({"macro_f1": mean, "exact_match": exact}, of_classes)


def _rows(targets: Tensor) -> Tensor:
    """(B, D) of (B,) or (B, D)."""
    return targets.float().view(len(targets), -1)


REGRESSION, MULTI_LABEL = Regression(), MultiLabel()
