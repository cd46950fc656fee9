"""What share of a slot's time is training, of trials of 30 s with the predictor on, under NNI.

    python benchmarks/slot_share.py [--seconds 30] [--trials 12] [--variants resident ...]
    python benchmarks/slot_share.py --report

The trials are real ones (``nni_blockqnn.trial`` with a tiny data set), but for their training,
which sleeps; so this needs hardly any processor time. The predictor knows 120 results before the
trials that are measured: NNI imports them. Each variant is an experiment of its own, and a line of
``benchmarks/results/slot_share.jsonl``; those that are there are not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import yaml
from json_lines import append, read_lines

from nni_blockqnn import SearchSpace
from nni_blockqnn.bridge import launch
from nni_blockqnn.commands._templates import template
from nni_blockqnn.tasks.classification import Classification

if TYPE_CHECKING:
    from torch import Tensor

RESULTS = Path(__file__).with_name("results") / "slot_share.jsonl"
KNOWN = 120
_SECONDS, _FOLDER = "SLOT_SHARE_SECONDS", "SLOT_SHARE_FOLDER"
_TRIAL = ["--dataset", "digits", "--limit", "200", "--epochs", "1", "--batch-size", "64"]
_TRIAL += ["--task", "slot_share:sleeping", "--mu", "0", "--rho", "0", "--threads", "1"]


class Variant(NamedTuple):
    """How trials run.

    Attributes:
        places: how many of them share the one slot.
    """

    predictor: bool = True
    resident: bool = False
    places: int = 1


VARIANTS = {
    "plain": Variant(),
    "without the predictor": Variant(predictor=False),
    "resident": Variant(resident=True),
    "resident, two at a time": Variant(resident=True, places=2),
}


class Spent(NamedTuple):
    """A trial's times, in seconds since 1970.

    Attributes:
        started: by NNI, as `begun` and `slept` say when its training began and ended.
        ended: as NNI noticed.
    """

    started: float
    begun: float
    slept: float
    ended: float


class _Sleeping(Classification):
    """Sleeps at the first step of a training, and notes when."""

    def __init__(self) -> None:
        self._has_slept = False

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if not self._has_slept:
            self._has_slept = True
            begun = time.time()
            time.sleep(float(os.environ[_SECONDS]))
            path = Path(os.environ[_FOLDER], os.environ["NNI_TRIAL_JOB_ID"])
            path.write_text(json.dumps([begun, time.time()]), encoding="utf-8")
        return super().loss(outputs, targets)


def sleeping() -> Classification:
    """The trials' task."""
    return _Sleeping()


