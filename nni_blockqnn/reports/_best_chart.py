"""The best blocks so far, against what random search would have (the paper's Fig. 10)."""

from __future__ import annotations

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
from nni_blockqnn.reports._stages import axis_name
from nni_blockqnn.results.experiment import TrialResult

_LEAST_RANDOM = 8
_EVALUATED = 120
"""Numbers of trials at which random search is evaluated."""
_MOST_HOVERS = 1_000


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
    figure, axes = plot.empty_chart("trained blocks", axis_name(by, trials))
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
    starts = [
        (number, sign * value) for number, (one, value) in enumerate(known, 1) if one.is_start
    ]
    plot.draw_starts(axes, [x for x, _ in starts], [y for _, y in starts])
    _limit_to_course(axes, [*five[min(BEST_OF, len(five)) - 1 :], *best], sign)
    axes.set_xlim(0, len(known) + 0.5)
    plot.whole_numbers(axes)
    plot.chart_legend(axes)
    caption = f"The best block so far and the mean of the best {BEST_OF}."
    if random is not None:
        caption += (
            f" Dashed: what random search would have by then, as {len(sample)} random blocks of "
            "this search tell; the band holds 80 % of such searches. Right of the dotted line it "
            "is a lower bound, since no draw is better than the best of those blocks."
        )
    return plot.Chart(
        name="best-so-far",
        title="The best so far, against random search" if random is not None else "The best so far",
        caption=caption,
        figure=figure,
        columns=("trained_blocks", "best", "mean_of_best_five", "random_best", "random_low",
                 "random_high", "random_five"),
        rows=_best_rows(sign * best, sign * five, random, sign),
        hovers=_hovers(sign * best, sign * five),
    )  # fmt: skip


def _hovers(best: np.ndarray, five: np.ndarray) -> list[plot.Hover]:
    step = max(1, len(best) // _MOST_HOVERS)
    return [
        plot.Hover(
            number + 1,
            float(best[number]),
            f"after {number + 1} blocks: best {best[number]:.2f}, best {BEST_OF} "
            f"{five[number]:.2f} in the mean",
        )
        for number in range(0, len(best), step)
    ]


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
        arrays = (random.best, random.low, random.high, random.five)
        columns = ((sign * one).tolist() for one in arrays)
        at = dict(zip(random.trials.tolist(), zip(*columns, strict=True), strict=True))
    return [
        (number, float(b), float(f), *at.get(number, (None,) * 4))
        for number, (b, f) in enumerate(zip(best, five, strict=True), 1)
    ]
