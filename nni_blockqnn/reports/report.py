"""The report of a search: one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nni_blockqnn.calibration.rank_statistics import spearman
from nni_blockqnn.common.files import write_whole
from nni_blockqnn.reports import _charts as charts
from nni_blockqnn.reports import _page as page
from nni_blockqnn.results.experiment import Results, TrialResult, distinct_best

_TABLE_ROWS = 20


class _Ranked(NamedTuple):
    """A block of the report's table."""

    result: TrialResult
    pictures: page.Pictures


def write_report(
    results: Results,
    path: str | Path,
    *,
    title: str | None = None,
    epsilon_by_episode: Mapping[int, float] | None = None,
    extra: Mapping[str, str] | None = None,
) -> None:
    """Write what the search found, with pictures, as one HTML file.

    Args:
        title: by default it names the experiment.
        epsilon_by_episode: the tuner's epsilon for each episode. Given, the report shows the mean
            accuracy at each epsilon.
        extra: further rows for the table of what was searched.
    """
    best = distinct_best(results, len(results.trials))
    experiment = results.experiment
    text = page.page_template("search.html").render(
        title=title or f"Search {experiment.name or experiment.id}",
        results=results,
        facts=page.facts(results) | dict(extra or {}),
        networks=len(best),
        statuses=page.statuses(results),
        failures=results.failures[-page.SHOWN_PROBLEMS :],
        malformed=results.malformed[: page.SHOWN_PROBLEMS],
        ranked=[_Ranked(result, page.pictures(result.block)) for result in best[:_TABLE_ROWS]],
        most_accurate=next(iter(distinct_best(results, 1, by="accuracy")), None),
        charts=_charts(results, best, epsilon_by_episode or {}),
        legend=page.legend(trial.block for trial in results.trials),
        correlations=_correlations(results.trials),
    )
    write_whole(Path(path), text)


def _charts(
    results: Results, best: list[TrialResult], epsilon_by_episode: Mapping[int, float]
) -> list[page.Chart]:
    trials = results.trials
    if not trials:
        return []
    window = charts.mean_window(len(trials))
    figures = [
        (
            charts.progress_chart(trials),
            f"Each result, the best accuracy so far and the mean of the last {window}.",
        ),
        (
            charts.cost_chart(trials, best[0]),
            "What accuracy costs. The upper left edge is where one wants to be.",
        ),
    ]
    stages = charts.accuracies_by_epsilon(trials, epsilon_by_episode)
    if stages:
        caption = (
            "Mean accuracy at each epsilon: the agent explores at 1 and uses what it learnt at 0."
        )
        figures.insert(1, (charts.stage_chart(stages), caption))
    return [page.chart(figure, caption) for figure, caption in figures]


def _correlations(trials: Sequence[TrialResult]) -> dict[str, float | None]:
    """Rank correlations of FLOPs and density with the accuracy; None where one does not vary."""
    if len(trials) < 2:
        return {"flops": None, "density": None}
    accuracy, flops, density = np.array(
        [(trial.accuracy, trial.flops, trial.density) for trial in trials], dtype=float
    ).T
    found = {"flops": spearman(flops, accuracy), "density": spearman(density, accuracy)}
    return {name: None if np.isnan(value) else float(value) for name, value in found.items()}
