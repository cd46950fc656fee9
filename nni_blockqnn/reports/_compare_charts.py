"""The charts that compare searches: curves with bands over seeds, costs, early against final."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import NamedTuple

import numpy as np

from nni_blockqnn.calibration.rank_statistics import spearman
from nni_blockqnn.reports import _plot as plot
from nni_blockqnn.reports._cost_charts import pareto_front
from nni_blockqnn.reports._stages import axis_name, measure_in, standard_error
from nni_blockqnn.results.experiment import Results, TrialResult
from nni_blockqnn.results.groups import Group
from nni_blockqnn.results.slots import trial_spans

_EVALUATED = 150
_MARKERS = ("o", "s", "^", "v", "P", "X")


class Curve(NamedTuple):
    """The best so far of several searches, each (n,).

    Attributes:
        mean: over the searches.
        error: standard error of that mean; zeros of a single search.
    """

    at: np.ndarray
    mean: np.ndarray
    error: np.ndarray


def blocks_chart(groups: Sequence[Group], by: str, minimize: bool) -> plot.Chart:
    """The best so far by the number of trained blocks."""
    return _curves_chart(
        groups,
        by,
        minimize,
        name="best-by-blocks",
        title="The best so far by trained blocks",
        label="trained blocks",
        x_of=lambda results: [float(n) for n in range(1, len(results.trials) + 1)],
    )


def time_chart(groups: Sequence[Group], by: str, minimize: bool) -> plot.Chart | None:
    """The best so far by hours of searching; None if NNI's databases are not here."""
    ends = {one.experiment.id: _hours(one) for group in groups for one in group.searches}
    if not all(len(hours) for hours in ends.values()):
        return None
    return _curves_chart(
        groups,
        by,
        minimize,
        name="best-by-time",
        title="The best so far by time",
        label="hours of searching",
        x_of=lambda results: ends[results.experiment.id],
    )


def _hours(results: Results) -> list[float]:
    """When each result came; empty if that of one is not known."""
    ends = {span.trial_id: (span.start + span.seconds) / 3600 for span in trial_spans(results)}
    found = [ends.get(trial.trial_id) for trial in results.trials]
    return [] if None in found else [float(one) for one in found if one is not None]


def best_curve(
    searches: Sequence[Results],
    by: str,
    minimize: bool,
    x_of: Callable[[Results], Sequence[float]],
) -> Curve | None:
    """As far as the shortest of the searches goes, from where all have a result.

    None if one of them has no result.
    """
    sign = -1.0 if minimize and by == "reward" else 1.0
    steps = []
    for results in searches:
        pairs = [
            (x, sign * getattr(trial, by))
            for x, trial in zip(x_of(results), results.trials, strict=True)
            if getattr(trial, by) is not None
        ]
        if not pairs:
            return None
        pairs.sort(key=lambda pair: pair[0])
        xs, values = (np.array(column) for column in zip(*pairs, strict=True))
        steps.append((xs, np.maximum.accumulate(values)))
    first = max(xs[0] for xs, _ in steps)
    last = min(xs[-1] for xs, _ in steps)
    at = np.unique(np.concatenate([xs for xs, _ in steps]))
    at = at[(at >= first) & (at <= last)]
    if not len(at):
        return None
    if len(at) > _EVALUATED:
        at = at[np.unique(np.linspace(0, len(at) - 1, _EVALUATED).astype(int))]
    each = np.stack([values[np.searchsorted(xs, at, side="right") - 1] for xs, values in steps])
    spread = each.std(axis=0, ddof=1) if len(each) > 1 else np.zeros(len(at))
    return Curve(at, sign * each.mean(axis=0), spread / np.sqrt(len(each)))


def _curves_chart(
    groups: Sequence[Group],
    by: str,
    minimize: bool,
    *,
    name: str,
    title: str,
    label: str,
    x_of: Callable[[Results], Sequence[float]],
) -> plot.Chart:
    figure, axes = plot.empty_chart(label, axis_name(by, _trials(groups)))
    rows: list[plot.Row] = []
    hovers = []
    shown: list[float] = []
    for group, colour in zip(groups, cycle(plot.SERIES_COLOURS)):
        curve = best_curve(group.searches, by, minimize, x_of)
        if curve is None:
            continue
        seeds = len(group.searches)
        axes.step(curve.at, curve.mean, where="post", color=colour, label=_label(group))
        if seeds > 1:
            low, high = curve.mean - curve.error, curve.mean + curve.error
            axes.fill_between(
                curve.at, low, high, step="post", color=colour, alpha=0.2, linewidth=0
            )
        shown += curve.mean[min(4, len(curve.mean) - 1) :].tolist()
        for x, mean, error in zip(*(one.tolist() for one in curve), strict=True):
            rows.append((group.name, x, mean, error, seeds))
            band = f" ± {error:.2f} over {seeds} searches" if seeds > 1 else ""
            hovers.append(plot.Hover(x, mean, f"{group.name}, {x:.4g}: {mean:.2f}{band}"))
    if shown:
        margin = (max(shown) - min(shown)) * 0.12 or 1.0
        axes.set_ylim(min(shown) - margin, max(shown) + margin)
    plot.chart_legend(axes, 1 if len(groups) <= 4 else 2)
    return plot.Chart(
        name=name,
        title=title,
        caption="The mean over the searches of one configuration; the band is its standard error. "
        "A curve ends where the shortest of them does.",
        figure=figure,
        columns=("configuration", label.replace(" ", "_"), "mean", "standard_error", "searches"),
        rows=rows,
        hovers=hovers,
    )


