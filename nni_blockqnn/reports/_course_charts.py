"""The score of each block over the course of a search (the paper's Fig. 8a)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from nni_blockqnn.reports import _plot as plot
from nni_blockqnn.reports._stages import Course, Scored, axis_name, standard_error

_MOST_MEANS = 120
_LEFT_OUT = 0.1
"""The share of blocks that may lie below the axis, if they are far below the others."""


def course_chart(course: Course, by: str) -> plot.Chart | None:
    """Each block's score, and the mean of each iteration (the paper's Fig. 8a).

    None if no trial reported it.

    Args:
        by: "accuracy" or "reward".
    """
    scored = course.scored(by)
    if not scored:
        return None
    word = "iteration" if course.has_iterations else "part of the search"
    label = f"{word} ({course.step} block{'s' if course.step > 1 else ''} each)"
    figure, axes = plot.empty_chart(label, axis_name(by, course.trials))
    plot.draw_stages(axes, course.spans)
    others = [one for one in scored if not one.result.is_start]
    starts = [one for one in scored if one.result.is_start]
    plot.draw_points(axes, *_xy(others), "block")
    group = max(1, math.ceil(scored[-1].iteration / _MOST_MEANS))
    middles, means = _means(others, group)
    of = "an iteration" if group == 1 else f"{group} iterations"
    of = of if course.has_iterations else "a part"
    axes.plot(middles, means, color=plot.MEAN_COLOUR, linewidth=1.8, label=f"mean of {of}")
    plot.draw_starts(axes, *_xy(starts))
    _draw_noise(axes, scored, by, course.minimize)
    left_out = 0
    if by == "accuracy" or not course.minimize:
        left_out = plot.limit_to_most(axes, [one.value for one in scored], _LEFT_OUT)
    if left_out:
        plot.mark_below(axes, *_xy(scored))
    plot.whole_numbers(axes)
    plot.chart_legend(axes, above_stages=len(course.spans) > 1)
    errors = "" if by != "accuracy" else _noise_sentence(scored)
    below = ""
    if left_out:
        lie = "block lies" if left_out == 1 else "blocks lie"
        below = f" {left_out:,} {lie} below the axis, as the triangles say."
    stages = " ε is the share of random actions." if len(course.spans) > 1 else ""
    return plot.Chart(
        name=f"{by}-by-iteration",
        title=f"{by.capitalize()} by iteration",
        caption=f"Every trained block, in the order in which they were handed out.{stages}"
        f"{errors}{below}",
        figure=figure,
        columns=("iteration", "episode", "trial", by, "standard_error", "epsilon", "start_block"),
        rows=[_row(one, course, by) for one in scored],
        hovers=[plot.Hover(one.iteration, one.value, one.result.finished) for one in scored],
    )


def _row(one: Scored, course: Course, by: str) -> plot.Row:
    result = one.result
    error = standard_error(result) if by == "accuracy" else None
    epsilon = course.epsilons.get(result.episode)
    start = int(result.is_start)
    return (one.iteration, result.episode, result.trial_id, one.value, error, epsilon, start)


def _xy(scored: Sequence[Scored]) -> tuple[list[float], list[float]]:
    return [one.iteration for one in scored], [one.value for one in scored]


def _means(scored: Sequence[Scored], group: int) -> tuple[list[float], list[float]]:
    parts: dict[int, list[Scored]] = {}
    for one in scored:
        parts.setdefault(int(one.iteration) // group, []).append(one)
    middles = [float(np.mean([one.iteration for one in part])) for part in parts.values()]
    return middles, [float(np.mean([one.value for one in part])) for part in parts.values()]


def _draw_noise(axes: Axes, scored: Sequence[Scored], by: str, minimize: bool) -> None:
    """The best with its standard error, or a ring around it where that is not known."""
    if by == "accuracy" or not minimize:
        best = max(scored, key=lambda one: one.value)
    else:
        best = min(scored, key=lambda one: one.value)
    error = standard_error(best.result) if by == "accuracy" else None
    if error is None:
        plot.draw_best(axes, best.iteration, best.value, "best")
        return
    axes.errorbar(
        [best.iteration],
        [best.value],
        yerr=[error],
        color=plot.BEST_COLOUR,
        marker="o",
        markersize=4,
        linestyle="none",
        linewidth=1.6,
        capsize=4,
        zorder=5,
        label="best",
    )


def _noise_sentence(scored: Sequence[Scored]) -> str:
    errors = [error for one in scored if (error := standard_error(one.result)) is not None]
    if not errors:
        return ""
    images = scored[0].result.metric["validation_images"]
    return (
        f" The bar at the best is its standard error; that of a median block is "
        f"{np.median(errors):.1f} points, and one of the {images:,} images is {100 / images:.2g}."
    )
