"""How networks are trained, by what the images are."""

from __future__ import annotations

from nni_blockqnn.data.imagenet import IMAGENET
from nni_blockqnn.data.outline import IMAGE_FOLDER, Outline
from nni_blockqnn.tasks import CLASSIFICATION, find_task

FINAL, FINAL_PLAIN = "final", "final-plain"
_AUGMENTED_FROM = 24
"""Pixels of a photo's shorter side, of which a crop with a padding of 4 leaves most."""
_AUGMENTED = frozenset({"fashion_mnist", "cifar10", "cifar100", IMAGENET})
_BATCHES = ((8_000, 256), (3_000, 128), (640, 64), (0, 32))
"""Images of a training from which on it takes batches of that size."""
_FINAL_BATCHES = ((5_000, 128), (640, 64), (0, 32))
_FINAL_RATE, _FINAL_BATCH = 0.1, 128
"""The final recipe's own, which fall in proportion."""


def trial_batch(images: int) -> int:
    """Images a step of a trial that has so many in all."""
    return _of_images(_BATCHES, images)


def final_options(outline: Outline, input_shape: tuple[int, int, int]) -> list[str]:
    """A trial's options for the recipe of the long trainings, but for its epochs.

    Args:
        input_shape: (channels, height, width) of the network.
    """
    task = find_task(outline.task)
    if task.final_recipe != FINAL:  # of the task's own, which has its batch and its rate
        return [f"--recipe {task.final_recipe}"]
    batch_size = _of_images(_FINAL_BATCHES, outline.trained)
    rate = _FINAL_RATE * batch_size / _FINAL_BATCH
    recipe = FINAL if _augments(outline, input_shape) else FINAL_PLAIN
    return [f"--recipe {recipe}", f"--batch-size {batch_size}", f"--learning-rate {rate:g}"]


def metric_of(outline: Outline) -> str:
    """What of the validation images a block is rewarded for; "accuracy" is a task's score."""
    return "balanced_accuracy" if outline.is_imbalanced else "accuracy"


def _augments(outline: Outline, input_shape: tuple[int, int, int]) -> bool:
    channels, height, width = input_shape
    if outline.task != CLASSIFICATION.name:  # only what the task itself knows to change alike
        return find_task(outline.task).augment is not None and min(height, width) >= _AUGMENTED_FROM
    is_photo = outline.dataset == IMAGE_FOLDER and channels == 3
    return outline.dataset in _AUGMENTED or (is_photo and min(height, width) >= _AUGMENTED_FROM)


def _of_images(table: tuple[tuple[int, int], ...], images: int) -> int:
    return next(size for least, size in table if images >= least)