def _label(group: Group) -> str:
    name = group.name if len(group.name) <= 40 else f"{group.name[:38]}…"
    return name if len(group.searches) == 1 else f"{name}, {len(group.searches)} searches"


def _trials(groups: Sequence[Group]) -> Iterator[TrialResult]:
    for group in groups:
        for results in group.searches:
            yield from results.trials


def fronts_chart(groups: Sequence[Group], by: str, minimize: bool) -> plot.Chart | None:
    """The Pareto front of each group; None if no trial reported its FLOPs."""
    sign = -1.0 if minimize and by == "reward" else 1.0
    figure, axes = plot.empty_chart(
        "FLOPs of the network (multiply-accumulates)", axis_name(by, _trials(groups))
    )
    rows: list[plot.Row] = []
    hovers = []
    for group, colour in zip(groups, cycle(plot.SERIES_COLOURS)):
        known = [
            trial
            for results in group.searches
            for trial in results.trials
            if None not in (trial.flops, getattr(trial, by))
        ]
        if not known:
            continue
        costs = np.array([float(trial.flops or 0) for trial in known])
        values = np.array([float(getattr(trial, by)) for trial in known])
        front = pareto_front(costs, sign * values)
        axes.step(
            costs[front],
            values[front],
            where="post",
            color=colour,
            marker=".",
            label=_label(group),
        )
        for at in front:
            rows.append((group.name, known[at].trial_id, known[at].flops, float(values[at])))
            said = f"{group.name}, trial {known[at].trial_id}: {values[at]:.2f}"
            hovers.append(plot.Hover(float(costs[at]), float(values[at]), said))
    if not rows:
        return None
    plot.scale_flops(axes, np.array([one.x for one in hovers]))
    plot.chart_legend(axes, 1 if len(groups) <= 4 else 2)
    return plot.Chart(
        name="pareto-fronts",
        title="What accuracy costs" if by == "accuracy" else "What the reward costs",
        caption="Of each configuration, the blocks that no cheaper one of it beats.",
        figure=figure,
        columns=("configuration", "trial", "flops", by),
        rows=rows,
        hovers=hovers,
    )


def final_chart(
    groups: Sequence[Group], finals: Mapping[tuple[str, int | None], TrialResult]
) -> plot.Chart | None:
    """Early against final accuracy of the same networks (the paper's Fig. 6).

    None if there are not two such networks.

    Args:
        finals: the results of final trainings, by the block's key and its repeats.
    """
    measured = measure_in(_trials(groups)).score_axis
    figure, axes = plot.empty_chart(f"early-stop {measured}", f"final {measured}")
    rows: list[plot.Row] = []
    hovers = []
    looks = zip(groups, cycle(plot.SERIES_COLOURS), cycle(_MARKERS))
    for group, colour, marker in looks:
        early = {
            (trial.block.key, trial.repeats): trial
            for results in group.searches
            for trial in results.trials
            if trial.accuracy is not None
        }
        pairs = [(early[key], final) for key, final in finals.items() if key in early]
        for before, after in pairs:
            errors = (standard_error(before), standard_error(after))
            rows.append(
                (group.name, before.trial_id, after.trial_id, before.accuracy, errors[0],
                 after.accuracy, errors[1])
            )  # fmt: skip
            hovers.append(
                plot.Hover(
                    float(before.accuracy or 0),
                    float(after.accuracy or 0),
                    f"{group.name}, trial {before.trial_id}: {before.accuracy:.2f} %, "
                    f"in the end {after.accuracy:.2f} %",
                )
            )
        axes.errorbar(
            [float(before.accuracy or 0) for before, _ in pairs],
            [float(after.accuracy or 0) for _, after in pairs],
            yerr=[standard_error(after) or 0.0 for _, after in pairs],
            linestyle="none",
            marker=marker,
            markersize=4.5,
            color=colour,
            linewidth=1,
            alpha=0.85,
            label=_label(group) if pairs else "_",
        )
    if len(rows) < 2:
        return None
    early_values, final_values = (np.array([row[at] for row in rows], float) for at in (3, 5))
    rank = spearman(early_values, final_values)
    ranks = "" if np.isnan(rank) else f" The rank correlation (Spearman) is {rank:+.2f}."
    plot.chart_legend(axes, 1 if len(groups) <= 4 else 2)
    return plot.Chart(
        name="early-against-final",
        title="Early against final accuracy",
        caption=f"{len(rows)} networks of the searches that were trained to the end. The bars are "
        f"standard errors.{ranks}",
        figure=figure,
        columns=("configuration", "early_trial", "final_trial", "early_accuracy",
                 "early_standard_error", "final_accuracy", "final_standard_error"),
        rows=rows,
        hovers=hovers,
    )  # fmt: skip
