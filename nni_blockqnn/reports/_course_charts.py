"""The charts of a search's course: by iteration, by stage, and against random search."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from nni_blockqnn.reports import _plot as plot
from nni_blockqnn.reports._expectation import (
    BEST_OF,
    Expectation,
    best_five_so_far,
    random_expectation,
)
from nni_blockqnn.reports._stages import Course, Scored, StageResults, standard_error
from nni_blockqnn.results.experiment import TrialResult

AXIS_NAMES = {"accuracy": "early-stop accuracy (%)", "reward": "reward"}
_MOST_MEANS = 120
_LEAST_RANDOM = 8
_EVALUATED = 120
"""Numbers of trials at which random search is evaluated."""


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
    figure, axes = plot.empty_chart(label, AXIS_NAMES[by])
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
        left_out = plot.limit_to_most(axes, [one.value for one in scored])
    plot.whole_numbers(axes)
    plot.chart_legend(axes, above_stages=len(course.spans) > 1)
    errors = "" if by != "accuracy" else _noise_sentence(scored)
    below = f" {left_out:,} of the blocks lie below the chart." if left_out else ""
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
    parts: dict[int, list[float]] = {}
    for one in scored:
        parts.setdefault(int(one.iteration) // group, []).append(one.value)
    return (
        [(part + 0.5) * group for part in parts],
        [float(np.mean(values)) for values in parts.values()],
    )


def _draw_noise(axes: Axes, scored: Sequence[Scored], by: str, minimize: bool) -> None:
    """A ring around the best, with its standard error if that is known."""
    if by == "accuracy" or not minimize:
        best = max(scored, key=lambda one: one.value)
    else:
        best = min(scored, key=lambda one: one.value)
    plot.draw_best(axes, best.iteration, best.value, "best")
    error = standard_error(best.result) if by == "accuracy" else None
    if error is not None:
        axes.errorbar(
            [best.iteration],
            [best.value],
            yerr=[error],
            color=plot.BEST_COLOUR,
            linewidth=1.5,
            capsize=3,
            zorder=5,
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
    figure, axes = plot.empty_chart("epsilon (blocks)", AXIS_NAMES[by])
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
            label="middle half" if place == 0 else None,
        )
        axes.hlines(
            [median],
            place - 0.3,
            place + 0.3,
            color=plot.POINT_COLOUR,
            linewidth=2,
            label="median" if place == 0 else None,
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
            label="mean ± standard error" if place == 0 else None,
        )
        rows.append((epsilon, len(values), low, median, high, mean, error))
        said = (
            f"epsilon {epsilon:g}: {len(values)} blocks, median {median:.2f}, "
            f"half of them {low:.2f} to {high:.2f}, mean {mean:.2f} ± {error:.2f}"
        )
        hovers += [plot.Hover(place, y, said) for y in (low, median, high, mean)]
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


def best_chart(
    trials: Sequence[TrialResult], by: str, random_episodes: set[int], minimize: bool
) -> plot.Chart | None:
    """The best so far and the best five, against random search (the paper's Fig. 10).

    None if no trial reported it.

    Args:
        random_episodes: whose blocks were drawn at random; too few of them, and there is no
            comparison.
    """
    sign = -1.0 if minimize and by == "reward" else 1.0
    known = [(one, sign * getattr(one, by)) for one in trials if getattr(one, by) is not None]
    if not known:
        return None
    figure, axes = plot.empty_chart("trained blocks", AXIS_NAMES[by])
    order = np.arange(1, len(known) + 1)
    best, five = best_five_so_far([value for _, value in known])
    sample = [value for one, value in known if one.episode in random_episodes]
    random = None
    if len(sample) >= _LEAST_RANDOM:
        numbers = np.unique(np.geomspace(1, len(known), _EVALUATED).astype(int))
        random = random_expectation(sample, numbers.tolist())
        _draw_random(axes, random, sign)
        if len(sample) < len(known):
            axes.axvline(len(sample), color=plot.RANDOM_COLOUR, linewidth=0.8, linestyle=":")
    axes.step(order, sign * best, where="post", color=plot.BEST_COLOUR, label="best")
    axes.step(
        order,
        sign * five,
        where="post",
        color=plot.MEAN_COLOUR,
        label=f"mean of best {BEST_OF}",
    )
    starts = [(number, sign * value) for number, (one, value) in enumerate(known, 1) if one.is_start]
    plot.draw_starts(axes, [x for x, _ in starts], [y for _, y in starts])
    _limit_to_course(axes, [*five[min(BEST_OF, len(five)) - 1 :], *best], sign)
    axes.set_xlim(0, len(known) + 0.5)
    plot.whole_numbers(axes)
    plot.chart_legend(axes, 2)
    caption = f"The best block so far and the mean of the best {BEST_OF}."
    if random is not None:
        caption += (
            f" Dashed: what random search would have by then, as {len(sample)} random blocks of "
            "this search tell; the band holds 80 % of such searches. Right of the dotted line it "
            "is a lower bound, since no draw is better than the best of those blocks."
        )
    hovers = [
        plot.Hover(n, float(sign * b), f"after {n} blocks: best {sign * b:.2f}, five {sign * f:.2f}")
        for n, b, f in zip(order.tolist(), best, five, strict=True)
        if len(order) <= 1_000 or n % (len(order) // 1_000) == 0
    ]
    return plot.Chart(
        name="best-so-far",
        title="The best so far, against random search" if random is not None else "The best so far",
        caption=caption,
        figure=figure,
        columns=("trained_blocks", "best", "mean_of_best_five", "random_best", "random_low",
                 "random_high", "random_five"),
        rows=_best_rows(sign * best, sign * five, random, sign),
        hovers=hovers,
    )  # fmt: skip


def _draw_random(axes: Axes, random: Expectation, sign: float) -> None:
    colour, numbers = plot.RANDOM_COLOUR, random.trials
    axes.fill_between(
        numbers, sign * random.low, sign * random.high, color=colour, alpha=0.18, linewidth=0
    )
    axes.plot(numbers, sign * random.best, color=colour, linestyle="--", label="random: best")
    axes.plot(
        numbers, sign * random.five, color=colour, linestyle=":", label=f"random: best {BEST_OF}"
    )


def _limit_to_course(axes: Axes, values: Sequence[float], sign: float) -> None:
    """From the fifth trial on: the first may be far below."""
    low, high = min(values), max(values)
    margin = (high - low) * 0.12 or 1.0
    axes.set_ylim(*sorted((sign * (low - margin), sign * (high + margin))))


def _best_rows(
    best: np.ndarray, five: np.ndarray, random: Expectation | None, sign: float
) -> list[plot.Row]:
    """Random search stands where it was evaluated."""
    at: dict[int, tuple[float, ...]] = {}
    if random is not None:
        columns = (sign * one for one in (random.best, random.low, random.high, random.five))
        at = dict(zip(random.trials.tolist(), zip(*columns, strict=True), strict=True))
    return [
        (number, float(b), float(f), *at.get(number, (None,) * 4))
        for number, (b, f) in enumerate(zip(best, five, strict=True), 1)
    ]
