"""What the agent came to prefer: the layers of its blocks by stage (the paper's Appendix B)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.kind_table import kind_of_type
from nni_blockqnn.reports import _plot as plot
from nni_blockqnn.reports._idle import IDLE_COLOUR
from nni_blockqnn.reports._labels import colour, label
from nni_blockqnn.reports._stages import StageResults

_MOST_LABELS = 6


def layer_chart(stages: Sequence[StageResults]) -> plot.Chart | None:
    """The share of each kind of layer and kernel in the blocks of each stage.

    None if there are not two stages.
    """
    if len(stages) < 2:
        return None
    counts = [Counter(_named(stage)) for stage in stages]
    kinds = sorted(set().union(*counts))
    figure, axes = plot.empty_chart("epsilon", "share of layers (%)")
    bottoms = np.zeros(len(stages))
    rows: list[plot.Row] = []
    hovers = []
    for layer_type, kernel in kinds:
        name = label(layer_type, kernel)
        shares = np.array([100 * one[layer_type, kernel] / max(1, one.total()) for one in counts])
        axes.bar(
            range(len(stages)),
            shares,
            0.78,
            bottom=bottoms,
            color=_fill(layer_type, kernel),
            edgecolor=plot.LINE_COLOUR,
            linewidth=0.4,
            label=name,
        )
        for place, (stage, share) in enumerate(zip(stages, shares.tolist(), strict=True)):
            rows.append((stage.epsilon, name, share))
            middle = float(bottoms[place]) + share / 2
            said = f"epsilon {stage.epsilon:g}: {share:.1f} % of the layers are {name}"
            hovers.append(plot.Hover(place, middle, said))
        bottoms += shares
    axes.set_xticks(range(len(stages)), [f"{stage.epsilon:g}" for stage in stages])
    axes.set_ylim(0, 100)
    axes.grid(visible=False)
    figure.legend(
        *_reversed(axes.get_legend_handles_labels()),
        loc="outside right upper",
        frameon=False,
        labelcolor=plot.LINE_COLOUR,
        fontsize=plot.SMALL_TEXT,
        handlelength=1,
    )
    return plot.Chart(
        name="layers-by-stage",
        title="Kinds of layers and kernels by stage",
        caption="What the blocks of each stage consist of. At epsilon 1 that is chance; what grows "
        "towards the right is what the agent came to prefer. Layers that pass on what they read "
        "are grey.",
        figure=figure,
        columns=("epsilon", "layer", "percent_of_layers"),
        rows=rows,
        hovers=hovers,
    )


def _fill(layer_type: int, kernel: int) -> str:
    """As in pictures of blocks, where what passes its input on is grey."""
    is_idle = kind_of_type(layer_type).passes_on(kernel)
    return IDLE_COLOUR if is_idle else colour(layer_type, kernel)


def _named(stage: StageResults) -> list[tuple[int, int]]:
    return [(layer.type, layer.kernel) for one in stage.trials for layer in one.block.layers]


def _reversed(legend: tuple[list, list]) -> tuple[list, list]:
    """As the bars lie on each other."""
    handles, labels = legend
    return handles[::-1], labels[::-1]


def shape_chart(stages: Sequence[StageResults]) -> plot.Chart | None:
    """Layers, depth, adds and concats of a block, in the mean of each stage.

    None if there are not two stages.
    """
    if len(stages) < 2:
        return None
    figure, axes = plot.empty_chart("epsilon", "mean of a block")
    rows: list[plot.Row] = []
    hovers = []
    for (name, measure), series in zip(_MEASURES.items(), plot.SERIES_COLOURS, strict=False):
        means, errors = [], []
        for place, stage in enumerate(stages):
            values = [measure(one.block) for one in stage.trials]
            mean = float(np.mean(values))
            error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if values[1:] else 0.0
            means.append(mean)
            errors.append(error)
            rows.append((stage.epsilon, name, mean, error))
            said = f"epsilon {stage.epsilon:g}: {mean:.2f} ± {error:.2f} {name} a block"
            hovers.append(plot.Hover(place, mean, said))
        axes.errorbar(
            range(len(stages)),
            means,
            yerr=errors,
            color=series,
            marker="o",
            markersize=4,
            capsize=3,
            label=name,
        )
    axes.set_xticks(range(len(stages)), [f"{stage.epsilon:g}" for stage in stages])
    axes.set_ylim(bottom=0)
    plot.chart_legend(axes, 2)
    return plot.Chart(
        name="shape-by-stage",
        title="Size and shape of blocks by stage",
        caption="Depth is the longest way from input to output. The bars are standard errors.",
        figure=figure,
        columns=("epsilon", "measure", "mean", "standard_error"),
        rows=rows,
        hovers=hovers,
    )


def depth(block: Block) -> int:
    """Layers on the longest way from the block's input to its output."""
    depths = [0]
    for layer in block.layers:
        depths.append(1 + max(depths[read] for read in layer.predecessors))
    return max(depths)


def _joins(kind: str) -> Callable[[Block], int]:
    return lambda block: sum(kind_of_type(layer.type).joins == kind for layer in block.layers)


_MEASURES: dict[str, Callable[[Block], int]] = {
    "layers": lambda block: len(block.layers),
    "layers in depth": depth,
    "adds": _joins("add"),
    "concats": _joins("concat"),
}
