"""The command line of a trial."""

from __future__ import annotations

import argparse
import json
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from nni_blockqnn.blocks.layer import ENCODINGS
from nni_blockqnn.blocks.named import codes_of, names
from nni_blockqnn.common.command_line import ArgumentParser
from nni_blockqnn.common.messages import alternatives, did_you_mean, shown
from nni_blockqnn.common.plugins import is_reference
from nni_blockqnn.data.imagenet import IMAGENET
from nni_blockqnn.data.load import DATASETS, VALIDATIONS
from nni_blockqnn.tasks import CLASSIFICATION, TASKS, Task, find_task
from nni_blockqnn.training import (
    PRECISIONS,
    RECIPES,
    TrainingArguments,
    default_precision,
    pick_device,
)
from nni_blockqnn.training.arguments import DEFAULT_DATA_DIR, MOST_PROCESSES, MOST_WORKERS
from nni_blockqnn.training.recipe import OPTIMIZERS
from nni_blockqnn.trials.number_types import integer_from, number, positive, reward_weight, seed

AUTO_PRECISION = "auto"
_ALL_DATASETS = tuple(dict.fromkeys(name for task in TASKS.values() for name in task.datasets))


@dataclass(frozen=True)
class TrialArguments:
    """What a trial is told on its command line.

    Attributes:
        training: what `blockqnn train` is told, too.
        mu: weight of ln FLOPs in the paper's reward; default 1.
        rho: weight of ln density; default 8.
        reward: ``module:function`` of a reward of the user's own (docs/metrics.md); default None,
            the paper's.
        metric: "accuracy" (default), or another measure of the task, such as "balanced_accuracy",
            which then takes the accuracy's place in the reward.
        save_dir: folder for the trained network; under NNI each trial has a folder in it. Default
            None: the trial's own folder under NNI, if the recipe is a final one.

    Raises:
        ValueError: if mu or rho is given beside a reward that does not read it, or the metric is
            unknown.
    """

    training: TrainingArguments
    mu: float = 1.0
    rho: float = 8.0
    reward: str | None = None
    metric: str = "accuracy"
    save_dir: Path | None = None

    IDENTIFYING: ClassVar[tuple[str, ...]] = ("mu", "rho", "reward", "metric", "save_dir")
    """The fields that its final metric depends on, beside those of the training and its `test`."""

    def __post_init__(self) -> None:
        metrics = rewarded(self.training.chosen_task())
        if self.metric not in metrics:
            raise ValueError(f"metric must be {alternatives(metrics)}, got {shown(self.metric)}")
        if self.reward is not None and (self.mu, self.rho) != (1.0, 8.0):
            raise ValueError(
                f"mu and rho belong to the paper's reward, and the reward is {self.reward}: leave "
                f"them out, got mu {self.mu:g} and rho {self.rho:g}"
            )

    @property
    def identity(self) -> dict[str, Any]:
        """All but the block that the final metric depends on, as JSON values; defaults are left
        out."""
        own = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name in self.IDENTIFYING and getattr(self, field.name) != field.default
        }
        if self.save_dir is not None:
            own["save_dir"] = str(self.save_dir)
        tested = {"test": True} if self.training.test else {}
        return self.training.identity | own | tested


def rewarded(task: Task) -> list[str]:
    """The names of what a reward may take as its accuracy."""
    others = (one.name for one in task.measures if one.always and one.direction == "maximize")
    return list(dict.fromkeys(["accuracy", *others]))


class ArgumentsError(ValueError):
    """A trial's command line that cannot be read; the message names the argument."""


class _ParserUnderNNI(ArgumentParser):
    """Raises what is wrong, for the tuner to be told, where others print it and exit."""

    def error(self, message: str) -> NoReturn:
        raise ArgumentsError(message)


def training_arguments(namespace: argparse.Namespace) -> TrainingArguments:
    """What a parser with :func:`add_data` and :func:`add_training` has read.

    Raises:
        ValueError: naming the field, its value and what is allowed.
    """
    names = [field.name for field in fields(TrainingArguments)]
    given = {name: getattr(namespace, name) for name in names}
    if given["milestones"] is not None:
        given["milestones"] = tuple(given["milestones"])
    if given["recipe"] is None:
        given["recipe"] = default_final_recipe(given["dataset"], given["task"])
    if given["precision"] == AUTO_PRECISION:
        given["precision"] = _precision_here(given["device"], given["recipe"])
    return TrainingArguments(**given)


