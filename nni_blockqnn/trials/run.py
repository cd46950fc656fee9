"""What a trial does once it has its parameters: train the block and report its reward."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any

import torch

from nni_blockqnn import __version__
from nni_blockqnn.blocks.block import Block
from nni_blockqnn.bridge import channel
from nni_blockqnn.common.messages import shown
from nni_blockqnn.data import DataError, ImageData
from nni_blockqnn.exchange.parameters import TrialTask, read_task
from nni_blockqnn.network.cost import block_cost, estimate_cost
from nni_blockqnn.network.measure import ACCURACY, Measure
from nni_blockqnn.training import RECIPES, EpochResult, TrainingError
from nni_blockqnn.training.flops import measure_flops
from nni_blockqnn.training.speed import image_milliseconds
from nni_blockqnn.training.weights import DESCRIPTION_NAME
from nni_blockqnn.trials._files import TrialFiles
from nni_blockqnn.trials._reward import find_reward, reward_facts
from nni_blockqnn.trials._tensorboard import TensorBoardLog
from nni_blockqnn.trials.arguments import (
    TrialArguments,
    own_parameters,
    trial_arguments,
    trial_parser,
)
from nni_blockqnn.trials.training import Trained, run_training, task_facts

_MOST_CLASSES = 20
"""Whose accuracies the final metric has; ``network.json`` has them all."""


def run(
    parameters: dict[str, Any] | None, argv: list[str] | None, started: float | None = None
) -> int:
    """Run a trial with NNI's parameters, or with the command line's if there are none.

    A failure is one line on stderr, and under NNI on stdout too, since its web UI shows the two in
    different places.

    Args:
        started: ``time.perf_counter()`` at the start of the process; now if not given.

    Returns:
        The exit code.
    """
    under_nni = parameters is not None
    try:
        namespace = trial_parser(under_nni).parse_args(argv)
        arguments = trial_arguments(namespace)
        given = parameters if under_nni else own_parameters(namespace)
        task = read_task(given)
        files = _trial_files(given, arguments) if under_nni else None
        metric = files.read_result() if files else None
        if metric is None:
            if files is not None:
                _inherit_checkpoint(files, task)
                for epoch in files.checkpoint.epochs():  # what a copy, or a kill, left out
                    _report_intermediate(arguments.metric, epoch)
            metric = train_and_measure(task, arguments, files, started)
    except (DataError, TrainingError, ValueError) as error:
        if under_nni:  # before it prints, which may fail too
            _report_failure(parameters, error)
        for stream in (sys.stdout, sys.stderr) if under_nni else (sys.stderr,):
            print(f"trial failed: {error}", file=stream, flush=True)
        return 1
    except Exception as error:  # a bug, or a machine that is out of order: with its traceback
        if under_nni:
            _report_failure(parameters, error)
        raise
    if files is not None:
        files.write_result(metric)  # before NNI gets it: its manager may be gone
    if under_nni:
        channel.report_final(metric)
    print(json.dumps(metric))
    return 0


def train_and_measure(
    task: TrialTask,
    arguments: TrialArguments,
    files: TrialFiles | None = None,
    process_started: float | None = None,
) -> dict[str, Any]:
    """Train the block of the task and return the final metric (docs/metrics.md).

    Args:
        files: the training goes on from their checkpoint, if there is one.
        process_started: ``time.perf_counter()`` at the start of the process; now if not given.

    Raises:
        ValueError, DataError, TrainingError: one line that says what is wrong and what to do.
    """
    started = time.perf_counter()
    before = started if process_started is None else process_started
    startup = 0.0
    reward = find_reward(arguments)  # before hours of training

    def on_start(data: ImageData, device: torch.device) -> None:
        nonlocal startup
        startup = time.perf_counter() - before
        repeats = task.spec.repeats
        print(f"block {task.block}, repeats {repeats}, {len(data.train)} images, {device}")
        for note in data.notes:
            print(f"note: {note}")

    purpose = arguments.training.chosen_task()
    log = TensorBoardLog.of_trial() if files is not None else TensorBoardLog(None)
    folder = _network_folder(task, arguments, files)
    if folder is not None and files is None:
        _check_not_of_another(folder, task)
    trained = run_training(
        task,
        arguments.training,
        on_start=on_start,
        on_epoch=partial(_report_epoch, arguments.metric, log, measure=purpose.main),
        checkpoint=files.checkpoint if files else None,
        keep_best=folder is not None,
        trials=1 if arguments.training.threads else channel.trials_at_once(),
    )
    measured = _measured(trained)
    accuracy, flops, density = (measured[name] for name in (arguments.metric, "flops", "density"))
    value = reward(accuracy, flops, density, MappingProxyType(measured))
    metric = {"default": value, **measured, **task_facts(purpose), **reward_facts(arguments)}
    if arguments.training.test:
        metric |= _few(trained.read_test_set())
    if folder is not None:
        metric |= _keep_network(trained, folder, metric)
    log.finish(task.block, trained.result.epochs, metric, trained.result.seconds)
    metric["startup_seconds"] = round(startup, 3)
    metric["seconds"] = round(time.perf_counter() - started, 3)
    return metric


def _report_failure(parameters: Any, error: Exception) -> None:
    """Tell the tuner why, and whether it was the block's own doing (docs/metrics.md).

    NaN keeps the failure out of the web UI's curves; its table shows it.
    """
    own_doing = isinstance(error, TrainingError) and error.of_block
    reason = str(error) or type(error).__name__
    given = parameters if isinstance(parameters, dict) else {}
    identity = {name: given[name] for name in ("episode", "block") if name in given}
    channel.report_final(
        {"default": math.nan, "failure": reason, "failure_of_block": own_doing} | identity
    )


def _trial_files(parameters: Any, arguments: TrialArguments) -> TrialFiles | None:
    folder = os.environ.get("NNI_OUTPUT_DIR")
    return None if folder is None else TrialFiles(Path(folder), parameters, arguments.identity)


def _inherit_checkpoint(files: TrialFiles, task: TrialTask) -> None:
    """For the copy of a killed trial; what a search sends again has another number, so no copy."""
    if task.episode is not None:
        return
    if (folder := files.inherit_checkpoint()) is not None:
        print(f"goes on from the checkpoint of trial {folder.name}", flush=True)


def _network_folder(
    task: TrialTask, arguments: TrialArguments, files: TrialFiles | None
) -> Path | None:
    """Where the trained network is kept; None if it is not."""
    if arguments.save_dir is not None:
        # under NNI, a folder for each trial of the experiment
        return arguments.save_dir.expanduser() / os.environ.get("NNI_TRIAL_JOB_ID", "")
    # in a search, a recipe of the user's own is a short one, and networks would fill the disk
    recipe = arguments.training.recipe
    is_final = recipe != "early-stop" and (recipe in RECIPES or task.episode is None)
    return files.network_folder if files is not None and is_final else None


def _check_not_of_another(folder: Path, task: TrialTask) -> None:
    """Outside NNI, where no trial has a folder of its own."""
    if not (folder / DESCRIPTION_NAME).exists():
        return
    found = json.loads((folder / DESCRIPTION_NAME).read_text(encoding="utf-8"))
    block = found.get("block") if isinstance(found, dict) else None
    if block != task.block.to_json():
        raise ValueError(
            f"{folder} holds the network of another block, {shown(block)}: name another folder "
            "with --save-dir, or delete this one"
        )


def _keep_network(trained: Trained, folder: Path, metric: dict[str, Any]) -> dict[str, str]:
    """What the metric says of the network that is kept; where there is no room, says so."""
    tested = {name: value for name, value in metric.items() if name.startswith("test_")}
    try:
        sha256 = trained.save(folder, {**trained.accuracies, "test_accuracy": None, **tested})
    except OSError as error:
        print(f"warning: the network is not kept in {folder}: {error}", file=sys.stderr)
        return {}
    return {"network_folder": str(folder.resolve()), "weights_sha256": sha256}


def _report_epoch(
    metric: str, log: TensorBoardLog, epoch: EpochResult, measure: Measure = ACCURACY
) -> None:
    print(
        f"epoch {epoch.epoch}: {measure.title} {measure.text(epoch.accuracy)}, "
        f"loss {epoch.loss:.4f}, "
        f"learning rate {epoch.learning_rate:g}, {epoch.seconds:.2f} s",
        flush=True,
    )
    if channel.runs_under_nni():
        _report_intermediate(metric, epoch)
    log.write_epoch(epoch)


def _report_intermediate(metric: str, epoch: EpochResult) -> None:
    """At the epoch's own place, so that the curve is whole after a kill and after a restart."""
    loss = {"loss": epoch.loss} if math.isfinite(epoch.loss) else {}
    value = epoch.value(metric)
    channel.report_intermediate({"default": value, "epoch": epoch.epoch} | loss, epoch.epoch - 1)


