"""``blockqnn pilot``: train some blocks both ways, then calibrate (imports PyTorch)."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.progress import TaskProgressColumn

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.calibration.judging import FEWEST_PAIRS
from nni_blockqnn.calibration.pilot_blocks import spread_blocks
from nni_blockqnn.commands._pilot_folder import PilotFolder
from nni_blockqnn.commands._pilot_trainings import (
    EARLY_NAME,
    FINAL_NAME,
    PilotTraining,
    pilot_trainings,
    run_pilot,
)
from nni_blockqnn.commands._progress_bar import ProgressBar, time_left
from nni_blockqnn.commands.calibrate import add_calibration, calibrate
from nni_blockqnn.data import DataError
from nni_blockqnn.data.load import DATASETS, VALIDATIONS
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.space.limits import Limits
from nni_blockqnn.space.search_space import SearchSpace
from nni_blockqnn.training import PRECISIONS, RECIPES, EpochResult, Recipe, pick_device
from nni_blockqnn.trials.arguments import (
    DEFAULT_DATA_DIR,
    add_workers,
    default_network,
    load_data,
)
from nni_blockqnn.trials.number_types import integer_from


def pilot(arguments: argparse.Namespace) -> int:
    """Train, or go on; Ctrl-C ends it at its last checkpoint."""
    plan = _plan(arguments)
    folder = PilotFolder(arguments.output, plan.settings(arguments))
    try:
        _run(folder, plan, arguments)
    except DataError as error:
        raise ValueError(str(error)) from None
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on in {folder.path}", file=sys.stderr)
        return 130
    arguments.search, arguments.final = str(folder.path / EARLY_NAME), str(folder.path / FINAL_NAME)
    return calibrate(arguments)


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
    group.add_argument("--threads", type=integer_from(1), help="CPU threads")


class _Plan(NamedTuple):
    """What is trained, but for the blocks.

    Attributes:
        space: with the single N of ``spec``.
    """

    spec: NetworkSpec
    space: SearchSpace
    limits: Limits
    early: Recipe
    final: Recipe

    def settings(self, arguments: argparse.Namespace) -> dict[str, Any]:
        """All that the results depend on, under the options' names; not where the data lies, nor
        the device, threads and workers, as of a search's trials."""
        names = ("dataset", "validation", "limit", "seed", "precision", "max_layers")
        settings = {name: getattr(arguments, name) for name in names}
        settings |= self.limits._asdict()
        settings["network"] = asdict(self.spec)
        settings["final-recipe"] = arguments.final_recipe
        for kind, recipe in (("early", self.early), ("final", self.final)):
            settings |= {f"{kind}-{name}": value for name, value in asdict(recipe).items()}
        return {name.replace("_", "-"): value for name, value in settings.items()}

    def trainings(self, found: Sequence[str], count: int, seed: int) -> list[PilotTraining]:
        """Those of the blocks that the pilot has, and of as many new ones as are wanted."""
        kept = [Block.parse(codes, encoding=self.space.encoding) for codes in found]
        rng = np.random.default_rng([seed, len(kept)] if kept else seed)
        blocks = spread_blocks(self.space, count, rng, self.limits, kept)
        return pilot_trainings(blocks, self.spec, self.early, self.final, seed)


def _plan(arguments: argparse.Namespace) -> _Plan:
    network = arguments.network or default_network(arguments.dataset)
    spec = NetworkSpec.from_parameter(network, arguments.repeats)
    space = SearchSpace.from_json(
        {
            "block": {"_type": "nsc", "_value": {"max_layers": arguments.max_layers}},
            "network": {"_type": "choice", "_value": [spec.to_json()]},
        }
    )
    limits = Limits(arguments.max_params, arguments.max_flops, arguments.max_activations)
    early = _recipe("early-stop", arguments.early_epochs, arguments.batch_size)
    final = _recipe(arguments.final_recipe, arguments.final_epochs, arguments.batch_size)
    return _Plan(spec, space, limits, early, final)


def _recipe(name: str, epochs: int | None, batch_size: int | None) -> Recipe:
    recipe = RECIPES[name] if epochs is None else RECIPES[name].shortened(epochs)
    return recipe if batch_size is None else replace(recipe, batch_size=batch_size)


def _run(folder: PilotFolder, plan: _Plan, arguments: argparse.Namespace) -> None:
    if arguments.blocks < len(folder.blocks):
        raise ValueError(
            f"the pilot in {folder.path} has {len(folder.blocks)} blocks, and --blocks is "
            f"{arguments.blocks}: give as many or more, or another folder with --output"
        )
    trainings = plan.trainings(folder.blocks, arguments.blocks, arguments.seed)
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    device = pick_device(arguments.device)
    data = load_data(arguments, plan.spec)
    # on stderr, since stdout is for the calibration
    console = Console(highlight=False, soft_wrap=True, stderr=True)
    with folder.claimed([training.block.to_json() for training in trainings[::2]]):
        console.print(_announcement(folder, plan, arguments, f"{len(data.train)} images, {device}"))
        with _Display(console, trainings) as display:
            run_pilot(
                folder.path,
                trainings,
                data,
                device,
                precision=arguments.precision,
                on_epoch=display.epoch,
                on_end=display.end,
            )


def _announcement(
    folder: PilotFolder, plan: _Plan, arguments: argparse.Namespace, where: str
) -> str:
    had, count = len(folder.blocks), arguments.blocks
    added = f" ({count - had} more than before)" if 0 < had < count else ""
    return (
        f"{count} blocks{added} on {arguments.dataset}, {where}: "
        f"{plan.early.epochs} and {plan.final.epochs} epochs each"
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
