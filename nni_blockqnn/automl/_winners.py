"""Training a winner, or a hand-made block beside it, on all training data, and testing it once."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from nni_blockqnn.automl._chosen import Winner
from nni_blockqnn.automl._folder import SearchFolder
from nni_blockqnn.data import ImageData
from nni_blockqnn.results.trial_command import trial_arguments as options_of
from nni_blockqnn.tasks import CLASSIFICATION
from nni_blockqnn.training import EpochResult, TrainingArguments
from nni_blockqnn.trials.arguments import trial_arguments, trial_parser
from nni_blockqnn.trials.training import data_facts, run_training
from nni_blockqnn.trials.training_folder import TrainingFolder

OnEpoch = Callable[[EpochResult, int], None]
"""Called after each epoch with its result and the number of epochs."""


def winner_arguments(config: Mapping[str, Any]) -> TrainingArguments:
    """The finalists' own, but on all training data, and with all of the CPU's cores.

    Args:
        config: NNI's, of the finalists' experiment.
    """
    words = shlex.split(" ".join(options_of(config) or []))
    given = trial_arguments(trial_parser(under_nni=True).parse_args(words)).training
    return replace(
        given, validation="test", validation_images=None, limit=None, test=True, threads=None
    )


def train_winner(
    folder: SearchFolder, winner: Winner, arguments: TrainingArguments, on_epoch: OnEpoch
) -> dict[str, Any]:
    """What ``network.json`` says of the trained network.

    A training that was cut off goes on from its checkpoint. The test set is read when the training
    is over.

    Raises:
        ValueError, DataError, TrainingError: one line that says what is wrong and what to do.
    """
    task = winner.task
    identity = arguments.identity | {
        "block": task.block.to_json(),
        "encoding": task.block.encoding,
        "network": json.loads(task.spec.to_json()),
    }
    own = TrainingFolder(folder.training(winner.folder), identity)
    if (facts := own.result) is not None:
        return facts
    epochs = arguments.chosen_recipe().epochs

    def on_start(data: ImageData, device: torch.device) -> None:
        own.claim(data_facts(data))

    try:
        trained = run_training(
            task,
            arguments,
            on_start=on_start,
            on_epoch=lambda epoch: on_epoch(epoch, epochs),
            checkpoint=own.checkpoint,
            hide_test=True,
        )
        untold = dict.fromkeys(trained.accuracies)
        # of classes the interval follows from the accuracy itself
        interval = arguments.task != CLASSIFICATION.name
        trained.save(own.path, {**untold, **trained.read_test_set(interval)})
        own.finish()
    finally:
        own.release()
    found = own.result
    assert found is not None, "the training has just been saved"
    return found
