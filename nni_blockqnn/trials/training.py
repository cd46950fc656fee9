"""A training as its arguments say: what a trial and ``blockqnn train`` share."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nni_blockqnn.common.checks import LARGEST_SEED
from nni_blockqnn.data import AnySplit, ImageData
from nni_blockqnn.exchange.parameters import TrialTask
from nni_blockqnn.model_space import build_network
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.measure import ACCURACY
from nni_blockqnn.tasks import CLASSIFICATION, Measured, Task
from nni_blockqnn.training import (
    ALONE,
    Checkpoint,
    EpochResult,
    Recipe,
    TrainingArguments,
    TrainingResult,
    World,
    check_precision,
    evaluate_task,
    pick_device,
    train,
)
from nni_blockqnn.training.memory import fitting_micro_batch
from nni_blockqnn.training.results import best_epoch
from nni_blockqnn.training.weights import save_network

WATCHED_IMAGES = 1_000


@dataclass(frozen=True)
class Trained:
    """A finished training and its inputs."""

    task: TrialTask
    recipe: Recipe
    data: ImageData
    result: TrainingResult
    arguments: TrainingArguments
    world: World

    @property
    def accuracies(self) -> dict[str, Any]:
        """On the validation set, as metrics and ``network.json`` name them (docs/metrics.md).

        Of another task than classification these are its measures.
        """
        epochs = self.result.epochs
        last, best, kept = epochs[-1], best_epoch(epochs), epochs[self.result.kept_epoch - 1]
        found: dict[str, Any] = {}
        for name in _names(self.arguments.chosen_task()):
            found[name], found[f"best_{name}"] = last.value(name), best.value(name)
        if last.class_accuracies and best.class_accuracies:  # not if an earlier version trained
            found["class_accuracies"] = _by_name(kept.class_accuracies, self.data.class_names)
        return {
            name: value for name, value in found.items() if value is not None and not _is_nan(value)
        }

    def read_test_set(self, interval: bool = False) -> dict[str, Any]:
        """Accuracies on the test set, likewise; all processes take part.

        Args:
            interval: whether to add the score's 95 % interval over the test images.
        """
        device = next(self.result.network.parameters()).device
        data, network = self.data, self.result.network
        task = self.arguments.chosen_task().knowing(data.class_names, data.facts)
        found = evaluate_task(
            task,
            network,
            data.test,
            data.mean,
            data.std,
            device=device,
            batch_size=self.result.micro_batch,
            precision=self.arguments.precision,
            deterministic=self.arguments.deterministic,
            world=self.world,
            interval=interval,
        )
        return named_test_accuracies(task, found, data.class_names)

    def save(
        self,
        folder: Path,
        accuracies: Mapping[str, Any],
        init_from: Mapping[str, Any] | None = None,
    ) -> str:
        """Write the network (docs/final_training.md); returns the SHA-256 of its weights.

        Args:
            init_from: the network whose weights this one began with, for ``network.json``.

        Raises:
            OSError: if there is no room for it, for example.
        """
        block, spec, arguments = self.task.block, self.task.spec, self.arguments
        held_out = arguments.validation_images
        validation_images = {} if held_out is None else {"validation_images": held_out}
        description = {
            "block": block.to_json(),
            "encoding": block.encoding,
            **({"extra_kinds": block.extra_kinds} if block.extra_kinds else {}),
            "repeats": spec.repeats,
            "network": json.loads(spec.to_json()),
            **task_facts(arguments.chosen_task()),
            **({"data": dict(self.data.facts)} if self.data.facts else {}),
            "dataset": arguments.dataset,
            "validation": arguments.validation,
            **validation_images,
            "limit": arguments.limit,
            "recipe": asdict(self.recipe),
            "precision": arguments.precision,
            "micro_batch": self.result.micro_batch,
            "processes": self.world.size,
            "seed": arguments.seed,
            **({"repetition": self.task.repetition} if self.task.repetition else {}),
            "epoch": self.result.kept_epoch,
            "init_from": None if init_from is None else dict(init_from),
            **accuracies,
            "class_names": self.data.class_names,
            "mean": self.data.mean,
            "std": self.data.std,
        }
        return save_network(folder, self.result.network, description)


def run_training(
    task: TrialTask,
    arguments: TrainingArguments,
    *,
    on_start: Callable[[ImageData, torch.device], None],
    on_epoch: Callable[[EpochResult], None],
    checkpoint: Checkpoint | None = None,
    keep_best: bool = False,
    hide_test: bool = False,
    initialise: Callable[[nn.Module], Any] | None = None,
    world: World = ALONE,
    trials: int = 1,
) -> Trained:
    """Train the network of the task.

    Args:
        on_start: called with the data and the device before the first epoch.
        keep_best: end with the best validated epoch's weights; where validation is the test set,
            nothing may be selected, and these are the last epoch's in any case.
        hide_test: where validation is the test set, look at training images after each epoch
            instead, so that the test set is not read before the training is over.
        initialise: changes the fresh weights of a network.
        world: the processes that share the training.
        trials: of a search that train at the same time on this machine, this one included.

    Raises:
        ValueError, DataError, TrainingError: one line that says what is wrong and what to do.
    """
    spec, recipe = task.spec, arguments.chosen_recipe()
    share = world.largest_share(recipe.batch_size)
    device, micro_batch = prepare(task, arguments, share, world, trials)
    data = arguments.load_data(spec, world.local_size * trials)
    world.check_same(data_facts(data))
    on_start(data, device)
    on_test = arguments.validation == "test"

    def make_network() -> nn.Module:
        network = build_network(task.block, spec)
        if initialise is not None:
            initialise(network)
        return network

    result = train(
        make_network,
        replace(data, valid=watched_images(data.train)) if on_test and hide_test else data,
        recipe,
        task=arguments.chosen_task(),
        device=device,
        seed=training_seed(task, arguments),
        on_epoch=on_epoch,
        checkpoint=checkpoint,
        keep_best=keep_best and not on_test,
        sample=sample_of(data, arguments),
        precision=arguments.precision,
        deterministic=arguments.deterministic,
        cuda_graphs=arguments.cuda_graphs,
        micro_batch=micro_batch,
        world=world,
    )
    return Trained(task, recipe, data, result, arguments, world)


def training_seed(task: TrialTask, arguments: TrainingArguments) -> int:
    """Of weights and order. The images held out are those of the seed itself every time."""
    return (arguments.seed + task.repetition) % (LARGEST_SEED + 1)


def named_test_accuracies(
    task: Task, found: Measured, class_names: Sequence[str]
) -> dict[str, Any]:
    """As metrics and ``network.json`` name them."""
    values = {f"test_{name}": value for name, value in found.values.items()}
    of_outputs = _by_name(found.of_outputs, class_names)
    return {
        **{"test_accuracy": task.score(found)},
        **{name: value for name, value in values.items() if name != "test_accuracy"},
        **({"test_class_accuracies": of_outputs} if of_outputs else {}),
        **({"test_interval": list(found.interval)} if found.interval else {}),
    }


def task_facts(task: Task) -> dict[str, Any]:
    """What metrics and ``network.json`` say of a task; nothing of classification."""
    if task.main == ACCURACY:
        return {} if task.name == CLASSIFICATION.name else {"task": task.name}
    return {"task": task.name, "measure": task.main.to_json()}


def _names(task: Task) -> list[str]:
    """The score, and the task's measures."""
    return list(dict.fromkeys(["accuracy", *(one.name for one in task.measures)]))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _by_name(accuracies: Sequence[float | None], class_names: Sequence[str]) -> dict[str, float]:
    """Of the classes that have images."""
    found = zip(class_names, accuracies, strict=False)  # the last classes may have none
    return {name: round(accuracy, 2) for name, accuracy in found if accuracy is not None}


