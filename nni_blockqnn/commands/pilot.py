"""``blockqnn pilot``: train some blocks both ways, then calibrate (imports PyTorch)."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import TaskProgressColumn

from nni_blockqnn.calibration.judging import FEWEST_PAIRS
from nni_blockqnn.commands._pilot_folder import PilotFolder
from nni_blockqnn.commands._pilot_plan import PilotPlan
from nni_blockqnn.commands._pilot_trainings import (
    EARLY_NAME,
    FINAL_NAME,
    PilotTraining,
    run_pilot,
)
from nni_blockqnn.commands._progress_bar import ProgressBar, time_left
from nni_blockqnn.commands.calibrate import (
    add_calibration,
    calibrate_results,
    calibration_options,
)
from nni_blockqnn.data import DataError
from nni_blockqnn.data.load import VALIDATIONS
from nni_blockqnn.network.measure import Measure
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.space.limits import Limits
from nni_blockqnn.space.search_space import SearchSpace
from nni_blockqnn.tasks import Task
from nni_blockqnn.training import (
    PRECISIONS,
    RECIPES,
    EpochResult,
    TrainingArguments,
    pick_device,
)
from nni_blockqnn.training.arguments import DEFAULT_DATA_DIR, MOST_PROCESSES
from nni_blockqnn.trials.arguments import (
    add_dataset,
    add_task,
    add_workers,
    default_network,
    name_or_reference,
)
from nni_blockqnn.trials.number_types import integer_from

_MAX_LAYERS = 23
_SHARED = (
    *("task", "dataset", "data_dir", "validation", "limit", "workers"),
    *("batch_size", "seed", "device", "precision", "threads"),
)
"""The options that both trainings have in common."""


def pilot(namespace: argparse.Namespace) -> int:
    """Train, or go on; Ctrl-C ends it at its last checkpoint."""
    plan = _plan(namespace)
    folder = PilotFolder(namespace.output, plan.settings(), PilotPlan.defaults())
    try:
        _run(folder, plan)
    except DataError as error:
        raise ValueError(str(error)) from None
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on in {folder.path}", file=sys.stderr)
        return 130
    early, final = str(folder.path / EARLY_NAME), str(folder.path / FINAL_NAME)
    return calibrate_results(early, final, calibration_options(namespace))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--blocks",
        type=integer_from(FEWEST_PAIRS),
        default=30,
        help=f"how many, at least {FEWEST_PAIRS} (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("blockqnn-pilot"),
        help="folder for the results and, meanwhile, a checkpoint; run again, the same command "
        "goes on there, and with more --blocks adds to them (default: %(default)s)",
    )
    add_calibration(parser)
    _add_data(parser)
    _add_space(parser)
    _add_trainings(parser)


def _add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data, as of a trial")
    add_task(group)
    add_dataset(group)
    group.add_argument("--data-dir", type=Path, default=DEFAULT_DATA_DIR)
    group.add_argument("--validation", choices=VALIDATIONS, default="holdout")
    group.add_argument("--limit", type=int, help="train on so many images only, stratified")
    add_workers(group)


def _add_space(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("networks, as of the search that is planned")
    group.add_argument(
        "--network", help="preset or JSON of NetworkSpec's fields (default: the data set's)"
    )
    group.add_argument("--repeats", type=int, help="N, blocks a stage (default: the network's)")
    group.add_argument(
        "--max-layers",
        type=int,
        default=_MAX_LAYERS,
        help="of a block, Terminal included (default: %(default)s)",
    )
    group.add_argument("--max-params", type=int, help="only networks of at most so many weights")
    group.add_argument("--max-flops", type=int, help="only networks of at most so many FLOPs")
    group.add_argument("--max-activations", type=int, help="of feature maps, for one image")


def _add_trainings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("trainings")
    group.add_argument("--early-epochs", type=int, help="of the early-stop recipe (12)")
    group.add_argument(
        "--final-epochs", type=int, help="of the final recipe (300), its schedule moved with them"
    )
    group.add_argument(
        "--final-recipe",
        type=name_or_reference(tuple(RECIPES)),
        help=f"{', '.join(RECIPES)}, or module:function of your own (default: the task's)",
    )
    group.add_argument("--batch-size", type=int, help="of both (default: each recipe's)")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    group.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp32",
        help="of both (default: %(default)s, on a GPU too; docs/calibration.md)",
    )
    group.add_argument("--threads", type=integer_from(1, MOST_PROCESSES), help="CPU threads")


def _plan(namespace: argparse.Namespace) -> PilotPlan:
    network = namespace.network or default_network(namespace.dataset)
    spec = NetworkSpec.from_parameter(network, namespace.repeats)
    space = SearchSpace.from_json(
        {
            "block": {"_type": "nsc", "_value": {"max_layers": namespace.max_layers}},
            "network": {"_type": "choice", "_value": [spec.to_json()]},
        }
    )
    early = TrainingArguments(
        **{name: getattr(namespace, name) for name in _SHARED},
        recipe="early-stop",
        epochs=namespace.early_epochs,
    )
    task = early.chosen_task()
    _check_measure(task)
    task.check_network(spec)
    final_recipe = namespace.final_recipe or task.final_recipe
    final = replace(early, recipe=final_recipe, epochs=namespace.final_epochs)
    return PilotPlan(
        namespace.blocks,
        spec,
        space,
        Limits(namespace.max_params, namespace.max_flops, namespace.max_activations),
        early,
        early.chosen_recipe(),
        final.chosen_recipe(),
        final.recipe,
    )


def _check_measure(task: Task) -> None:
    """Check that the task's score is in percent, as mu and rho take it to be.

    Raises:
        ValueError: naming the task, its measure and what to do.
    """
    if (task.main.unit, task.main.direction) != ("%", "maximize"):
        raise ValueError(
            "a pilot weighs FLOPs and density against points of a measure in percent of which more "
            f"is better; the task {task.name} is judged by {task.main.axis}: search it without "
            "weights, --mu 0 --rho 0"
        )


def _run(folder: PilotFolder, plan: PilotPlan) -> None:
    if plan.blocks < len(folder.blocks):
        raise ValueError(
            f"the pilot in {folder.path} has {len(folder.blocks)} blocks, and --blocks is "
            f"{plan.blocks}: give as many or more, or another folder with --output"
        )
    arguments = plan.training
    trainings = plan.trainings(folder.blocks)
    if (threads := arguments.chosen_threads()) is not None:
        torch.set_num_threads(threads)
    device = pick_device(arguments.device)
    data = arguments.load_data(plan.spec)
    # on stderr, since stdout is for the calibration
    console = Console(highlight=False, soft_wrap=True, stderr=True)
    with folder.claimed([training.block.to_json() for training in trainings[::2]]):
        console.print(_announcement(folder, plan, f"{len(data.train)} images, {device}"))
        for note in data.notes:
            console.print(f"note: {note}", markup=False)
        task = arguments.chosen_task()
        with _Display(console, trainings, task.main) as display:
            run_pilot(
                folder.path,
                trainings,
                data,
                device,
                task=task,
                precision=arguments.precision,
                on_epoch=display.epoch,
                on_end=display.end,
            )


def _announcement(folder: PilotFolder, plan: PilotPlan, where: str) -> str:
    had, count = len(folder.blocks), plan.blocks
    added = f" ({count - had} more than before)" if 0 < had < count else ""
    return (
        f"{count} blocks{added} on {plan.training.dataset}, {where}: "
        f"{plan.early.epochs} and {plan.final.epochs} epochs each"
    )


class _Display(ProgressBar):
    """A bar of the work done, with the time left; a line a training where there is no terminal."""

    def __init__(self, console: Console, trainings: list[PilotTraining], measure: Measure) -> None:
        # parts of a thousand: FLOPs may exceed what a float holds
        super().__init__(console, "pilot", 1000, TaskProgressColumn())
        self._measure = measure
        self._count = len(trainings)
        self._work = sum(training.work for training in trainings)
        self._ended = self._done = 0
        self._began: tuple[float, int] | None = None  # when this run trained first, and after what

    def epoch(self, training: PilotTraining, epoch: EpochResult) -> None:
        if self._began is None:
            self._began = (time.monotonic() - epoch.seconds, self._done)
        done = self._done + training.cost.flops * epoch.epoch
        self.show(
            1000 * done // self._work,
            f"training {self._ended + 1}/{self._count}, epoch {epoch.epoch} of "
            f"{training.recipe.epochs}, {self._value(epoch.accuracy)}{self._left(done)}",
        )

    def end(self, training: PilotTraining, line: dict[str, Any]) -> None:
        self._ended += 1
        self._done += training.work
        self.show(1000 * self._done // self._work, f"training {self._ended}/{self._count}")
        kind = training.log.removesuffix(".jsonl")
        if "failure" in line:
            failed = f"training {self._ended}/{self._count}, {kind}, failed: {line['failure']}"
            self.console.print(failed, markup=False)
        elif self._began is not None and not self.console.is_terminal:
            self.console.print(
                f"training {self._ended}/{self._count}, {kind}: {self._value(line['accuracy'])}"
                f"{self._left(self._done)}"
            )

    def _value(self, score: float) -> str:
        return f"{self._measure.title} {self._measure.text(score)}"

    def _left(self, done: int) -> str:
        began, before = self._began or (0.0, 0)
        if done <= before or done >= self._work:
            return ""
        seconds = (time.monotonic() - began) * ((self._work - done) / (done - before))
        return f", {time_left(seconds)}"
