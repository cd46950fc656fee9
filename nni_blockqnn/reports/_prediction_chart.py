"""What a predictor expected of each block, against what its training measured."""

from __future__ import annotations

import numpy as np

from nni_blockqnn.calibration.rank_statistics import spearman
from nni_blockqnn.reports import _plot as plot
from nni_blockqnn.results.predictions import Predictions

_LEAST = 10


def prediction_chart(found: Predictions | None) -> plot.Chart | None:
    """None if there are too few predictions to say anything."""
    if found is None or len(found.predictions) < _LEAST:
        return None
    expected = np.array([one.expected for one in found.predictions])
    measured = np.array([one.result.reward for one in found.predictions])
    figure, axes = plot.empty_chart("expected reward", "measured reward")
    starts = np.array([one.result.is_start for one in found.predictions])
    plot.draw_points(axes, expected[~starts].tolist(), measured[~starts].tolist(), "block")
    plot.draw_starts(axes, expected[starts].tolist(), measured[starts].tolist())
    low, high = float(np.quantile(expected, 0.005)), float(expected.max())
    margin = (high - low) * 0.06 or 1.0
    ends = [low - margin, high + margin]
    axes.plot(ends, ends, color=plot.RANDOM_COLOUR, linestyle="--", label="as expected")
    plot.limit_to_most(axes, measured.tolist())
    axes.set_xlim(*ends)
    plot.chart_legend(axes)
    error = float(np.sqrt(np.mean((expected - measured) ** 2)))
    spread = float(measured.std())
    rank = spearman(expected, measured)
    ranks = "" if np.isnan(rank) else f" The rank correlation is {rank:+.2f}."
    whose = (
        f"The search's predictor, {found.predictor}, fitted"
        if found.was_used
        else f"The search had no predictor: this is the built-in one, {found.predictor}, fitted"
    )
    return plot.Chart(
        name="predicted-against-measured",
        title="Predicted against measured",
        caption=f"{whose} some ten times to all results so far and asked for the next ones. Its "
        f"error (root mean square) is {error:.2f}; that of their mean would be {spread:.2f}."
        f"{ranks}",
        figure=figure,
        columns=("trial", "expected_reward", "measured_reward", "start_block"),
        rows=[
            (one.result.trial_id, one.expected, one.result.reward, int(one.result.is_start))
            for one in found.predictions
        ],
        hovers=[
            plot.Hover(one.expected, one.result.reward, one.result.finished)
            for one in found.predictions
        ],
    )