def prepare(
    task: TrialTask, arguments: TrainingArguments, share: int, world: World, trials: int = 1
) -> tuple[torch.device, int]:
    """The device, and how many images of a share it takes at once; sets the threads."""
    device = pick_device(arguments.device)
    threads = arguments.chosen_threads(world.local_size, trials)
    if threads is not None:
        torch.set_num_threads(threads)
    precision = arguments.precision
    check_precision(precision, device)
    cost = estimate_cost(task.block, task.spec)
    return device, fitting_micro_batch(cost, share, device, precision, world.local_size)


def data_facts(data: ImageData) -> dict[str, Any]:
    """Facts that differ if two processes read different data, as JSON values."""
    facts: dict[str, Any] = {"the list of classes": data.class_names}
    for name, split in (("training", data.train), ("validation", data.valid), ("test", data.test)):
        digest = hashlib.sha256(split.labels.numpy().tobytes())
        facts[f"the number of {name} images"] = len(split)
        facts[f"the SHA-256 of all labels of {name} images"] = digest.hexdigest()
    return facts


def sample_of(data: ImageData, arguments: TrainingArguments) -> AnySplit | None:
    """What all epochs but the last are validated on where there may be many validation images; None
    for all of them."""
    if arguments.validation_images is None or len(data.valid) <= WATCHED_IMAGES:
        return None
    return watched_images(data.valid)


def watched_images(split: AnySplit) -> AnySplit:
    """A sample of at most 1,000 images, spread over the split, to watch a training by."""
    count = min(WATCHED_IMAGES, len(split))
    return split.select(torch.arange(count) * len(split) // count)  # files are sorted by class
