"""A trial that notes when each of its parts ends, for ``benchmarks/turnover.py``.

    python benchmarks/marked_trial.py --record FOLDER [-- TRIAL ARGUMENTS]

is a trial of NNI; it leaves its marks in the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

Marks = dict[str, float]
"""What ended when, in seconds since the epoch and in order; "start" first, "exit" last."""


class Stopwatch:
    """Marks of a trial that runs in this process."""

    def __init__(self) -> None:
        self.marks: Marks = {}

    def mark(self, name: str) -> None:
        self.marks.setdefault(name, time.time())

    def before(self, name: str, function: Callable) -> Callable:
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self.mark(name)
            return function(*args, **kwargs)

        return timed

    def after(self, name: str, function: Callable) -> Callable:
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            self.mark(name)
            return result

        return timed


def run_marked_trial(output: Path, parameters: dict[str, Any] | None, argv: list[str]) -> int:
    """A trial, as `nni_blockqnn.trial` runs it, with its marks in a file.

    Args:
        parameters: those of a trial outside NNI, which imports NNI all the same.
    """
    watch = Stopwatch()
    watch.mark("interpreter")
    from nni_blockqnn import trial
    from nni_blockqnn.bridge import channel

    take = channel.take_parameters

    def take_and_import() -> dict[str, Any]:
        channel.import_nni()
        watch.mark("import nni")
        taken = take() if parameters is None else parameters
        watch.mark("parameters")
        import torch  # noqa: F401, the trial would import it next

        watch.mark("import torch")
        _watch_training(watch)
        watch.mark("import nni_blockqnn")
        return taken

    channel.take_parameters = take_and_import
    if parameters is not None:
        channel.runs_under_nni = lambda: True
        channel.report_intermediate = lambda metric, number=None: None
        channel.report_final = lambda metric: None
    code = trial.main(argv)
    watch.mark("report")
    output.write_text(json.dumps(watch.marks), encoding="utf-8")
    return code


def _watch_training(watch: Stopwatch) -> None:
    from torch.optim.optimizer import register_optimizer_step_post_hook

    from nni_blockqnn.trials import run, training

    training.train = watch.before("data", training.train)
    training.build_network = watch.after("build", training.build_network)
    register_optimizer_step_post_hook(lambda *_: watch.mark("first step"))
    run.run_training = watch.after("further steps", run.run_training)
    run.measure_flops = watch.after("FLOPs", run.measure_flops)


def marks_of_trial(parameters: dict[str, Any] | None, argv: list[str]) -> Marks:
    """All marks of a trial in a process of its own, its start and its end among them."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "marks.json"
        command = [sys.executable, __file__, "--marks", str(output)]
        if parameters is not None:
            command += ["--parameters", json.dumps(parameters)]
        start = time.time()
        subprocess.run([*command, "--", *argv], check=True, stdout=sys.stderr)
        end = time.time()
        return {"start": start, **json.loads(output.read_text(encoding="utf-8")), "exit": end}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--marks", type=Path, help="where the trial in this very process writes")
    parser.add_argument("--parameters", type=json.loads)
    parser.add_argument("trial", nargs="*", help="arguments of the trial")
    arguments = parser.parse_args()
    if arguments.marks is not None:
        return run_marked_trial(arguments.marks, arguments.parameters, arguments.trial)
    marks = marks_of_trial(None, arguments.trial)
    record = arguments.record / f"{os.environ['NNI_TRIAL_JOB_ID']}.json"
    record.write_text(json.dumps(marks), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
