"""What the blocks of each stage of epsilon reached."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from nni_blockqnn.reports import _plot as plot
from nni_blockqnn.reports._stages import StageResults, axis_name


def stage_chart(stages: Sequence[StageResults], by: str) -> plot.Chart | None:
    """The quartiles of each stage, and its mean with the standard error of that.

    None if there are not two stages with results.
    """
    known = [
        (stage.epsilon, [getattr(one, by) for one in stage.trials])
        for stage in stages
        if all(getattr(one, by) is not None for one in stage.trials)
    ]
    if len(known) < 2:
        return None
    figure, axes = plot.empty_chart("epsilon (blocks)", axis_name(by, stages[0].trials))
    rows: list[plot.Row] = []
    hovers = []
    for place, (epsilon, values) in enumerate(known):
        low, median, high = (float(one) for one in np.quantile(values, (0.25, 0.5, 0.75)))
        mean = float(np.mean(values))
        error = float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0
        axes.bar(
            [place],
            [high - low],
            bottom=[low],
            width=0.6,
            color=plot.POINT_COLOUR,
            alpha=0.35,
            label="middle half" if place == 0 else "_",
        )
        axes.hlines(
            [median],
            place - 0.3,
            place + 0.3,
            color=plot.POINT_COLOUR,
            linewidth=2,
            label="median" if place == 0 else "_",
        )
        axes.errorbar(
            [place],
            [mean],
            yerr=[error],
            color=plot.MEAN_COLOUR,
            marker="o",
            markersize=4,
            capsize=3,
            linestyle="none",
            label="mean ± standard error" if place == 0 else "_",
        )
        rows.append((epsilon, len(values), low, median, high, mean, error))
        said = (
            f"epsilon {epsilon:g}: {len(values)} blocks, median {median:.2f}, "
            f"half of them {low:.2f} to {high:.2f}, mean {mean:.2f} ± {error:.2f}"
        )
        hovers += [plot.Hover(place, y, said) for y in (low, median, high, mean)]
    _include(axes, rows)
    axes.set_xticks(range(len(known)), [f"{e:g}\n({len(values):,})" for e, values in known])
    if len(known) > 6:
        axes.tick_params(axis="x", labelsize=7.5)
    plot.chart_legend(axes)
    return plot.Chart(
        name=f"{by}-by-stage",
        title=f"{by.capitalize()} by stage",
        caption="What the blocks of each stage reached. The agent explores at epsilon 1 and uses "
        "what it learnt near 0. Unlike a range, the middle half does not grow with the number of "
        "blocks.",
        figure=figure,
        columns=(
            "epsilon",
            "blocks",
            "lower_quartile",
            "median",
            "upper_quartile",
            "mean",
            "standard_error_of_mean",
        ),
        rows=rows,
        hovers=hovers,
    )


def _include(axes: Axes, rows: Sequence[plot.Row]) -> None:
    """All quartiles and means with room about them."""
    numbers = np.array([row[2:6] for row in rows], dtype=float)
    errors = np.array([row[6] for row in rows], dtype=float)
    low = min(numbers.min(), (numbers[:, 3] - errors).min())
    high = max(numbers.max(), (numbers[:, 3] + errors).max())
    margin = (high - low) * 0.08 or 1.0
    axes.set_ylim(low - margin, high + margin)
