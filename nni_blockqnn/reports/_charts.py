"""The curves of a search's report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from nni_blockqnn.reports.drawing import LINE_COLOUR
from nni_blockqnn.results.experiment import TrialResult

GRID_COLOUR = "#dde3ea"
POINT_COLOUR, BEST_COLOUR, MEAN_COLOUR = "#3b82f6", "#059669", "#d97706"
_MOST_VECTOR_POINTS = 2_000
"""Beyond, points are stored as an image: 10,000 of them as shapes would slow the browser down."""


class Scores(NamedTuple):
    """What a search's charts show of its trials, and how their axis is called.

    Attributes:
        trials: those that reported it.
        values: theirs.
        minimize: whether a smaller one is better.
    """

    trials: list[TrialResult]
    values: list[float]
    name: str
    minimize: bool = False


def scores(trials: Sequence[TrialResult], minimize: bool = False) -> Scores:
    """The accuracies, or the rewards if no trial reported an accuracy.

    Args:
        minimize: whether a smaller reward is better.
    """
    known = [(trial, trial.accuracy) for trial in trials if trial.accuracy is not None]
    if known:
        measured, accuracies = map(list, zip(*known, strict=True))
        return Scores(measured, accuracies, "early-stop accuracy (%)")
    return Scores([*trials], [trial.reward for trial in trials], "reward", minimize)


def progress_chart(shown: Scores) -> Figure:
    """The score of each trial, the best so far and the moving mean, in order of the results."""
    trials = shown.trials
    figure, axes = empty_chart("trial, in the order of the results", shown.name)
    order = np.arange(1, len(trials) + 1)
    accuracy = np.array(shown.values)
    _scatter(axes, order, accuracy, "a trial")
    best = np.minimum.accumulate if shown.minimize else np.maximum.accumulate
    axes.step(order, best(accuracy), where="post", color=BEST_COLOUR, label="best so far")
    window = mean_window(len(trials))
    mean = np.convolve(accuracy, np.ones(window) / window, mode="valid")
    axes.plot(order[window - 1 :], mean, color=MEAN_COLOUR, label=f"mean of {window}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    chart_legend(axes)
    return figure


def mean_window(trials: int) -> int:
    """A twentieth of the trials, but at least 5 as far as there are so many."""
    return min(trials, max(5, trials // 20))


def stage_chart(stages: Mapping[float, Sequence[float]], name: str) -> Figure:
    """Mean score at each epsilon, from exploration to exploitation, with the range of each.

    Args:
        name: of the score, for the axis.
    """
    figure, axes = empty_chart("epsilon (trials)", name)
    epsilons = sorted(stages, reverse=True)
    places = np.arange(len(epsilons))
    means = [float(np.mean(stages[epsilon])) for epsilon in epsilons]
    lowest = [min(stages[epsilon]) for epsilon in epsilons]
    highest = [max(stages[epsilon]) for epsilon in epsilons]
    axes.vlines(places, lowest, highest, color=POINT_COLOUR, alpha=0.35, linewidth=3, label="range")
    axes.plot(places, means, color=MEAN_COLOUR, marker="o", label="mean")
    labels = [f"{epsilon:g}\n({len(stages[epsilon])})" for epsilon in epsilons]
    axes.set_xticks(places, labels)
    chart_legend(axes)
    return figure


def scores_by_epsilon(
    shown: Scores, epsilon_by_episode: Mapping[int, float]
) -> dict[float, list[float]]:
    """The scores of the trials at each epsilon; episodes of unknown epsilon are left out."""
    stages: dict[float, list[float]] = defaultdict(list)
    for trial, value in zip(shown.trials, shown.values, strict=True):
        if trial.episode in epsilon_by_episode:
            stages[epsilon_by_episode[trial.episode]].append(value)
    return dict(stages)


def cost_chart(shown: Scores, best: TrialResult) -> Figure | None:
    """The score against FLOPs, the best block marked; None if no trial reported its FLOPs."""
    points = [
        (float(trial.flops), value, trial.trial_id == best.trial_id)
        for trial, value in zip(shown.trials, shown.values, strict=True)
        if trial.flops is not None
    ]
    if not points:
        return None
    figure, axes = empty_chart("FLOPs of the network (multiply-accumulates)", shown.name)
    flops = np.array([cost for cost, _, _ in points])
    _scatter(axes, flops, np.array([value for _, value, _ in points]), "a trial")
    axes.scatter(
        [cost for cost, _, is_best in points if is_best],
        [value for _, value, is_best in points if is_best],
        s=70,
        facecolor="none",
        edgecolor=BEST_COLOUR,
        linewidth=2,
        label="best reward",
        zorder=3,
    )
    scale_flops(axes, flops)
    chart_legend(axes)
    return figure


def scale_flops(axes: Axes, flops: np.ndarray) -> None:
    """A logarithmic axis where the costs differ much, and its numbers as "12M"."""
    if max(flops) > 10 * min(flops):  # else there might be no power of ten to mark on the axis
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter("")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def empty_chart(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.set_xlabel(x_label, color=LINE_COLOUR)
    axes.set_ylabel(y_label, color=LINE_COLOUR)
    axes.tick_params(which="both", color=LINE_COLOUR, labelcolor=LINE_COLOUR, labelsize=9)
    axes.grid(color=GRID_COLOUR, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LINE_COLOUR)
    return figure, axes


def _scatter(axes: Axes, xs: np.ndarray, ys: np.ndarray, name: str) -> None:
    many = len(xs) > _MOST_VECTOR_POINTS
    size, alpha = (4, 0.3) if many else (14, 0.6)
    axes.scatter(
        xs, ys, s=size, alpha=alpha, color=POINT_COLOUR, linewidth=0, label=name, rasterized=many
    )


def chart_legend(axes: Axes) -> None:
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=3,
        frameon=False,
        labelcolor=LINE_COLOUR,
        fontsize=9,
    )
