"""Classes of very different sizes, which make an accuracy say little."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_SAID_FROM = 4
"""How many times as many images the largest class has, for it to be said: 80 to 20."""


def is_imbalanced(counts: Sequence[int]) -> bool:
    """Whether the largest class has at least four times the smallest one's images."""
    return max(counts) >= _SAID_FROM * min(counts)


def imbalance(labels: Tensor, class_names: Sequence[str]) -> list[str]:
    """A line that says so, if the largest class has at least four times the smallest one's images.

    Args:
        labels: (N,) int64, of the training images.
    """
    counts = torch.bincount(labels, minlength=len(class_names))
    largest, smallest = int(counts.argmax()), int(counts.argmin())
    most, fewest = int(counts[largest]), int(counts[smallest])
    if not is_imbalanced((most, fewest)):
        return []
    return [
        f"the classes are imbalanced: {class_names[largest]!r} has {most:,} training images and "
        f"{class_names[smallest]!r} {fewest:,}; answering {class_names[largest]!r} always is right "
        f"for {100 * most / len(labels):.3g} % of them. --metric balanced_accuracy of a trial "
        "searches for the mean of the classes' accuracies"
    ]
