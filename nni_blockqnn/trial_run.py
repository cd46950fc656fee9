"""What a trial does once it has its parameters: train the block and report its reward."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from nni_blockqnn import nni_channel, reward
from nni_blockqnn.cost import block_cost, estimate_cost
from nni_blockqnn.data import DataError
from nni_blockqnn.model_space import build_network
from nni_blockqnn.parameters import TrialTask, read_task
from nni_blockqnn.training import (
    RECIPES,
    EpochResult,
    Recipe,
    TrainingError,
    TrainingResult,
    evaluate,
    pick_device,
    train,
)
from nni_blockqnn.training.flops import measure_flops
from nni_blockqnn.training.memory import check_memory
from nni_blockqnn.trial_arguments import load_data, own_parameters, trial_parser
from nni_blockqnn.trial_files import TrialFiles


def run(parameters: dict[str, Any] | None, argv: list[str] | None) -> int:
    """Run a trial with NNI's parameters, or with the command line's if there are none.

    Returns the exit code. A failure is one line on stderr, and under NNI on stdout too, since its
    web UI shows the two in different places.
    """
    under_nni = parameters is not None
    arguments = trial_parser(under_nni).parse_args(argv)
    files = _trial_files(parameters, argv) if under_nni else None
    try:
        metric = files.read_result() if files else None
        if metric is None:
            metric = train_and_measure(parameters or own_parameters(arguments), arguments, files)
    except (DataError, TrainingError, ValueError) as error:
        for stream in (sys.stdout, sys.stderr) if under_nni else (sys.stderr,):
            print(f"trial failed: {error}", file=stream, flush=True)
        if under_nni:
            _report_failure(parameters, error)
        return 1
    except Exception as error:  # a bug, or a machine that is out of order: with its traceback
        if under_nni:
            _report_failure(parameters, error)
        raise
    if files is not None:
        files.write_result(metric)  # before NNI gets it: its manager may be gone
    if under_nni:
        nni_channel.report_final(metric)
    print(json.dumps(metric))
    return 0


def train_and_measure(
    parameters: Any, arguments: argparse.Namespace, files: TrialFiles | None = None
) -> dict[str, Any]:
    """Train the block that the parameters name and return the final metric (docs/metrics.md).

    Goes on from the checkpoint in ``files``, if there is one.

    Raises:
        ValueError, DataError, TrainingError: one line that says what is wrong and what to do.
    """
    started = time.perf_counter()
    task = read_task(parameters)
    spec = task.spec
    device = pick_device(arguments.device)
    recipe = _recipe(arguments)
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    check_memory(estimate_cost(task.block, spec), recipe.batch_size, device)
    data = load_data(arguments, spec)
    print(f"block {task.block}, repeats {spec.repeats}, {len(data.train)} images, {device}")
    result = train(
        lambda: build_network(task.block, spec),
        data,
        recipe,
        device=device,
        seed=arguments.seed,
        on_epoch=_report_epoch,
        checkpoint=files.checkpoint if files else None,
    )
    metric = _final_metric(task, result, arguments)
    if arguments.test:
        metric["test_accuracy"] = evaluate(
            result.network, data.test, data.mean, data.std, device=device
        )
    metric["seconds"] = round(time.perf_counter() - started, 3)
    return metric


def _report_failure(parameters: Any, error: Exception) -> None:
    """Tell the tuner why, and whether it was the block's own doing (docs/metrics.md).

    NaN keeps the failure out of the web UI's curves; its table shows it.
    """
    own_doing = isinstance(error, TrainingError)
    reason = str(error) or type(error).__name__
    given = parameters if isinstance(parameters, dict) else {}
    identity = {name: given[name] for name in ("episode", "block") if name in given}
    nni_channel.report_final(
        {"default": math.nan, "failure": reason, "failure_of_block": own_doing} | identity
    )


def _trial_files(parameters: Any, argv: list[str] | None) -> TrialFiles | None:
    folder = os.environ.get("NNI_OUTPUT_DIR")
    if folder is None:
        return None
    return TrialFiles(Path(folder), parameters, sys.argv[1:] if argv is None else argv)


def _recipe(arguments: argparse.Namespace) -> Recipe:
    recipe = RECIPES[arguments.recipe]
    if arguments.epochs is not None:
        recipe = recipe.shortened(arguments.epochs)
    if arguments.batch_size is not None:
        recipe = replace(recipe, batch_size=arguments.batch_size)
    return recipe


def _report_epoch(epoch: EpochResult) -> None:
    print(
        f"epoch {epoch.epoch}: accuracy {epoch.accuracy:.2f} %, loss {epoch.loss:.4f}, "
        f"learning rate {epoch.learning_rate:g}, {epoch.seconds:.2f} s",
        flush=True,
    )
    if nni_channel.runs_under_nni():
        loss = {"loss": epoch.loss} if math.isfinite(epoch.loss) else {}
        nni_channel.report_intermediate({"default": epoch.accuracy} | loss)


def _final_metric(
    task: TrialTask, result: TrainingResult, arguments: argparse.Namespace
) -> dict[str, Any]:
    block, spec = task.block, task.spec
    cost = estimate_cost(block, spec)
    flops = measure_flops(result.network, spec.input_shape)
    if flops is None:
        flops = cost.flops
    elif flops != cost.flops:
        print(f"warning: ptflops counts {flops} FLOPs, the estimate is {cost.flops}", flush=True)
    metric = {
        "default": reward(result.accuracy, flops, block.density, arguments.mu, arguments.rho),
        "accuracy": result.accuracy,
        "flops": flops,
        "params": sum(p.numel() for p in result.network.parameters()),
        "density": block.density,
        "block": block.to_json(),
        "encoding": block.encoding,
        "repeats": spec.repeats,
        "block_flops": block_cost(block, spec).flops,
        "activations": cost.activations,
        "best_accuracy": result.best_accuracy,
        "restarts": result.restarts,
        "learning_rate": result.learning_rate,
        "training_seconds": round(result.seconds, 3),
    }
    return metric if task.episode is None else metric | {"episode": task.episode}
