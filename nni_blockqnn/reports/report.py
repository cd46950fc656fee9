"""The report of a search: one HTML file that needs nothing beside it, and its figures as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from markupsafe import Markup

from nni_blockqnn.blocks.named import name_of
from nni_blockqnn.calibration.rank_statistics import spearman
from nni_blockqnn.common.files import write_whole
from nni_blockqnn.reports import _files as files
from nni_blockqnn.reports import _page as page
from nni_blockqnn.reports._inline import json_in_page
from nni_blockqnn.reports._search_charts import (
    SearchCharts,
    course_of,
    main_score,
    search_charts,
)
from nni_blockqnn.reports._stages import Course, accuracy_text, measure_in, median_result
from nni_blockqnn.results.experiment import Results, TrialResult, distinct_best
from nni_blockqnn.results.repetition import repeatable_config
from nni_blockqnn.results.rewards import search_reward
from nni_blockqnn.results.search_journal import epsilons

_TABLE_ROWS = 50
_FIRST_ROWS = 20
"""Of the table; the others appear at a click."""


class _Ranked(NamedTuple):
    """A block of the report's table; its name if it is a hand-made one."""

    place: int
    result: TrialResult
    pictures: page.Pictures
    name: str | None


class _Median(NamedTuple):
    """The median block of a stage."""

    epsilon: float
    blocks: int
    result: TrialResult
    picture: Markup


def write_report(
    results: Results,
    path: str | Path,
    *,
    title: str | None = None,
    epsilon_by_episode: Mapping[int, float] | None = None,
    extra: Mapping[str, str] | None = None,
    figures: Path | None = None,
) -> None:
    """Write what the search found, with pictures, as one HTML file.

    Args:
        title: by default it names the experiment.
        epsilon_by_episode: the tuner's epsilon for each episode; by default as its journal says.
        extra: further rows for the table of what was searched.
        figures: a folder for every figure as SVG and PNG, and its data as CSV.

    Raises:
        ExperimentDatabaseError: if the experiment's database cannot be read.
    """
    best = distinct_best(results, len(results.trials))
    experiment = results.experiment
    if epsilon_by_episode is None:
        epsilon_by_episode = epsilons(experiment.directory)
    course = course_of(results, epsilon_by_episode)
    charts = search_charts(results, course, best[0]) if best else SearchCharts([], [], [])
    medians = _medians(course)
    most_accurate = _most_accurate(results)
    text = page.page_template("search.html").render(
        title=title or f"Search {experiment.name or experiment.id}",
        results=results,
        facts=page.facts(results) | dict(extra or {}),
        config=yaml.safe_dump(repeatable_config(experiment), sort_keys=False, width=100),
        networks=len(best),
        statuses=page.statuses(results),
        problems=page.problems(results),
        reward=search_reward(results),
        ranked=_ranked(best, most_accurate),
        first_rows=_FIRST_ROWS,
        at_equal_cost=any(result.width is not None for result in best),
        has_errors=any("validation_images" in one.metric for one in results.trials),
        most_accurate=most_accurate,
        course=[page.drawn(chart) for chart in charts.course],
        preferences=[page.drawn(chart) for chart in charts.preferences],
        costs=[page.drawn(chart) for chart in charts.costs],
        medians=medians,
        score=main_score(results),
        measure=measure_in(results.trials),
        legend=page.legend(trial.block for trial in results.trials),
        correlations=_correlations(results.trials),
        trial_texts=json_in_page([_said(trial) for trial in results.trials]),
    )
    write_whole(Path(path), text)
    if figures is not None:
        _write_figures(results, charts, best, medians, figures)


def _write_figures(
    results: Results,
    charts: SearchCharts,
    best: Sequence[TrialResult],
    medians: Sequence[_Median],
    folder: Path,
) -> None:
    for chart in charts.all:
        files.write_chart(chart, folder)
    if best:
        files.write_block(best[0].block, "best-block", folder)
        files.write_results(results.trials, folder / "results.csv")
    for median in medians:
        name = f"median-block-epsilon-{median.epsilon:g}"
        files.write_block(median.result.block, name, folder)


def _said(trial: TrialResult) -> str:
    """What the page says of a trial at its points."""
    parts = [f"trial {trial.trial_id}"]
    if trial.accuracy is not None:
        parts.append(accuracy_text(trial))
    parts.append(f"reward {trial.reward:.2f}")
    if trial.flops is not None:
        parts.append(f"{page.quantity(trial.flops)} FLOPs")
    parts.append(f"{len(trial.block.layers)} layers")
    if trial.is_start:
        parts.append("start block")
    return ", ".join(parts)


def _ranked(best: Sequence[TrialResult], most_accurate: TrialResult | None) -> list[_Ranked]:
    """The first of the ranking, and the most accurate wherever it stands."""
    shown = list(enumerate(best, 1))[:_TABLE_ROWS]
    if most_accurate is not None and all(
        one.trial_id != most_accurate.trial_id for _, one in shown
    ):
        shown += [
            (place, one)
            for place, one in enumerate(best, 1)
            if one.trial_id == most_accurate.trial_id
        ]
    return [
        _Ranked(place, one, page.pictures(one.block), name_of(one.block)) for place, one in shown
    ]


def _medians(course: Course) -> list[_Median]:
    """None unless there are stages to compare."""
    stages = course.stages
    if len(stages) < 2:
        return []
    return [
        _Median(stage.epsilon, len(stage.trials), median, page.picture(median.block))
        for stage in stages
        for median in [median_result(stage.trials)]
    ]


def _most_accurate(results: Results) -> TrialResult | None:
    best = next(iter(distinct_best(results, 1, by="accuracy")), None)
    return None if best is None or best.accuracy is None else best


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
