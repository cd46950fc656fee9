"""``blockqnn demo``: the quick start from its start to a block, a report and what to do next."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rich.console import Console

from nni_blockqnn.bridge import launch
from nni_blockqnn.bridge.statuses import DONE, EXPERIMENT_RUNS, TUNER_NO_MORE_TRIAL, UNDER_WAY
from nni_blockqnn.commands._progress_bar import ProgressBar
from nni_blockqnn.commands._search_display import SearchDisplay
from nni_blockqnn.commands._status_display import problem_lines
from nni_blockqnn.commands._templates import template
from nni_blockqnn.common.files import write_whole
from nni_blockqnn.common.messages import UserError
from nni_blockqnn.reports.drawing import draw_image
from nni_blockqnn.reports.report import write_report
from nni_blockqnn.reports.text_graph import draw_text
from nni_blockqnn.results.experiment import (
    Experiment,
    ExperimentNotFoundError,
    Results,
    TrialResult,
    distinct_best,
    find_experiment,
    read_results,
)
from nni_blockqnn.results.search_journal import epsilons
from nni_blockqnn.results.status import read_status

_POLL_SECONDS = 1.0
_GRACE_SECONDS = 30.0
"""How long NNI may take to write its first records."""
_IDLE_POLLS = 5
"""After so many polls without a running trial, NNI asks the tuner for no more."""
_EPOCHS = 12
"""Of the early-stop recipe, in which the best block is trained again."""
_EPOCH_LINE = re.compile(r"epoch (\d+): (.*)")
"""As a trial prints it after each epoch."""


class DemoError(UserError, RuntimeError):
    """The demo cannot go on; the message says why."""


class DemoPlan(NamedTuple):
    """What the demo runs: the quick start's template with these numbers."""

    trials: int
    concurrency: int
    seed: int | None
    port: int | None
    output: Path


def demo(arguments: argparse.Namespace) -> int:
    return run_demo(
        trials=arguments.trials,
        concurrency=arguments.concurrency,
        seed=arguments.seed,
        port=arguments.port,
        output=arguments.output,
    )


def run_demo(
    *, trials: int, concurrency: int | None, seed: int | None, port: int | None, output: Path
) -> int:
    """Search, show the progress, and end with the best block. Ctrl-C stops the experiment."""
    if trials < 1 or (concurrency is not None and concurrency < 1):
        raise DemoError(
            f"trials and concurrency must be at least 1, got {trials} and {concurrency}"
        )
    output.mkdir(parents=True, exist_ok=True)
    plan = DemoPlan(
        trials,
        concurrency or max(1, min(8, os.cpu_count() or 1)),
        seed,
        port,
        output,
    )
    console = Console(highlight=False)
    console.print("Searching blocks for 8x8 handwritten digits, 1,797 real images.")
    launched = launch.start(_write_config(plan), plan.port, loopback=True)
    console.print(f"NNI experiment {launched.id}; its web UI: {launched.url}")
    try:
        _watch(launched, plan.trials, console)
    except KeyboardInterrupt:
        console.print("\nStopping the experiment ...")
        with _undisturbed():
            launch.stop(launched.id)
        _say(console, _stopped(launched.id))
        return 130
    except BaseException:
        launch.stop(launched.id)
        raise
    launch.stop(launched.id)
    # once more, since it is stopped now
    results = read_results(find_experiment(launched.id))
    try:
        return _finish(results, plan, console)
    except KeyboardInterrupt:
        _say(console, f"\nThe search itself is done.\n{_next_commands(results.experiment)}")
        return 130


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Without another Ctrl-C, neither here nor in the processes that are started."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _say(console: Console, text: str) -> None:
    """Print commands so that they can be copied: no line of them is broken."""
    console.print(text, markup=False, soft_wrap=True)


def _stopped(experiment_id: str) -> str:
    command = _own_command()
    return (
        "It is stopped, and what it has found is kept.\n"
        f"  go on with it    {command} resume {experiment_id}\n"
        f"  then follow it   {command} top {experiment_id} --watch\n"
        f"  its best blocks  {command} top {experiment_id}"
    )


def _write_config(plan: DemoPlan) -> Path:
    config: dict[str, Any] = yaml.safe_load(
        template("blockqnn_quickstart.yml").read_text(encoding="utf-8")
    )
    config["trialConcurrency"] = plan.concurrency
    config["maxTrialNumber"] = plan.trials
    config["tuner"]["classArgs"]["budget"] = plan.trials
    if plan.seed is not None:
        config["tuner"]["classArgs"]["seed"] = plan.seed
    path = plan.output / "config.yml"
    write_whole(path, yaml.safe_dump(config, sort_keys=False))
    return path