def _precision_here(device: str, recipe: str) -> str:
    """What the device suits; of one that is not here, its own message comes later."""
    try:
        return default_precision(pick_device(device), final=recipe != "early-stop")
    except ValueError:
        return "fp32"


def trial_arguments(namespace: argparse.Namespace) -> TrialArguments:
    """What :func:`trial_parser` has read.

    Raises:
        ValueError: naming the field, its value and what is allowed.
    """
    names = [field.name for field in fields(TrialArguments) if field.name != "training"]
    given = {name: getattr(namespace, name) for name in names}
    return TrialArguments(training_arguments(namespace), **given)


def trial_parser(under_nni: bool) -> argparse.ArgumentParser:
    """
    Args:
        under_nni: the block need not be given, and the parser raises :class:`ArgumentsError`.
    """
    kind = _ParserUnderNNI if under_nni else ArgumentParser
    parser = kind(
        prog="python -m nni_blockqnn.trial",
        description="Trains one block and reports its reward, to NNI or on the screen.",
        epilog="example: python -m nni_blockqnn.trial --block '[[1,1,3,0,0]]' --dataset digits",
        allow_abbrev=False,
    )
    add_data(parser)
    add_training(parser)
    _add_reward(parser)
    parser.add_argument(
        "--save-dir",
        type=Path,
        help="keep the trained network in this folder, under NNI in a folder of it for each trial "
        "(default: under NNI, in the trial's own folder if the recipe is a final one)",
    )
    parser.add_argument(
        "--resident",
        action="store_true",
        help="under NNI on Linux: fork from a worker that has made the imports (docs/turnover.md)",
    )
    block = parser.add_argument_group("outside NNI, which brings them as parameters")
    block.add_argument(
        "--block", required=not under_nni, help=f"structure codes as JSON text, or {names()}"
    )
    block.add_argument(
        "--encoding",
        choices=ENCODINGS,
        default="pcc",
        help="what a convolution stands for: ReLU, convolution and batch norm, or itself",
    )
    block.add_argument(
        "--repeats", type=integer_from(1), help="N, blocks a stage (default: the network's)"
    )
    block.add_argument(
        "--network", help="preset or JSON of NetworkSpec's fields (default: the data set's)"
    )
    return parser


def own_parameters(namespace: argparse.Namespace) -> dict[str, Any]:
    """A trial's parameters outside NNI, from what :func:`trial_parser` has read."""
    network = namespace.network or default_network(namespace.dataset)
    space = json.dumps({"encoding": namespace.encoding})
    block = codes_of(namespace.block, namespace.encoding)
    parameters = {"block": block, "network": network, "space": space}
    if namespace.repeats is not None:
        parameters["repeats"] = namespace.repeats
    return parameters


def default_network(dataset: str) -> str:
    """The preset of the data set's name; image folders are resized to CIFAR-10's images.

    Raises:
        ValueError: for a data set that has none, whose network must be given.
    """
    if dataset not in DATASETS:
        raise ValueError(
            f"network is missing: the dataset {dataset} has no preset; give a preset's name or "
            "JSON of NetworkSpec's fields with --network"
        )
    return "cifar10" if dataset == "image-folder" else dataset


def default_final_recipe(dataset: str, task: str = CLASSIFICATION.name) -> str:
    return "imagenet-final" if dataset == IMAGENET else find_task(task).final_recipe


def add_workers(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--workers",
        type=integer_from(0, MOST_PROCESSES),
        help="processes that decode the images of --dataset imagenet; 0 for the training's own "
        f"(default: --threads, otherwise the CPU's cores, at most {MOST_WORKERS})",
    )


def name_or_reference(known: Sequence[str]) -> Callable[[str], str]:
    """Accepts the names that are known, and ``module:function``."""

    def parse(text: str) -> str:
        if text not in known and not is_reference(text):
            allowed = alternatives([*known, "module:function"])
            hint = did_you_mean(text, known)
            raise ArgumentTypeError(f"must be {allowed}, got {shown(text)}{hint}")
        return text

    return parse


