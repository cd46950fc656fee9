"""``blockqnn pilot``: train some blocks both ways, then calibrate (imports PyTorch)."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import TaskProgressColumn

from nni_blockqnn.calibration.pilot_blocks import spread_blocks
from nni_blockqnn.commands.calibrate import add_calibration, calibrate
from nni_blockqnn.commands.pilot_trainings import (
    EARLY_NAME,
    FINAL_NAME,
    PilotTraining,
    claim_folder,
    pilot_trainings,
    run_pilot,
)
from nni_blockqnn.commands.progress_bar import ProgressBar, time_left
from nni_blockqnn.data import DataError
from nni_blockqnn.data.load import DATASETS, VALIDATIONS
from nni_blockqnn.network_spec import NetworkSpec
from nni_blockqnn.q_learning.limits import Limits
from nni_blockqnn.search_space import SearchSpace
from nni_blockqnn.training import PRECISIONS, RECIPES, EpochResult, Recipe, pick_device
from nni_blockqnn.trials.arguments import (
    DEFAULT_DATA_DIR,
    add_workers,
    check_numbers,
    default_network,
    load_data,
)


def pilot(arguments: argparse.Namespace) -> int:
    """Train, or go on; Ctrl-C ends it at its last checkpoint."""
    check_numbers(arguments)
    trainings = _trainings(arguments)
    folder = arguments.output
    claim_folder(folder, _plan(trainings, arguments))
    try:
        with FileLock(folder / "pilot.lock", timeout=0):
            _run(folder, trainings, arguments)
    except Timeout:
        raise ValueError(f"another pilot is at work in {folder}") from None
    except DataError as error:
        raise ValueError(str(error)) from None
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on in {folder}", file=sys.stderr)
        return 130
    arguments.search, arguments.final = str(folder / EARLY_NAME), str(folder / FINAL_NAME)
    return calibrate(arguments)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--blocks", type=int, default=30, help="how many (default: %(default)s)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("blockqnn-pilot"),
        help="folder for the results and, meanwhile, a checkpoint; run again, the same command "
        "goes on there (default: %(default)s)",
    )
    add_calibration(parser)
    _add_data(parser)
    _add_space(parser)
    _add_trainings(parser)
    parser.set_defaults(command=pilot)


def _add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data, as of a trial")
    group.add_argument("--dataset", required=True, choices=DATASETS)
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
        "--max-layers", type=int, default=23, help="of a block, Terminal included (default: 23)"
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
    group.add_argument("--final-recipe", choices=RECIPES, default="final")
    group.add_argument("--batch-size", type=int, help="of both (default: each recipe's)")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    group.add_argument("--precision", choices=PRECISIONS, default="fp32")
    group.add_argument("--threads", type=int, help="CPU threads")


def _trainings(arguments: argparse.Namespace) -> list[PilotTraining]:
    network = arguments.network or default_network(arguments.dataset)
    spec = NetworkSpec.from_parameter(network, arguments.repeats)
    space = SearchSpace.from_json(
        {
            "block": {"_type": "nsc", "_value": {"max_layers": arguments.max_layers}},
            "network": {"_type": "choice", "_value": [spec.to_json()]},
        }
    )
    limits = Limits(arguments.max_params, arguments.max_flops, arguments.max_activations)
    rng = np.random.default_rng(arguments.seed)
    blocks = spread_blocks(space, arguments.blocks, rng, limits)
    early = _recipe("early-stop", arguments.early_epochs, arguments.batch_size)
    final = _recipe(arguments.final_recipe, arguments.final_epochs, arguments.batch_size)
    return pilot_trainings(blocks, spec, early, final, arguments.seed)


def _recipe(name: str, epochs: int | None, batch_size: int | None) -> Recipe:
    recipe = RECIPES[name] if epochs is None else RECIPES[name].shortened(epochs)
    return recipe if batch_size is None else replace(recipe, batch_size=batch_size)


def _plan(trainings: list[PilotTraining], arguments: argparse.Namespace) -> dict[str, Any]:
    """What the results depend on, as JSON values."""
    recipes = {training.log: asdict(training.recipe) for training in trainings}
    plan = {
        "network": json.loads(trainings[0].spec.to_json()),
        "blocks": [training.block.to_json() for training in trainings[::2]],
        "recipes": recipes,
        "data_dir": str(arguments.data_dir),
    }
    names = ("dataset", "validation", "limit", "seed", "precision")
    plan |= {name: getattr(arguments, name) for name in names}
    return json.loads(json.dumps(plan))


def _run(folder: Path, trainings: list[PilotTraining], arguments: argparse.Namespace) -> None:
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    device = pick_device(arguments.device)
    data = load_data(arguments, trainings[0].spec)
    # on stderr, since stdout is for the calibration
    console = Console(highlight=False, soft_wrap=True, stderr=True)
    console.print(
        f"{len(trainings) // 2} blocks on {arguments.dataset}, {len(data.train)} images, {device}: "
        f"{trainings[0].recipe.epochs} and {trainings[1].recipe.epochs} epochs each"
    )
    with _Display(console, trainings) as display:
        run_pilot(
            folder,
            trainings,
            data,
            device,
            precision=arguments.precision,
            on_epoch=display.epoch,
            on_end=display.end,
        )


class _Display(ProgressBar):
    """A bar of the work done, with the time left; a line a training where there is no terminal."""

    def __init__(self, console: Console, trainings: list[PilotTraining]) -> None:
        # parts of a thousand: FLOPs may exceed what a float holds
        super().__init__(console, "pilot", 1000, TaskProgressColumn())
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
            f"{training.recipe.epochs}, accuracy {epoch.accuracy:.2f} %{self._left(done)}",
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
                f"training {self._ended}/{self._count}, {kind}: {line['accuracy']:.2f} %"
                f"{self._left(self._done)}"
            )

    def _left(self, done: int) -> str:
        began, before = self._began or (0.0, 0)
        if done <= before or done >= self._work:
            return ""
        seconds = (time.monotonic() - began) * ((self._work - done) / (done - before))
        return f", {time_left(seconds)}"
