"""Results of experiments that never ran, and reports of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.reports._page import DrawnChart
from nni_blockqnn.reports._plot import Chart
from nni_blockqnn.reports.report import write_report
from nni_blockqnn.results.experiment import Experiment, Results, TrialResult


def trial(number: int, block: Block, reward: float, accuracy: float, **changes: Any) -> TrialResult:
    result = TrialResult(
        episode=number,
        block=block,
        reward=reward,
        accuracy=accuracy,
        flops=1_000_000 * (number + 1),
        params=123_456,
        density=block.density,
        repeats=4,
        seconds=65.0,
        trial_id=f"trial{number}",
        finished=number,
        metric={},
    )
    return replace(result, **changes)


def search(*trials: TrialResult, **changes: Any) -> Results:
    config = {
        "searchSpace": {"block": {"_type": "nsc", "_value": {"max_layers": 23}}},
        "tuner": {"className": "x", "classArgs": {"preset": "tuned", "seed": 7}},
        "trialCommand": "python -m nni_blockqnn.trial --dataset cifar100",
    }
    experiment = Experiment("abcd1234", "my search", Path("x"), 8080, "DONE", config)
    results = Results(
        experiment=experiment,
        trials=trials,
        statuses={"SUCCEEDED": len(trials), "FAILED": 2},
        failures=(),
        malformed=(),
        started=0.0,
        seconds=7_500,
    )
    return replace(results, **changes)


def chart_stub(chart: Chart) -> DrawnChart:
    return DrawnChart(chart.name, chart.title, chart.caption, Markup("<svg/>"), Markup())


def report(tmp_path: Path, results: Results, **arguments: Any) -> str:
    path = tmp_path / "report.html"
    write_report(results, path, **arguments)
    return path.read_text(encoding="utf-8")