def add_dataset(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--dataset",
        required=True,
        type=name_or_reference(_ALL_DATASETS),
        help=f"{', '.join(_ALL_DATASETS)}, or module:function of a data set of your own",
    )


def add_task(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--task",
        type=name_or_reference(tuple(TASKS)),
        default=CLASSIFICATION.name,
        help=f"{', '.join(TASKS)}, or module:function of a task of your own (default: %(default)s)",
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    add_task(group)
    add_dataset(group)
    group.add_argument(
        "--data-dir",
        type=Path,
        default=DEFAULT_DATA_DIR,
        help="where the data lies or is downloaded to (default: %(default)s)",
    )
    group.add_argument(
        "--validation",
        choices=VALIDATIONS,
        default="holdout",
        help="hold 10 %% of the training set out, or validate on the test set as the paper does "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--validation-images",
        type=integer_from(1),
        metavar="N",
        help="hold out so many instead, of all training images and beside those of --limit; 1,000 "
        "of them validate all epochs but the last",
    )
    group.add_argument(
        "--limit", type=integer_from(1), help="train on so many images only, stratified"
    )
    group.add_argument(
        "--test", action="store_true", help="also read the test set: for the winner, once"
    )
    add_workers(group)


def add_training(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training")
    group.add_argument(
        "--recipe",
        type=name_or_reference(tuple(RECIPES)),
        default="early-stop",
        help=f"{', '.join(RECIPES)}, or module:function of a recipe of your own (default: "
        "early-stop for a trial, for blockqnn train the data set's final one)",
    )
    group.add_argument(
        "--epochs", type=integer_from(1), help="shorten the recipe, its schedule included"
    )
    group.add_argument(
        "--batch-size", type=integer_from(1), help="images a step (default: the recipe's)"
    )
    _add_optimization(parser.add_argument_group("optimizer and schedule, instead of the recipe's"))
    group.add_argument(
        "--seed", type=seed, default=0, help="of weights, order and hold-out (default: 0)"
    )
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    group.add_argument(
        "--precision",
        choices=(AUTO_PRECISION, *PRECISIONS),
        default=AUTO_PRECISION,
        help="of the arithmetic (default: auto: on a GPU from Ampere on bf16 for the recipe "
        "early-stop and tf32 for others, elsewhere fp32)",
    )
    group.add_argument(
        "--deterministic",
        action="store_true",
        help="the same kernels at each run of a GPU; by default it takes the fastest ones",
    )
    group.add_argument(
        "--cuda-graphs",
        action="store_true",
        help="record a GPU's passes over a batch once and replay them",
    )
    group.add_argument(
        "--threads",
        type=integer_from(1, MOST_PROCESSES),
        help="CPU threads (default: one a core; of a local search, the cores shared by its trials)",
    )


def _add_optimization(group: argparse._ActionsContainer) -> None:
    group.add_argument("--optimizer", choices=OPTIMIZERS)
    group.add_argument("--learning-rate", type=positive, help="of the first epoch")
    group.add_argument(
        "--milestones",
        type=integer_from(1),
        nargs="*",
        metavar="EPOCH",
        help="multiply the learning rate by the factor after these epochs; none: keep it constant",
    )
    group.add_argument("--factor", type=positive, help="above 0")
    group.add_argument("--weight-decay", type=number(0), help="L2 penalty, 0 or more")
    group.add_argument("--momentum", type=number(0, below=1), help="of sgd, from 0 to below 1")


def _add_reward(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("reward")
    group.add_argument(
        "--mu", type=reward_weight, default=1.0, help="weight of ln FLOPs (default: %(default)s)"
    )
    group.add_argument(
        "--rho", type=reward_weight, default=8.0, help="weight of ln density (default: %(default)s)"
    )
    group.add_argument(
        "--metric",
        default="accuracy",
        help="what of the validation set the reward takes: accuracy, which of another task than "
        "classification is its first measure, or another of the task's measures, of classification "
        "balanced_accuracy, the mean of the classes' accuracies (default: %(default)s)",
    )
    group.add_argument(
        "--reward",
        type=_reference,
        metavar="MODULE:FUNCTION",
        help="a reward of your own, instead of the paper's with its mu and rho",
    )


def _reference(text: str) -> str:
    if not is_reference(text):
        raise ArgumentTypeError(f"must be module:function, got {shown(text)}")
    return text