def _measured(trained: Trained) -> dict[str, Any]:
    """The final metric without its reward."""
    task, result = trained.task, trained.result
    block, spec = task.block, task.spec
    cost = estimate_cost(block, spec)
    flops = measure_flops(result.network, spec.input_shape)
    if flops is None:
        flops = cost.flops
    elif flops != cost.flops:
        print(f"warning: ptflops counts {flops} FLOPs, the estimate is {cost.flops}", flush=True)
    metric = {
        **_few(trained.accuracies),
        "validation_images": len(trained.data.valid),
        "flops": flops,
        "params": sum(p.numel() for p in result.network.parameters()),
        "density": block.density,
        "block": block.to_json(),
        "shape": block_shape(block),
        "layers": len(block.layers),
        "convolutions": sum(kind.outputs == "filters" for kind in block.kinds),
        "encoding": block.encoding,
        "repeats": spec.repeats,
        "block_flops": block_cost(block, spec).flops,
        "activations": cost.activations,
        "restarts": result.restarts,
        "learning_rate": result.learning_rate,
        "precision": trained.arguments.precision,
        "versions": _versions(),
        "training_seconds": round(result.seconds, 3),
    }
    if result.micro_batch != trained.recipe.batch_size:
        metric["micro_batch"] = result.micro_batch
    if task.width is not None:
        metric |= {
            "width": task.width,
            "epoch_seconds": round(fmean(epoch.seconds for epoch in result.epochs), 3),
            "image_milliseconds": round(image_milliseconds(result.network, spec.input_shape), 4),
        }
    if task.repetition:
        metric["repetition"] = task.repetition
    return metric if task.episode is None else metric | {"episode": task.episode}


def block_shape(block: Block) -> str:
    """The layers in words, such as "2 conv3, conv5, add", for a column of NNI's web UI."""
    names = [
        f"{kind.name}{layer.kernel or ''}"
        for kind, layer in zip(block.kinds, block.layers, strict=True)
    ]
    counts = Counter(names).items()
    return ", ".join(name if count == 1 else f"{count} {name}" for name, count in counts)


def _versions() -> str:
    """One text, since NNI's web UI cannot show a mapping in a column."""
    python = f"Python {platform.python_version()}"
    return f"nni-blockqnn {__version__}, torch {torch.__version__}, {python}"


def _few(accuracies: dict[str, Any]) -> dict[str, Any]:
    """Without those of each class, if they are too many for NNI's database and web UI."""
    return {
        name: value
        for name, value in accuracies.items()
        if not isinstance(value, dict) or len(value) <= _MOST_CLASSES
    }