def run(variant: Variant, seconds: float, trials: int) -> list[Spent]:
    """The trials of an experiment, in the order of their start.

    Raises:
        RuntimeError: if it does not get to its end.
    """
    with tempfile.TemporaryDirectory(prefix="slot-", ignore_cleanup_errors=True) as home:
        marks = Path(home) / "marks"
        marks.mkdir()
        os.environ |= {
            "HOME": home,
            "NNI_BLOCKQNN_CACHE": str(Path(home) / "cache"),
            "PYTHONPATH": os.pathsep.join(
                [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
            ),
            _SECONDS: str(seconds),
            _FOLDER: str(marks),
        }
        config = Path(home) / "search.yml"
        config.write_text(yaml.safe_dump(_configuration(variant, trials)), encoding="utf-8")
        launched = launch.start(config, None, loopback=True)
        try:
            _import(launched, _known_results())
            while (state := launch.status(launched)) not in ("DONE", "ERROR", "GONE"):
                time.sleep(1)
            if state != "DONE":
                raise RuntimeError(f"the search ended with {state}")
            jobs = json.loads(_ask(f"{launched.url}/api/v1/nni/trial-jobs"))
        finally:
            launch.stop(launched.id)
        return sorted(_spent(job, marks) for job in jobs)


def _configuration(variant: Variant, trials: int) -> dict[str, Any]:
    config = yaml.safe_load(template("blockqnn_quickstart.yml").read_text(encoding="utf-8"))
    command = [sys.executable, "-m", "nni_blockqnn.trial", *_TRIAL]
    config["trialCommand"] = shlex.join([*command, *(["--resident"] if variant.resident else [])])
    config |= {"trialConcurrency": variant.places, "maxTrialNumber": trials}
    config["tuner"]["classArgs"] |= {"budget": KNOWN + trials, "seed": 0}
    if variant.predictor:
        config["tuner"]["classArgs"]["predictor"] = "wl"
    return config


def _known_results() -> Iterator[dict[str, Any]]:
    """As NNI imports them; of trials of 30 s, so that the predictor takes its time."""
    space, rng = SearchSpace(max_layers=8), np.random.default_rng(0)
    for number in range(KNOWN):
        block = space.random_block(rng)
        parameters = {"block": block.to_json(), "repeats": 1, "network": "digits"}
        accuracy = 50 + 5 * len(block.computing_layers) + float(rng.normal())
        metric: dict[str, Any] = {
            "default": accuracy,
            "accuracy": accuracy,
            "rho": 0,
            "seconds": 30,
        }
        episode = 1_000 + number
        metric |= {"episode": episode, "block": parameters["block"], "repeats": 1}
        yield {"parameter": parameters, "value": metric}


def _import(launched: launch.Launched, known: Iterator[dict[str, Any]]) -> None:
    _ask(f"{launched.url}/api/v1/nni/experiment/import-data", json.dumps([*known]))


def _ask(url: str, body: str | None = None) -> bytes:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    data = None if body is None else body.encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with direct.open(request, timeout=60) as answer:
        content: bytes = answer.read()
    return content


def _spent(job: dict[str, Any], marks: Path) -> Spent:
    if job["status"] != "SUCCEEDED":
        raise RuntimeError(f"trial {job['trialJobId']} is {job['status']}")
    begun, slept = json.loads((marks / job["trialJobId"]).read_text(encoding="utf-8"))
    return Spent(job["startTime"] / 1000, begun, slept, job["endTime"] / 1000)


def busy_share(trials: Sequence[Spent]) -> float:
    """Percent of the time in which one trial at least trained.

    From the second trial's beginning to the last one's, by when the predictor knows its results.
    """
    spans = sorted((one.begun, one.slept) for one in trials)
    first, last = spans[1][0], spans[-1][0]
    trained, until = 0.0, first
    for begun, slept in spans:
        trained += max(0.0, min(slept, last) - max(begun, until))
        until = max(until, min(slept, last))
    return 100 * trained / (last - first)


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Medians over the trials of each variant, but for the first two."""
    rows = [
        "| trials of 30 s, one slot | to the training, s | from it to the end | to the next start "
        "| **training, % of the time** |",
        "| --- | --- | --- | --- | --- |",
    ]
    for line in lines:
        trials = [Spent(*each) for each in line["trials"]]
        later = trials[2:]
        cells = [
            statistics.median(one.begun - one.started for one in later),
            statistics.median(one.ended - one.slept for one in later),
        ]
        cells_text = [f"{cell:.2f}" for cell in cells]
        cells_text.append(_gap(trials) if VARIANTS[line["variant"]].places == 1 else "")
        rows.append(f"| {line['variant']} | {' | '.join(cells_text)} | {busy_share(trials):.1f} |")
    return "\n".join(rows)


def _gap(trials: Sequence[Spent]) -> str:
    pairs = pairwise(trials[1:])
    return f"{statistics.median(after.started - one.ended for one, after in pairs):.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="of a trial's training")
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    known = read_lines(options.output)
    if not options.report:
        done = {line["variant"] for line in known}
        for name in (name for name in options.variants if name not in done):
            trials = run(VARIANTS[name], options.seconds, options.trials)
            known.append({"variant": name, "seconds": options.seconds, "trials": trials})
            append(options.output, known[-1])
    print(table(known))
    return 0


if __name__ == "__main__":
    sys.exit(main())