def _watch(launched: launch.Launched, trials: int, console: Console) -> None:
    """Show the progress until the experiment is over.

    Raises:
        DemoError: if it failed.
    """
    experiment = _wait_for_records(launched.id)
    idle_polls = 0
    with SearchDisplay(console, trials) as display:
        while True:
            status = launch.status(launched)
            results = read_results(experiment)
            display.update(results, epsilons(experiment.directory))
            idle_polls = idle_polls + 1 if _is_given_up(status, results) else 0
            if status not in EXPERIMENT_RUNS or idle_polls == _IDLE_POLLS:
                break
            time.sleep(_POLL_SECONDS)
    if status not in (DONE, TUNER_NO_MORE_TRIAL):
        stands = read_status(read_results(find_experiment(launched.id)))
        raise DemoError(
            f"the experiment is {stands.text}; its logs are in {experiment.directory / 'log'}; to "
            f"go on with it: blockqnn resume {experiment.id}"
        )


def _is_given_up(status: str, results: Results) -> bool:
    """Whether the tuner has no more trials and none runs: NNI would wait for ever."""
    return status == TUNER_NO_MORE_TRIAL and not any(map(results.statuses.get, UNDER_WAY))


def _wait_for_records(experiment_id: str) -> Experiment:
    deadline = time.monotonic() + _GRACE_SECONDS
    while True:
        try:
            return find_experiment(experiment_id)
        except ExperimentNotFoundError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)


def _finish(results: Results, plan: DemoPlan, console: Console) -> int:
    best = distinct_best(results, 1)
    if not best:
        raise DemoError("\n  ".join(["no trial brought a result", *problem_lines(results)]))
    winner = best[0]
    console.print(f"\nThe best of {len(results.trials)} blocks:\n")
    console.print(draw_text(winner.block), markup=False)
    image, codes = plan.output / "best_block.svg", plan.output / "best_block.json"
    draw_image(winner.block, image, title=f"{winner.accuracy:.1f} % on validation data")
    write_whole(codes, winner.block.to_json() + "\n")
    console.print("\nTraining it once more to read the test data, which the search never saw ...")
    test_accuracy = _test_accuracy(winner, console)
    report = plan.output / "report.html"
    write_report(
        results,
        report,
        title=results.experiment.name,
        epsilon_by_episode=epsilons(results.experiment.directory),
        extra={"Test accuracy of the best block": f"{test_accuracy:.2f} %"},
    )
    _say(
        console,
        f"  validation accuracy  {winner.accuracy:6.2f} %\n"
        f"  test accuracy        {test_accuracy:6.2f} %\n"
        f"  multiply-accumulates {winner.flops:,}\n"
        f"  parameters           {winner.params:,}\n\n"
        f"  drawn in             {image}\n"
        f"  codes in             {codes}\n"
        f"  report               {report}\n\n"
        f"{_next_commands(results.experiment)}",
    )
    return 0


def _next_commands(experiment: Experiment) -> str:
    command, config = _own_command(), os.path.relpath(template("blockqnn_fashion_mnist.yml"))
    return f"Go on with\n  {command} top {experiment.id}\n  {command} create {config}"


def _own_command() -> str:
    """``blockqnn`` as this shell can find it: ``make demo`` does not activate its environment."""
    own = Path(sys.executable).with_name("blockqnn")
    return "blockqnn" if shutil.which("blockqnn") == str(own) else os.path.relpath(own)


def _test_accuracy(winner: TrialResult, console: Console) -> float:
    """The test accuracy of a new training with another seed, which no search has selected."""
    command = [
        *(sys.executable, "-m", "nni_blockqnn.trial", "--dataset", "digits", "--test"),
        *("--batch-size", "64", "--mu", "0", "--rho", "0", "--seed", "1"),
        *("--threads", "1"),  # as the search's trials: for images this small more help little
        *("--block", winner.block.to_json(), "--repeats", str(winner.repeats)),
    ]
    last = ""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as training,
        ProgressBar(console, "epochs", _EPOCHS) as bar,
    ):
        for last in training.stdout or ():
            if epoch := _EPOCH_LINE.match(last):
                bar.show(int(epoch[1]), epoch[2])
        if training.wait() != 0:
            errors.seek(0)
            said = errors.read().strip()
            raise DemoError(f"the best block could not be trained again: {said}")
    return float(json.loads(last)["test_accuracy"])
