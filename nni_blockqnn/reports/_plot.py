"""What all charts share: axes, colours, points, start blocks, the stages of epsilon."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator
from matplotlib.transforms import blended_transform_factory

LINE_COLOUR, GRID_COLOUR, SHADE_COLOUR = "#475569", "#dde3ea", "#eef2f7"
POINT_COLOUR, BEST_COLOUR, MEAN_COLOUR = "#3b82f6", "#059669", "#d97706"
START_COLOUR, SECOND_COLOUR, RANDOM_COLOUR = "#db2777", "#7c3aed", "#64748b"
SERIES_COLOURS = (POINT_COLOUR, MEAN_COLOUR, BEST_COLOUR, SECOND_COLOUR, START_COLOUR, "#0891b2")

_MOST_VECTOR_POINTS = 2_000
"""Beyond, points are stored as an image: 10,000 of them as shapes would slow the browser down."""
_SIZE = (4.3, 3.1)
"""Inches. As wide as a phone, so that the text can be read there without zooming."""
_TEXT, SMALL_TEXT = 9.5, 8.8
_MOST_STAGE_LABELS = 12

Cell = str | int | float | None
Row = tuple[Cell, ...]


class Hover(NamedTuple):
    """What a chart says of one of its points; x and y in the chart's own units.

    Attributes:
        says: a text, or the number of the trial (``finished``) of which the page has one.
    """

    x: float
    y: float
    says: str | int


class Chart(NamedTuple):
    """A figure with all that is shown or written beside it.

    Attributes:
        name: of its files, without the ending.
        title: what it shows, in a few words.
        caption: how to read it.
        columns, rows: the data that are drawn.
        hovers: what to say of points.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    columns: tuple[str, ...]
    rows: Sequence[Row]
    hovers: Sequence[Hover] = ()


class Stage(NamedTuple):
    """A stretch of a chart's x axis with one epsilon."""

    start: float
    end: float
    epsilon: float


def empty_chart(
    x_label: str, y_label: str, size: tuple[float, float] = _SIZE
) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.set_xlabel(x_label, color=LINE_COLOUR, fontsize=_TEXT)
    axes.set_ylabel(y_label, color=LINE_COLOUR, fontsize=_TEXT)
    axes.tick_params(which="both", color=LINE_COLOUR, labelcolor=LINE_COLOUR, labelsize=_TEXT)
    axes.grid(color=GRID_COLOUR, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LINE_COLOUR)
    return figure, axes


def whole_numbers(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))


def draw_points(
    axes: Axes, xs: Sequence[float], ys: Sequence[float], name: str, colour: str = POINT_COLOUR
) -> None:
    many = len(xs) > _MOST_VECTOR_POINTS
    size, alpha = (4, 0.4) if many else (17, 0.7)
    axes.scatter(
        xs, ys, s=size, alpha=alpha, color=colour, linewidth=0, label=name, rasterized=many
    )


def draw_starts(axes: Axes, xs: Sequence[float], ys: Sequence[float]) -> None:
    """The start blocks: diamonds, over all else."""
    if len(xs):
        axes.scatter(
            xs, ys, s=34, marker="D", color=START_COLOUR, linewidth=0, label="start block", zorder=4
        )


def draw_best(axes: Axes, x: float, y: float, label: str) -> None:
    axes.scatter(
        [x], [y], s=75, facecolor="none", edgecolor=BEST_COLOUR, linewidth=2, label=label, zorder=5
    )


def draw_stages(axes: Axes, stages: Sequence[Stage]) -> None:
    """Every other stage shaded, the epsilon of each over it."""
    if len(stages) < 2:
        return
    place = blended_transform_factory(axes.transData, axes.transAxes)
    every = -(-len(stages) // _MOST_STAGE_LABELS)
    for number, stage in enumerate(stages):
        if number % 2 == 0:
            axes.axvspan(stage.start, stage.end, color=SHADE_COLOUR, linewidth=0, zorder=0)
        if number % every == 0:
            text = f"ε {stage.epsilon:g}" if number == 0 else f"{stage.epsilon:g}"
            middle = (stage.start + stage.end) / 2
            axes.text(
                middle,
                1.0,
                text,
                transform=place,
                ha="center",
                va="bottom",
                fontsize=SMALL_TEXT,
                color=LINE_COLOUR,
            )
    axes.set_xlim(stages[0].start, stages[-1].end)


def chart_legend(axes: Axes, columns: int = 3, *, above_stages: bool = False) -> None:
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.02, 1.06 if above_stages else 1.0),
            ncols=columns,
            frameon=False,
            labelcolor=LINE_COLOUR,
            fontsize=SMALL_TEXT,
            borderaxespad=0.2,
            columnspacing=1.2,
            handletextpad=0.4,
            handlelength=1.5,
        )


def mark_below(axes: Axes, xs: Sequence[float], ys: Sequence[float]) -> None:
    """Where :func:`limit_to_most` has left points out, a mark on the edge for each."""
    bottom = axes.get_ylim()[0]
    below = [x for x, y in zip(xs, ys, strict=True) if y < bottom]
    if below:
        axes.scatter(
            below,
            [bottom] * len(below),
            s=16,
            marker="v",
            color=POINT_COLOUR,
            linewidth=0,
            clip_on=False,
            zorder=4,
            label="below",
        )


def scale_flops(axes: Axes, flops: np.ndarray) -> None:
    """A logarithmic axis where the costs differ much, and its numbers as "12M"."""
    if max(flops) > 10 * min(flops):  # else there might be no power of ten to mark on the axis
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter("")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def limit_to_most(axes: Axes, values: Iterable[float], share: float = 0.05) -> int:
    """Leave a few values out of the y axis that are so far below that they press all others flat.

    Args:
        share: of the values that may be left out.

    Returns:
        How many are left out.
    """
    known = np.sort(np.asarray([*values], dtype=float))
    if len(known) < 20:
        return 0
    usual, highest = float(np.quantile(known, share)), float(known[-1])
    far_below = known < usual - (highest - usual) / 2
    if not far_below.any():
        return 0
    lowest = float(known[~far_below][0])
    margin = (highest - lowest) * 0.06
    axes.set_ylim(lowest - margin, highest + margin)
    return int(far_below.sum())
