"""The test accuracy of a training that ended without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from nni_blockqnn.data import ImageData
from nni_blockqnn.exchange.parameters import TrialTask
from nni_blockqnn.export import load_described
from nni_blockqnn.training import ALONE, TrainingArguments, evaluate_task
from nni_blockqnn.training.weights import describe_further
from nni_blockqnn.trials.training import named_test_accuracies, prepare


def read_test_set_of(
    folder: Path,
    task: TrialTask,
    arguments: TrainingArguments,
    *,
    on_start: Callable[[ImageData, torch.device], None],
) -> None:
    """Write the test accuracy of the network in the folder into its ``network.json``.

    Args:
        task, arguments: of its training.
        on_start: called with the data and the device before an image is read.

    Raises:
        ValueError, DataError, TrainingError: one line that says what is wrong and what to do.
    """
    description, network = load_described(folder)
    device, batch_size = prepare(task, arguments, arguments.chosen_recipe().batch_size, ALONE)
    data = arguments.load_data(task.spec)
    on_start(data, device)
    purpose = arguments.chosen_task().knowing(data.class_names, data.facts)
    found = evaluate_task(
        purpose,
        network.to(device),
        data.test,
        description.mean,
        description.std,
        device=device,
        batch_size=batch_size,
        precision=arguments.precision,
        deterministic=arguments.deterministic,
    )
    describe_further(folder, named_test_accuracies(purpose, found, data.class_names))
