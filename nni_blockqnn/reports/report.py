"""The report of a search: one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nni_blockqnn.blocks.named import name_of
from nni_blockqnn.calibration.rank_statistics import spearman
from nni_blockqnn.common.files import write_whole
from nni_blockqnn.reports import _charts as charts
from nni_blockqnn.reports import _page as page
from nni_blockqnn.results.experiment import Results, TrialResult, distinct_best
from nni_blockqnn.results.rewards import search_reward

_TABLE_ROWS = 20


class _Ranked(NamedTuple):
    """A block of the report's table; its name if it is a hand-made one."""

    result: TrialResult
    pictures: page.Pictures
    name: str | None


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
        problems=page.problems(results),
        reward=search_reward(results),
        ranked=[
            _Ranked(result, page.pictures(result.block), name_of(result.block))
            for result in best[:_TABLE_ROWS]
        ],
        at_equal_cost=any(result.width is not None for result in best),
        most_accurate=_most_accurate(results),
        charts=_charts(results, best, epsilon_by_episode or {}),
        legend=page.legend(trial.block for trial in results.trials),
        correlations=_correlations(results.trials),
    )
    write_whole(Path(path), text)


def _most_accurate(results: Results) -> TrialResult | None:
    best = next(iter(distinct_best(results, 1, by="accuracy")), None)
    return None if best is None or best.accuracy is None else best


def _charts(
    results: Results, best: list[TrialResult], epsilon_by_episode: Mapping[int, float]
) -> list[page.Chart]:
    if not results.trials:
        return []
    shown = charts.scores(results.trials, results.minimize)
    word = "reward" if shown.name == "reward" else "accuracy"
    window = charts.mean_window(len(shown.trials))
    found = [
        page.chart(
            charts.progress_chart(shown),
            f"Each result, the best {word} so far and the mean of the last {window}.",
        )
    ]
    if stages := charts.scores_by_epsilon(shown, epsilon_by_episode):
        caption = (
            f"Mean {word} at each epsilon: the agent explores at 1 and uses what it learnt at 0."
        )
        found.append(page.chart(charts.stage_chart(stages, shown.name), caption))
    if cost := charts.cost_chart(shown, best[0]):
        edge = "lower" if shown.minimize else "upper"
        caption = f"What {word} costs. The {edge} left edge is where one wants to be."
        found.append(page.chart(cost, caption))
    return found


def _correlations(trials: Sequence[TrialResult]) -> dict[str, float | None]:
    """Rank correlations of FLOPs and density with the accuracy; None where one does not vary."""
    known = [
        (trial.accuracy, trial.flops, trial.density)
        for trial in trials
        if trial.accuracy is not None and trial.flops is not None
    ]
    if len(known) < 2:
        return {"flops": None, "density": None}
    accuracy, flops, density = np.array(known, dtype=float).T
    found = {"flops": spearman(flops, accuracy), "density": spearman(density, accuracy)}
    return {name: None if np.isnan(value) else float(value) for name, value in found.items()}
