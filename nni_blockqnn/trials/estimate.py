"""How long a trial's training would take, from a few of its steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from nni_blockqnn.data import AnySplit, ImageData
from nni_blockqnn.exchange.parameters import TrialTask
from nni_blockqnn.model_space import build_network
from nni_blockqnn.training import ALONE, Recipe, TrainingArguments, train
from nni_blockqnn.trials.training import prepare, sample_of

_FIRST_IMAGES = 4
"""Of the first step, which also loads what PyTorch loads late and warms the caches."""
_TIMED_SECONDS = 1.5
"""Of each of the rounds, of which the fastest counts: the others met something else that ran."""
_ROUNDS = 3
_MOST_BATCHES = 5
_VALIDATED = 1 / 3
"""A forward pass takes about a third of a training step's time."""


def training_seconds(
    task: TrialTask,
    arguments: TrainingArguments,
    data: ImageData,
    round_seconds: float = _TIMED_SECONDS,
) -> float:
    """About how long the task's whole training takes on this machine.

    Takes some five seconds at most, unless a step of 4 images takes more than one.

    Args:
        round_seconds: of each of the three rounds, of which the fastest counts.

    Raises:
        ValueError, TrainingError: as a training.
    """
    recipe = replace(arguments.chosen_recipe(), epochs=1, milestones=(), restarts=0)
    device, micro_batch = prepare(task, arguments, recipe.batch_size, ALONE)

    def seconds_of(images: int) -> float:
        few = replace(data, train=_first(data.train, images), valid=_first(data.valid, 1))
        return _epoch_seconds(
            few,
            replace(recipe, batch_size=min(recipe.batch_size, images)),
            task=arguments.chosen_task(),
            make_network=lambda: build_network(task.block, task.spec),
            device=device,
            precision=arguments.precision,
            deterministic=arguments.deterministic,
            cuda_graphs=arguments.cuda_graphs,
            micro_batch=micro_batch,
        )

    first = min(_FIRST_IMAGES, len(data.train))
    seconds_of(first)
    an_image = seconds_of(first) / first
    images = _affordable(round_seconds / an_image, first, recipe.batch_size, len(data.train))
    rounds = _ROUNDS if images > first else 1
    an_image = min(seconds_of(images) / images for _ in range(rounds))
    epochs = arguments.chosen_recipe().epochs
    validated = epochs * len(data.valid)
    if (sample := sample_of(data, arguments)) is not None:
        validated = (epochs - 1) * len(sample) + len(data.valid)
    return an_image * (epochs * len(data.train) + _VALIDATED * validated)


def _affordable(in_time: float, first: int, batch_size: int, there_are: int) -> int:
    """How many images a round takes: whole batches, as far as its time allows."""
    count = min(int(in_time), _MOST_BATCHES * batch_size, there_are)
    if count < 2 * first:
        return first
    return count - count % batch_size if count > batch_size else count


def _first(split: AnySplit, count: int) -> AnySplit:
    """Images spread over the split."""
    return split.select(torch.arange(count) * len(split) // count)


def _epoch_seconds(
    data: ImageData, recipe: Recipe, *, make_network: Callable[[], nn.Module], **settings: Any
) -> float:
    result = train(make_network, data, recipe, **settings)
    return result.epochs[-1].seconds
