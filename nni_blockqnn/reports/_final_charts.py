"""The curves of the report of a final training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from nni_blockqnn.blocks.named import name_of
from nni_blockqnn.reports._plot import (
    BEST_COLOUR,
    LINE_COLOUR,
    MEAN_COLOUR,
    POINT_COLOUR,
    SECOND_COLOUR,
    START_COLOUR,
    Chart,
    Hover,
    chart_legend,
    empty_chart,
    scale_flops,
    whole_numbers,
)
from nni_blockqnn.reports._stages import accuracy_text, standard_error
from nni_blockqnn.results.experiment import TrialResult
from nni_blockqnn.results.finalists import Curve

_BEST_COLOURS = (BEST_COLOUR, POINT_COLOUR, SECOND_COLOUR, START_COLOUR, "#0891b2")
_OTHERS = "#94a3b8"


class LearningCurve(NamedTuple):
    """The learning curve of one training.

    Attributes:
        place: its rank, from 1; None if the training has no result.
        name: of a hand-made block, else None.
    """

    curve: Curve
    place: int | None
    name: str | None


def accuracy_chart(ranked: Sequence[TrialResult], accuracy_name: str) -> Chart | None:
    """Accuracy against FLOPs, best first; the best block and the hand-made ones marked.

    None if no trial reported both.

    Args:
        accuracy_name: for the axis.
    """
    points = [
        (float(result.flops), result.accuracy, name_of(result.block))
        for result in ranked
        if result.flops is not None and result.accuracy is not None
    ]
    if not points:
        return None
    known = [one for one in ranked if one.flops is not None and one.accuracy is not None]
    figure, axes = empty_chart("FLOPs of the network (multiply-accumulates)", accuracy_name)
    flops = np.array([cost for cost, _, _ in points])
    accuracy = np.array([value for _, value, _ in points])
    names = [name for _, _, name in points]
    is_named = np.array([name is not None for name in names])
    for chosen, colour, marker, label in (
        (~is_named, POINT_COLOUR, "o", "found by the search"),
        (is_named, MEAN_COLOUR, "D", "made by hand (Fig. 2)"),
    ):
        if chosen.any():
            axes.scatter(
                flops[chosen], accuracy[chosen], s=26, color=colour, marker=marker, label=label
            )
    axes.scatter(
        flops[:1],
        accuracy[:1],
        s=95,
        facecolor="none",
        edgecolor=BEST_COLOUR,
        linewidth=2,
        label="the best",
    )
    for x, y, name in zip(flops, accuracy, names, strict=True):
        if name is not None:
            _write_beside(axes, x, y, name)
    scale_flops(axes, flops)
    chart_legend(axes, 2)
    return Chart(
        name="accuracy-by-cost",
        title="What accuracy costs",
        caption="Every finalist by the FLOPs of its network. The upper left edge is where one "
        "wants to be.",
        figure=figure,
        columns=("trial", "name", "flops", "accuracy", "standard_error"),
        rows=[
            (one.trial_id, name, one.flops, one.accuracy, standard_error(one))
            for one, name in zip(known, names, strict=True)
        ],
        hovers=[
            Hover(float(x), float(y), f"{name or f'trial {one.trial_id}'}, {accuracy_text(one)}")
            for x, y, one, name in zip(flops, accuracy, known, names, strict=True)
        ],
    )


def _write_beside(axes: Axes, x: float, y: float, name: str) -> None:
    axes.annotate(
        name,
        (x, y),
        xytext=(-9, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=9,
        color=LINE_COLOUR,
    )


def curves_chart(curves: Sequence[LearningCurve], accuracy_name: str) -> Chart:
    """Accuracy after each epoch: the best five in colours, hand-made blocks dashed, others grey."""
    figure, axes = empty_chart("epoch", accuracy_name)
    places = {one.place for one in curves}
    for one in curves:
        is_best = one.place is not None and one.place <= len(_BEST_COLOURS)
        epochs, accuracy = zip(*one.curve, strict=True)
        label = f"{one.place}{f' {one.name}' if one.name else ''}"
        axes.plot(
            epochs,
            accuracy,
            color=_BEST_COLOURS[one.place - 1] if is_best and one.place else _OTHERS,
            linestyle="--" if one.name else "-",
            linewidth=1.4 if is_best or one.name else 0.9,
            zorder=3 if is_best else 2,
            marker="." if len(epochs) == 1 else None,
            label=label if is_best or (one.name and one.place) else None,
        )
        if one.place is None:
            axes.plot(epochs[-1:], accuracy[-1:], color=_OTHERS, marker="x", markersize=5)
    if None in places:
        axes.plot([], [], color=_OTHERS, marker="x", markersize=5, label="ended early")
    whole_numbers(axes)
    chart_legend(axes, 4)
    return Chart(
        name="learning-curves",
        title="Accuracy after each epoch",
        caption="With the places of the best; hand-made blocks are dashed.",
        figure=figure,
        columns=("place", "name", "epoch", "accuracy"),
        rows=[(one.place, one.name, *point) for one in curves for point in one.curve],
        hovers=[
            Hover(epoch, value, f"{one.name or f'place {one.place}'}, epoch {epoch}: {value:.2f} %")
            for one in curves
            if one.place is not None and one.place <= len(_BEST_COLOURS)
            for epoch, value in one.curve[:: max(1, len(one.curve) // 100)]
        ],
    )
