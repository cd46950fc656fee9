"""Several searches in one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nni_blockqnn.blocks.named import name_of
from nni_blockqnn.common.files import write_whole
from nni_blockqnn.reports import _compare_charts as charts
from nni_blockqnn.reports import _files as files
from nni_blockqnn.reports import _page as page
from nni_blockqnn.reports._search_charts import main_score
from nni_blockqnn.results.experiment import Results, TrialResult, distinct_best
from nni_blockqnn.results.groups import Group, group_searches, short

_BEST_BLOCKS = 3


class _Search(NamedTuple):
    """A row of the table of searches."""

    results: Results
    seed: int | None
    best: TrialResult | None
    trial_seconds: float | None


class _Compared(NamedTuple):
    """A group on the page.

    Attributes:
        best: mean of the searches' best scores, and its standard error if there are several.
        blocks: the best different networks of all its searches.
    """

    group: Group
    best: tuple[float, float | None] | None
    searches: list[_Search]
    blocks: list[tuple[TrialResult, page.Pictures, str | None]]


def write_comparison(
    searches: Sequence[Results],
    path: str | Path,
    *,
    finals: Sequence[Results] = (),
    figures: Path | None = None,
) -> None:
    """Write curves, best blocks and costs of several searches as one HTML file.

    Searches that differ in their seed alone are one configuration, with a band over the seeds.

    Args:
        finals: final trainings of blocks of theirs.
        figures: a folder for every figure as SVG and PNG, and its data as CSV.

    Raises:
        ValueError: if some searches minimize their reward and others maximize it.
        ExperimentDatabaseError: if a database cannot be read.
    """
    if len({results.minimize for results in searches}) > 1:
        raise ValueError("some of these searches minimize their reward and others maximize theirs")
    minimize = searches[0].minimize
    scores = {main_score(results) for results in searches if results.trials}
    by = "accuracy" if scores <= {"accuracy"} else "reward"
    groups = group_searches(searches)
    drawn = [charts.blocks_chart(groups, by, minimize)]
    drawn += [
        chart
        for chart in (
            charts.time_chart(groups, by, minimize),
            charts.fronts_chart(groups, by, minimize),
            charts.final_chart(groups, _by_network(finals)),
        )
        if chart is not None
    ]
    text = page.page_template("compare.html").render(
        title=" and ".join(group.name for group in groups) if len(groups) <= 2 else
        f"{len(groups)} configurations compared",
        by=by,
        groups=[_compared(group, by, minimize) for group in groups],
        settings=[
            (name, [short(group.settings[name]) for group in groups])
            for name in groups[0].settings
        ],
        searches=len(searches),
        finals=finals,
        charts=[page.drawn(chart) for chart in drawn],
        legend=page.legend(trial.block for results in searches for trial in results.trials),
    )  # fmt: skip
    write_whole(Path(path), text)
    if figures is not None:
        for chart in drawn:
            files.write_chart(chart, figures)


def _by_network(finals: Sequence[Results]) -> dict[tuple[str, int | None], TrialResult]:
    return {
        (trial.block.key, trial.repeats): trial
        for results in finals
        for trial in results.trials
        if trial.accuracy is not None
    }


def _compared(group: Group, by: str, minimize: bool) -> _Compared:
    searches = [
        _Search(results, seed, _best(results, by), _median_seconds(results))
        for results, seed in zip(group.searches, group.seeds, strict=True)
    ]
    scores = [float(getattr(one.best, by)) for one in searches if one.best is not None]
    mean = None
    if scores:
        error = float(np.std(scores, ddof=1) / len(scores) ** 0.5) if len(scores) > 1 else None
        mean = float(np.mean(scores)), error
    found: dict[tuple[str, int | None], TrialResult] = {}
    for results in group.searches:
        for one in distinct_best(results, _BEST_BLOCKS):
            found.setdefault((one.block.key, one.repeats), one)
    ranked = sorted(found.values(), key=lambda one: one.reward if minimize else -one.reward)
    blocks = [(one, page.pictures(one.block), name_of(one.block)) for one in ranked[:_BEST_BLOCKS]]
    return _Compared(group, mean, searches, blocks)


def _best(results: Results, by: str) -> TrialResult | None:
    best = distinct_best(results, 1, by="accuracy" if by == "accuracy" else "reward")
    return best[0] if best and getattr(best[0], by) is not None else None


def _median_seconds(results: Results) -> float | None:
    seconds = [trial.seconds for trial in results.trials if trial.seconds is not None]
    return float(np.median(seconds)) if seconds else None
