"""``blockqnn train``: a final training without NNI (imports PyTorch)."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from nni_blockqnn import __version__
from nni_blockqnn.blocks.block import parse_block
from nni_blockqnn.blocks.layer import ENCODINGS
from nni_blockqnn.commands import _block_argument as block_argument
from nni_blockqnn.commands._initial_weights import Origin
from nni_blockqnn.commands._match_argument import MATCH_HELP, match_argument
from nni_blockqnn.commands._training_display import TrainingDisplay
from nni_blockqnn.data import DataError, ImageData
from nni_blockqnn.exchange.parameters import TrialTask, read_match
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.tasks import Task
from nni_blockqnn.training import TrainingArguments, TrainingError, World, joined
from nni_blockqnn.trials.arguments import (
    add_data,
    add_training,
    default_network,
    training_arguments,
)
from nni_blockqnn.trials.late_test import read_test_set_of
from nni_blockqnn.trials.training import (
    Trained,
    data_facts,
    run_training,
)
from nni_blockqnn.trials.training_folder import TrainingFolder


@dataclass(frozen=True)
class _Job:
    """What one call of the command is to do.

    Attributes:
        output: folder of the training.
        init_from: folder of the network whose weights it begins with, if any.
    """

    task: TrialTask
    training: TrainingArguments
    output: Path
    init_from: Path | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("block", help=f"{block_argument.HELP}, of finalists too")
    parser.add_argument("--rank", type=int, help="which block of a file of finalists (default: 1)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("blockqnn-network"),
        help="folder for the network and, meanwhile, checkpoints; run again, the same command goes "
        "on there (default: %(default)s)",
    )
    add_data(parser)
    add_training(parser)
    parser.set_defaults(recipe=None)
    group = parser.add_argument_group("network")
    group.add_argument(
        "--network",
        help="preset or JSON of NetworkSpec's fields (default: the finalists' or the data set's)",
    )
    group.add_argument(
        "--repeats",
        type=int,
        help="N, blocks a stage (default: the network's; without --network, the finalists')",
    )
    group.add_argument(
        "--match",
        type=match_argument,
        metavar="MEASURE=N",
        help=f"scale the network's filters to this cost, {MATCH_HELP} (default: without --network, "
        "the finalists')",
    )
    group.add_argument("--encoding", choices=ENCODINGS, help="of the codes (default: pcc)")
    group.add_argument(
        "--init-from",
        type=Path,
        metavar="DIR",
        help="begin with the weights of the network in this folder, where names and shapes fit",
    )


def train(namespace: argparse.Namespace) -> int:
    """Train, or go on; Ctrl-C ends it at its last checkpoint.

    Under torchrun each of its processes calls it. The first one prints, and it alone needs and
    sees the output folder, which is on its machine.
    """
    arguments = training_arguments(namespace)
    job = _Job(_task(namespace), arguments, namespace.output, namespace.init_from)
    try:
        with joined(arguments.device) as (world, device):
            own = replace(job, training=replace(arguments, device=device))
            return _train_in(world, own, arguments.device)
    except (DataError, TrainingError) as error:
        raise ValueError(str(error)) from error


def _train_in(world: World, job: _Job, device_of_all: str) -> int:
    console = Console(highlight=False, soft_wrap=True, quiet=not world.first)
    origin = None if job.init_from is None else Origin.of(job.init_from)
    identity = _identity(job, origin)
    run = {"device": device_of_all, "test": job.training.test}
    versions = {"the version of nni-blockqnn": __version__, "that of PyTorch": torch.__version__}
    world.check_same({**TrainingArguments.DEFAULTS, **identity} | run | versions)
    folder = TrainingFolder(job.output, identity) if world.first else None
    facts = world.of_first(None if folder is None else folder.result)
    if facts is None:
        if origin is not None:
            carried = origin.try_on(job.task)
            console.print(f"{carried.fitting} of {carried.of} weights come from {job.init_from}")
        try:
            _train(job, folder, origin, console, world)
        except KeyboardInterrupt:
            console.print(_stopped(folder))
            raise
        finally:
            if folder is not None:
                folder.release()
        facts = world.of_first(None if folder is None else folder.result)
    elif job.training.test and facts.get("test_accuracy") is None:
        if folder is not None:
            _test_later(job, folder, console)
        facts = world.of_first(None if folder is None else folder.result)
    _show(facts or {}, job.output, console, job.training.chosen_task())
    return 0


def _train(
    job: _Job,
    folder: TrainingFolder | None,
    origin: Origin | None,
    console: Console,
    world: World,
) -> None:
    task, arguments = job.task, job.training
    measured_on = "training" if arguments.validation == "test" else "validation"

    def on_start(data: ImageData, device: torch.device) -> None:
        goes_on = ""
        if folder is not None:
            folder.claim(data_facts(data))
            goes_on = ", goes on from its checkpoint" if folder.checkpoint.path.exists() else ""
        machines = f"{device}" if world.size == 1 else f"{world.size} processes on {device.type}"
        console.print(
            f"block {task.block}, N = {task.spec.repeats}, filters "
            f"{'-'.join(map(str, task.spec.filters))}, {len(data.train):,} images, "
            f"{machines}{goes_on}"
        )
        for note in data.notes:
            console.print(f"note: {note}", markup=False)

    epochs, measure = arguments.chosen_recipe().epochs, arguments.chosen_task().main
    with TrainingDisplay(console, epochs, measured_on, measure) as display:
        trained = run_training(
            task,
            arguments,
            on_start=on_start,
            on_epoch=display.update,
            checkpoint=None if folder is None else folder.checkpoint,
            keep_best=True,
            hide_test=True,
            initialise=None if origin is None else origin.initialise,
            world=world,
        )
    accuracies = _accuracies(trained)
    if folder is not None:
        trained.save(folder.path, accuracies, None if origin is None else origin.facts)
        folder.finish()


def _test_later(job: _Job, folder: TrainingFolder, console: Console) -> None:
    """The first process alone, since it alone has the weights."""

    def on_start(data: ImageData, device: torch.device) -> None:
        folder.check_data(data_facts(data))
        console.print(f"reads the test set, {len(data.test):,} images, {device}")

    read_test_set_of(folder.path, job.task, job.training, on_start=on_start)


def _stopped(folder: TrainingFolder | None) -> str:
    if folder is not None and folder.checkpoint.path.exists():
        return "stopped; the same command goes on from the last checkpoint"
    return "stopped before the first checkpoint; the same command starts anew"


def _accuracies(trained: Trained) -> Mapping[str, Any]:
    """With all training data in use, nothing was validated: those that would say so are null."""
    if trained.arguments.validation == "test":
        return {**dict.fromkeys(trained.accuracies), **trained.read_test_set()}
    tested = trained.read_test_set() if trained.arguments.test else {}
    return {**trained.accuracies, "test_accuracy": None, **tested}


def _task(namespace: argparse.Namespace) -> TrialTask:
    given = block_argument.block_parameters(
        namespace.block, namespace.rank, namespace.encoding or "pcc"
    )
    space = json.loads(given.get("space", "{}"))
    encoding = namespace.encoding or space.get("encoding", "pcc")
    network = namespace.network or given.get("network") or default_network(namespace.dataset)
    repeats = namespace.repeats
    if repeats is None and namespace.network is None:  # which would bring its own N
        repeats = given.get("repeats")
    block = parse_block(given["block"], encoding)
    spec = NetworkSpec.from_parameter(network, repeats)
    match = namespace.match
    if match is None and namespace.network is None and "match" in given:
        match = read_match(given["match"])
    return TrialTask(block, spec if match is None else match.network(block, spec), None)


def _identity(job: _Job, origin: Origin | None) -> dict[str, Any]:
    """All that the weights depend on, but for the data, the machine and the versions."""
    begun = {} if origin is None else {"init_from": origin.facts["weights_sha256"]}
    return (
        job.training.identity
        | begun
        | {
            "block": job.task.block.to_json(),
            "encoding": job.task.block.encoding,
            "network": json.loads(job.task.spec.to_json()),
        }
    )


def _show(facts: Mapping[str, Any], folder: Path, console: Console, purpose: Task) -> None:
    splits = {"test": "test_"}
    if facts["validation"] != "test":
        splits = {"validation": "best_", **splits}
    for split, beginning in splits.items():
        for measure in purpose.measures:
            value = facts.get(f"{beginning}{measure.name}")
            if value is not None:
                what = f"{split}{'' if measure is purpose.main else ','} {measure.title}"
                console.print(f"  {what:19}  {value:6.2f} {measure.unit}".rstrip())
    console.print(f"  weights of epoch     {facts['epoch']:6}\n  kept in              {folder}")
