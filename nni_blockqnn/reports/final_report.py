"""The report of an experiment that trains finalists to the end, as one HTML file."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from nni_blockqnn.blocks.named import name_of
from nni_blockqnn.common.files import write_whole
from nni_blockqnn.reports import _files as files
from nni_blockqnn.reports import _final_charts as final_charts
from nni_blockqnn.reports import _page as page
from nni_blockqnn.reports._plot import Chart
from nni_blockqnn.reports._stages import measure_in
from nni_blockqnn.results.experiment import Results, TrialResult, distinct_best
from nni_blockqnn.results.finalists import (
    Curve,
    Untrained,
    learning_curves,
    untrained,
)
from nni_blockqnn.results.trial_command import trial_arguments, trial_option

_NOT_OF_TRAIN = (
    *("--mu", "--rho", "--reward", "--metric", "--save-dir"),
    *("--validation", "--test", "--recipe"),
)
"""Options of a trial that are none of `blockqnn train --validation test`, or differ there."""


class _Ranked(NamedTuple):
    """A finalist that was trained to the end.

    Attributes:
        name: of a hand-made block, else None.
        best: validation accuracy of the best epoch in percent, None if the metric lacks it.
        test: test accuracy in percent, None if the metric lacks it.
        folder: of its network; None if the trial kept none.
        is_here: whether the network is on this machine.
    """

    result: TrialResult
    name: str | None
    pictures: page.Pictures
    best: float | None
    test: float | None
    folder: str | None
    is_here: bool


class _Missing(NamedTuple):
    """A finalist without a result.

    Attributes:
        curve: of its training as far as it got; empty if it never began.
    """

    finalist: Untrained
    name: str | None
    thumbnail: Markup
    curve: Curve


def write_final_report(
    results: Results,
    path: str | Path,
    *,
    title: str | None = None,
    figures: Path | None = None,
) -> None:
    """Write how the finalists rank by their accuracy after the last epoch.

    Args:
        title: by default it says what the page is.
        figures: a folder for every figure as SVG and PNG, and its data as CSV.

    Raises:
        ExperimentDatabaseError: if the experiment's database cannot be read.
    """
    curves = learning_curves(results.experiment)
    ranked = [_ranked(result) for result in distinct_best(results, len(results.trials), "accuracy")]
    missing = [_missing(finalist, curves) for finalist in untrained(results)]
    experiment = results.experiment
    arguments, named = trial_arguments(experiment.config) or [], experiment.argument
    on_test = trial_option(arguments, "--validation", "holdout") == "test"
    charts = _charts(ranked, missing, curves, "test" if on_test else "validation")
    measure = measure_in(row.result for row in ranked)
    text = page.page_template("final.html").render(
        title=title or "The finalists of a search, trained to the end",
        results=results,
        facts=page.facts(results),
        problems=page.problems(results),
        ranked=ranked,
        measure=measure,
        percent=lambda score: "–" if score is None else measure.text(score),
        missing=missing,
        fates=sorted({row.finalist.fate for row in missing}),
        references=[row for row in ranked if row.name is not None],
        best_found=next((row for row in ranked if row.name is None), None),
        has_best=any(row.best is not None for row in ranked),
        has_test=any(row.test is not None for row in ranked),
        images="test images" if on_test else "validation images",
        on_test=on_test,
        charts=[page.drawn(chart) for chart in charts],
        legend=page.legend(row.result.block for row in ranked),
        at_equal_cost=any(row.result.width is not None for row in ranked),
        top_command=f"blockqnn top {named} --by accuracy --output winners.json",
        train_command=_train_command(arguments),
    )
    write_whole(Path(path), text)
    if figures is not None and ranked:
        for chart in charts:
            files.write_chart(chart, figures)
        files.write_block(ranked[0].result.block, "best-block", figures)
        files.write_results(results.trials, figures / "results.csv")


def _missing(finalist: Untrained, curves: Mapping[str, Curve]) -> _Missing:
    return _Missing(
        finalist,
        name_of(finalist.block),
        page.thumbnail(finalist.block),
        curves.get(finalist.trial_id or "", ()),
    )


def _ranked(result: TrialResult) -> _Ranked:
    metric = result.metric
    folder = metric.get("network_folder")
    folder = folder if isinstance(folder, str) else None
    return _Ranked(
        result=result,
        name=name_of(result.block),
        pictures=page.pictures(result.block),
        best=_percent(metric, "best_accuracy"),
        test=_percent(metric, "test_accuracy"),
        folder=folder,
        is_here=folder is not None and Path(folder, "network.json").is_file(),
    )


def _percent(metric: Mapping[str, Any], name: str) -> float | None:
    value = metric.get(name)
    return float(value) if isinstance(value, (int, float)) else None


def _charts(
    ranked: Sequence[_Ranked],
    missing: Sequence[_Missing],
    curves: Mapping[str, Curve],
    split: str,
) -> list[Chart]:
    if not ranked:
        return []
    axis = f"{split} {measure_in(row.result for row in ranked).score_axis}"
    found = []
    if cost := final_charts.accuracy_chart([row.result for row in ranked], axis):
        found.append(cost)
    lines = [
        final_charts.LearningCurve(curves[row.result.trial_id], place, row.name)
        for place, row in enumerate(ranked, 1)
        if row.result.trial_id in curves
    ]
    lines += [final_charts.LearningCurve(row.curve, None, row.name) for row in missing if row.curve]
    if lines:
        found.append(final_charts.curves_chart(lines, axis))
    return found


def _train_command(arguments: Sequence[str]) -> str:
    """For the winner on all data: the trial's own options, as far as they are those of train."""
    kept: list[str] = []
    is_kept = True
    for word in arguments:
        if word.startswith("--"):
            is_kept = word not in _NOT_OF_TRAIN
        if is_kept:
            kept.append(word)
    recipe = trial_option(arguments, "--recipe", "final")
    return " ".join(
        [
            "blockqnn train winners.json --rank 1",
            " ".join(kept) if kept else "--dataset ...",
            f"--recipe {shlex.quote(recipe)} --validation test --output best",
        ]
    )
