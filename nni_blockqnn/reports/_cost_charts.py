"""The charts of what blocks cost: accuracy against FLOPs, and the time of trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.collections import PolyCollection

from nni_blockqnn.reports import _plot as plot
from nni_blockqnn.reports._stages import axis_name, standard_error
from nni_blockqnn.results.experiment import TrialResult
from nni_blockqnn.results.slots import Span

_COSTS = {
    "flops": ("FLOPs of the network (multiply-accumulates)", "FLOPs"),
    "params": ("parameters of the network", "parameters"),
}
_OUTCOMES = (
    ("result", plot.POINT_COLOUR),
    ("failed", plot.START_COLOUR),
    ("ended without a result", plot.MEAN_COLOUR),
)
_MOST_VECTOR_SPANS = 1_000
_UNITS = ((2 * 86_400, 86_400, "days"), (2 * 3_600, 3_600, "hours"), (120, 60, "minutes"))


def pareto_chart(
    trials: Sequence[TrialResult], best: TrialResult, by: str, minimize: bool
) -> plot.Chart | None:
    """The score against FLOPs, or parameters, with those that no other beats in both.

    None if no trial reported its cost.
    """
    for cost in _COSTS:
        known = [one for one in trials if None not in (getattr(one, cost), getattr(one, by))]
        if known:
            break
    else:
        return None
    label, words = _COSTS[cost]
    costs = np.array([float(getattr(one, cost)) for one in known])
    values = np.array([float(getattr(one, by)) for one in known])
    sign = -1.0 if minimize and by == "reward" else 1.0
    front = pareto_front(costs, sign * values)
    figure, axes = plot.empty_chart(label, axis_name(by, known))
    starts = [at for at, one in enumerate(known) if one.is_start]
    others = [at for at, one in enumerate(known) if not one.is_start]
    plot.draw_points(axes, costs[others].tolist(), values[others].tolist(), "block")
    axes.step(
        [*costs[front], max(costs)],
        [*values[front], values[front[-1]]],
        where="post",
        color=plot.SECOND_COLOUR,
        label="Pareto front",
        linewidth=1.5,
    )
    plot.draw_starts(axes, costs[starts].tolist(), values[starts].tolist())
    for at, one in enumerate(known):
        if one.trial_id == best.trial_id:
            plot.draw_best(axes, float(costs[at]), float(values[at]), "best reward")
    plot.scale_flops(axes, costs)
    if sign > 0:
        plot.limit_to_most(axes, values.tolist())
    plot.chart_legend(axes, 2)
    edge = "upper" if sign > 0 else "lower"
    return plot.Chart(
        name=f"{by}-by-cost",
        title=f"What {by} costs",
        caption=f"Every block by the {words} of its network. Those on the line are the "
        f"{len(front)} that no cheaper block beats; the {edge} left edge is where one wants to be.",
        figure=figure,
        columns=("trial", cost, by, "standard_error", "on_front", "start_block"),
        rows=[
            (
                one.trial_id,
                getattr(one, cost),
                getattr(one, by),
                standard_error(one) if by == "accuracy" else None,
                int(at in front),
                int(one.is_start),
            )
            for at, one in enumerate(known)
        ],
        hovers=[
            plot.Hover(float(x), float(y), one.finished)
            for x, y, one in zip(costs, values, known, strict=True)
        ],
    )


def pareto_front(costs: np.ndarray, values: np.ndarray) -> list[int]:
    """Positions of those that none beats in both, by rising cost. Large values are good."""
    front: list[int] = []
    for at in np.lexsort((-values, costs)).tolist():
        if not front or values[at] > values[front[-1]]:
            front.append(at)
    return front


def time_chart(spans: Sequence[Span]) -> plot.Chart | None:
    """Every trial as a bar in its slot; None if there are no times."""
    if not spans:
        return None
    end = max(span.start + span.seconds for span in spans)
    _, second, unit = next((one for one in _UNITS if end >= one[0]), (0, 1, "seconds"))
    slots = max(span.slot for span in spans) + 1
    height = min(4.2, max(1.7, 1.1 + 0.24 * slots))
    figure, axes = plot.empty_chart(f"{unit} of searching", "slot", (4.3, height))
    for outcome, colour in _OUTCOMES:
        bars = [
            _bar(span.start / second, span.seconds / second, span.slot + 1)
            for span in spans
            if span.outcome == outcome
        ]
        if bars:
            axes.add_collection(
                PolyCollection(
                    bars,
                    facecolor=colour,
                    edgecolor="none" if len(spans) > _MOST_VECTOR_SPANS else plot.LINE_COLOUR,
                    linewidth=0.3,
                    alpha=0.7,
                    rasterized=len(spans) > _MOST_VECTOR_SPANS,
                )
            )
            axes.scatter([], [], marker="s", color=colour, alpha=0.7, label=outcome)
    axes.set(xlim=(0, end / second * 1.01), ylim=(slots + 0.6, 0.4))
    if slots <= 12:
        axes.set_yticks(range(1, slots + 1))
    axes.grid(visible=False, axis="y")
    plot.chart_legend(axes)
    busy = sum(span.seconds for span in spans)
    seconds = np.array([span.seconds for span in spans])
    where = f"{slots} slots were" if slots > 1 else "The one slot was"
    return plot.Chart(
        name="time-by-slot",
        title="Time by trial and slot",
        caption=f"{where} busy for {100 * busy / (end * slots):.0f} % of the time. A trial took "
        f"{np.median(seconds):.3g} s in the median and {seconds.max():.3g} s at most. Pauses of "
        "the whole search are left out.",
        figure=figure,
        columns=("trial", "slot", "start_seconds", "seconds", "outcome"),
        rows=[
            (one.trial_id, one.slot + 1, round(one.start, 3), round(one.seconds, 3), one.outcome)
            for one in spans
        ],
        hovers=[
            plot.Hover(
                (one.start + one.seconds / 2) / second,
                one.slot + 1,
                f"trial {one.trial_id}: {one.seconds:.3g} s, {one.outcome}",
            )
            for one in spans[:: max(1, len(spans) // 2_000)]
        ],
    )


def _bar(left: float, width: float, middle: float) -> list[tuple[float, float]]:
    right, top, bottom = left + width, middle - 0.38, middle + 0.38
    return [(left, top), (right, top), (right, bottom), (left, bottom)]
