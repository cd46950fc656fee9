"""The numbers behind the charts of a search's report."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_blocks import BRANCHES, ONE_LAYER, RESIDUAL
from made_results import search, trial
from matplotlib.collections import PolyCollection

from nni_blockqnn.commands.report import page_and_figures
from nni_blockqnn.reports import _plot as plot
from nni_blockqnn.reports._best_chart import best_chart
from nni_blockqnn.reports._cost_charts import pareto_chart, pareto_front, time_chart
from nni_blockqnn.reports._course_charts import course_chart
from nni_blockqnn.reports._expectation import best_five_so_far, random_expectation
from nni_blockqnn.reports._files import write_chart
from nni_blockqnn.reports._inline import hover_json, inline_svg, json_in_page
from nni_blockqnn.reports._prediction_chart import prediction_chart
from nni_blockqnn.reports._preference_charts import depth, layer_chart, shape_chart
from nni_blockqnn.reports._stage_chart import stage_chart
from nni_blockqnn.reports._stages import (
    Course,
    StageResults,
    accuracy_text,
    median_result,
    standard_error,
)
from nni_blockqnn.reports.report import write_report
from nni_blockqnn.results.predictions import Prediction, Predictions
from nni_blockqnn.results.slots import Span


def course(accuracies: list[float], epsilons: dict[int, float], step: int | None = 2) -> Course:
    trials = [trial(n, ONE_LAYER, 2 * one, one) for n, one in enumerate(accuracies)]
    return Course.of(trials[::-1], epsilons, step, minimize=False)


def validated(accuracy: float, images: Any) -> Any:
    return trial(0, ONE_LAYER, 0.0, accuracy, metric={"validation_images": images})


@pytest.mark.parametrize(
    ("accuracy", "images", "error"),
    [
        (90.0, 100, 3.0),  # sqrt(0.9 * 0.1 / 100)
        (50.0, 400, 2.5),
        (100.0, 50, 1.4071),  # half an image of 50 is 1 %: sqrt(0.01 * 0.99 / 50)
        (0.0, 50, 1.4071),
        (90.0, None, None),
        (90.0, 0, None),
        (90.0, "many", None),
    ],
)
def test_standard_errors_by_hand(accuracy: float, images: Any, error: float | None) -> None:
    found = standard_error(validated(accuracy, images))
    assert found == (None if error is None else pytest.approx(error, abs=1e-4))


def test_an_accuracy_is_written_with_its_standard_error() -> None:
    assert accuracy_text(validated(90.0, 100)) == "90.00 ± 3.0 %"
    assert accuracy_text(validated(90.0, None)) == "90.00 %"
    assert accuracy_text(replace(validated(90.0, 100), accuracy=None)) == "–"


def test_the_course_goes_in_the_order_in_which_blocks_were_handed_out() -> None:
    found = course([10.0, 30.0, 20.0, 40.0, 0.0], {0: 1.0, 1: 1.0, 2: 1.0, 3: 0.1, 4: 0.1})
    chart = course_chart(found, "accuracy")
    assert chart is not None
    assert [row[:2] for row in chart.rows] == [(0, 0), (0.5, 1), (1, 2), (1.5, 3), (2, 4)]
    assert [row[3] for row in chart.rows] == [10.0, 30.0, 20.0, 40.0, 0.0]
    (mean,) = (line for line in chart.figure.axes[0].lines if "mean" in str(line.get_label()))
    assert list(mean.get_ydata()) == [20.0, 30.0, 0.0]
    assert found.spans == [plot.Stage(0, 1.5, 1.0), plot.Stage(1.5, 2.5, 0.1)]
    rewards = course_chart(found, "reward")
    assert rewards is not None
    assert [row[3] for row in rewards.rows] == [20.0, 60.0, 40.0, 80.0, 0.0]


def test_blocks_far_below_the_others_are_marked_on_the_edge() -> None:
    chart = course_chart(course([10.0, *np.linspace(90, 95, 39)], {}, step=8), "accuracy")
    assert chart is not None
    axes = chart.figure.axes[0]
    (marks,) = (one for one in axes.collections if one.get_label() == "below")
    assert marks.get_offsets().tolist() == [[0.0, axes.get_ylim()[0]]]  # type: ignore[union-attr]
    assert " 1 block lies below the axis" in chart.caption


def test_start_blocks_stand_apart_from_means_and_stages() -> None:
    trials = [trial(n, ONE_LAYER, one, one) for n, one in enumerate([90.0, 10.0, 30.0])]
    trials[0] = replace(trials[0], is_start=True)
    found = Course.of(trials, dict.fromkeys(range(3), 1.0), 4, minimize=False)
    chart = course_chart(found, "accuracy")
    assert chart is not None
    (mean,) = (line for line in chart.figure.axes[0].lines if "mean" in str(line.get_label()))
    assert list(mean.get_ydata()) == [20.0]
    assert [len(stage.trials) for stage in found.stages] == [2]
    labels = chart.figure.axes[0].get_legend_handles_labels()[1]
    assert "start block" in labels


def test_without_iterations_the_course_is_in_twenty_parts() -> None:
    chart = course_chart(course([50.0] * 60, {}, step=None), "accuracy")
    assert chart is not None
    assert chart.figure.axes[0].get_xlabel() == "part of the search (3 blocks each)"


def test_the_quartiles_of_stages() -> None:
    stages = course([10.0, 20.0, 30.0, 40.0, 50.0, 7.0, 9.0], dict.fromkeys(range(5), 1.0)
                    | {5: 0.1, 6: 0.1}).stages  # fmt: skip
    chart = stage_chart(stages, "accuracy")
    assert chart is not None
    error = float(np.std([10, 20, 30, 40, 50], ddof=1) / 5**0.5)
    assert chart.rows[0] == (1.0, 5, 20.0, 30.0, 40.0, 30.0, pytest.approx(error))
    assert chart.rows[1][:4] == (0.1, 2, 7.5, 8.0)
    assert stage_chart(stages[:1], "accuracy") is None
    assert median_result(stages[0].trials).accuracy == 30.0
    assert median_result(stages[1].trials).accuracy == 7.0  # the lower of two


def test_random_search_by_hand() -> None:
    found = random_expectation([4.0, 1.0, 3.0, 2.0], [1, 2, 50])
    # of two draws the best is k with a chance of (k^2 - (k-1)^2) / 16
    assert found.best == pytest.approx([2.5, (1 + 2 * 3 + 3 * 5 + 4 * 7) / 16, 4.0], abs=1e-4)
    # of fewer draws than five, the mean of all
    assert found.five[:2] == pytest.approx([2.5, 2.5])
    assert found.five[2] == pytest.approx(4.0, abs=1e-2)
    assert (found.low[0], found.high[0]) == (1.0, 4.0)
    assert found.low[2] == 4.0


def test_random_search_agrees_with_draws() -> None:
    rng = np.random.default_rng(0)
    sample = rng.normal(size=40)
    draws = np.sort(rng.choice(sample, (40_000, 12)), axis=1)[:, ::-1]
    found = random_expectation(list(sample), [12])
    assert found.best[0] == pytest.approx(draws[:, 0].mean(), abs=0.02)
    assert found.five[0] == pytest.approx(draws[:, :5].mean(), abs=0.02)
    assert found.low[0] == pytest.approx(np.quantile(draws[:, 0], 0.1), abs=1e-9)
    assert found.high[0] == pytest.approx(np.quantile(draws[:, 0], 0.9), abs=1e-9)


def test_the_best_five_so_far() -> None:
    best, five = best_five_so_far([1.0, 5.0, 2.0, 3.0, 4.0, 6.0])
    assert list(best) == [1, 5, 5, 5, 5, 6]
    assert list(five) == pytest.approx([1, 3, 8 / 3, 11 / 4, 3, 4])


@pytest.mark.parametrize("minimize", [False, True])
def test_the_best_is_the_smallest_where_the_search_minimizes(minimize: bool) -> None:
    trials = [trial(n, ONE_LAYER, one, 0.0) for n, one in enumerate([3.0, 1.0, 2.0, 5.0])]
    chart = best_chart(trials, "reward", set(), minimize)
    assert chart is not None
    expected = [3.0, 1.0, 1.0, 1.0] if minimize else [3.0, 3.0, 3.0, 5.0]
    assert [row[1] for row in chart.rows] == expected
    assert "random" not in chart.caption


def test_random_search_is_drawn_from_the_random_blocks_alone() -> None:
    trials = [trial(n, ONE_LAYER, 0.0, float(one)) for n, one in enumerate([*[50] * 10, 90, 90])]
    chart = best_chart(trials, "accuracy", set(range(10)), minimize=False)
    assert chart is not None
    assert all(row[3:] == pytest.approx((50.0,) * 4) for row in chart.rows)
    assert len(chart.rows) == 12
    assert best_chart(trials, "accuracy", set(range(7)), False).rows[0][3] is None  # type: ignore[union-attr]


def test_the_pareto_front() -> None:
    costs = np.array([3.0, 1.0, 2.0, 2.0, 4.0, 1.0])
    values = np.array([9.0, 5.0, 7.0, 6.0, 9.0, 4.0])
    assert pareto_front(costs, values) == [1, 2, 0]


def test_the_pareto_chart_takes_parameters_where_flops_are_unknown() -> None:
    trials = [trial(n, ONE_LAYER, 1.0, 50.0 + n, flops=None, params=10 * n) for n in (1, 2)]
    chart = pareto_chart(trials, trials[0], "accuracy", minimize=False)
    assert chart is not None
    assert chart.columns[1] == "params"
    assert [row[4] for row in chart.rows] == [1, 1]
    silent = [replace(one, params=None) for one in trials]
    assert pareto_chart(silent, silent[0], "accuracy", minimize=False) is None


def test_every_trial_is_a_bar_in_its_slot() -> None:
    spans = [Span("a", 0, 0.0, 60.0, "result"), Span("b", 1, 30.0, 150.0, "failed")]
    chart = time_chart(spans)
    assert chart is not None
    bars = [one for one in chart.figure.axes[0].collections if isinstance(one, PolyCollection)]
    extents = [bar.get_paths()[0].get_extents() for bar in bars]
    assert [(e.x0, e.x1, round((e.y0 + e.y1) / 2)) for e in extents] == [(0, 1, 1), (0.5, 3, 2)]
    assert chart.figure.axes[0].get_xlabel() == "minutes of searching"
    assert "busy for 58 % of the time" in chart.caption  # 210 of 360 s
    assert time_chart([]) is None


def test_what_the_agent_prefers_is_counted_by_stage() -> None:
    stages = [
        StageResults(1.0, [trial(0, RESIDUAL, 0.0, 0.0)]),
        StageResults(0.1, [trial(1, ONE_LAYER, 0.0, 0.0), trial(2, BRANCHES, 0.0, 0.0)]),
    ]
    layers, shapes = layer_chart(stages), shape_chart(stages)
    assert layers is not None
    assert shapes is not None
    shares = {row[:2]: row[2] for row in layers.rows}
    assert shares[1.0, "3×3 conv"] == 50.0
    assert shares[1.0, "identity"] == 25.0
    assert shares[0.1, "concat"] == 20.0  # 2 of 10 layers
    assert sum(float(share or 0) for (epsilon, _), share in shares.items() if epsilon == 1.0) == 100
    means = {row[:2]: row[2] for row in shapes.rows}
    assert means[1.0, "adds"] == 1
    assert means[0.1, "layers"] == 5.0
    assert means[0.1, "concats"] == 1.0
    assert (depth(RESIDUAL), depth(BRANCHES), depth(ONE_LAYER)) == (4, 5, 1)
    assert layer_chart(stages[:1]) is None


def test_the_predictors_error() -> None:
    trials = [trial(n, ONE_LAYER, float(n), 0.0) for n in range(12)]
    found = Predictions("wl", True, [Prediction(one, one.reward + 3.0) for one in trials])
    chart = prediction_chart(found)
    assert chart is not None
    assert "root mean square) is 3.00" in chart.caption
    assert "rank correlation is +1.00" in chart.caption
    assert "The search's predictor, wl" in chart.caption
    assert prediction_chart(found._replace(predictions=found.predictions[:9])) is None
    unused = prediction_chart(found._replace(was_used=False))
    assert unused is not None
    assert "had no predictor" in unused.caption


def test_points_are_where_the_figure_draws_them() -> None:
    figure, axes = plot.empty_chart("x", "y")
    axes.set(xlim=(0, 10), ylim=(0, 10))
    hovers = [plot.Hover(0, 0, "</script>"), plot.Hover(10, 10, 7), plot.Hover(1e6, 0, "outside")]
    svg = inline_svg(figure, 'a "quoted" <figure>')
    text = hover_json(figure, hovers)
    assert "</script>" not in text
    (left, bottom, said), (right, top, number) = json.loads(text)
    place = axes.get_position()
    assert (left, right) == pytest.approx((1000 * place.x0, 1000 * place.x1), abs=0.1)
    assert (bottom, top) == pytest.approx((1000 - 1000 * place.y0, 1000 - 1000 * place.y1), abs=0.1)
    assert (said, number) == ("</script>", 7)
    assert 'aria-label="a &#34;quoted&#34; &lt;figure&gt;"' in svg
    assert "var(--line)" in svg
    assert plot.LINE_COLOUR not in svg
    assert json.loads(json_in_page(["a & b"])) == ["a & b"]


def test_a_few_very_bad_values_do_not_press_the_others_flat() -> None:
    _, axes = plot.empty_chart("x", "y")
    assert plot.limit_to_most(axes, [10.0, *np.linspace(90, 95, 39)]) == 1
    assert axes.get_ylim()[0] > 85
    assert plot.limit_to_most(axes, list(np.linspace(0, 95, 40))) == 0
    assert plot.limit_to_most(axes, [50.0] * 40) == 0


def test_a_chart_is_written_with_its_data(tmp_path: Path) -> None:
    figure, _ = plot.empty_chart("x", "y")
    chart = plot.Chart("name", "Title", "", figure, ("a", "b"), [(1, "x, y"), (None, 2.5)])
    write_chart(chart, tmp_path / "new")
    assert {file.name for file in (tmp_path / "new").iterdir()} == {
        "name.svg",
        "name.png",
        "name.csv",
    }
    with (tmp_path / "new" / "name.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["a", "b"], ["1", "x, y"], ["", "2.5"]]


def test_a_name_that_ends_in_html_is_of_the_page_alone(tmp_path: Path) -> None:
    assert page_and_figures(tmp_path / "a.html") == (tmp_path / "a.html", None)
    folder = tmp_path / "made" / "here"
    assert page_and_figures(folder) == (folder / "report.html", folder / "figures")
    assert folder.is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file: -o takes a folder"):
        page_and_figures(tmp_path / "file")


@pytest.mark.slow
def test_all_figures_are_on_the_page_and_in_the_folder(tmp_path: Path) -> None:
    blocks = (ONE_LAYER, RESIDUAL, BRANCHES)
    trials = [trial(n, blocks[n % 3], 50.0 + n, 60.0 + n) for n in range(8)]
    epsilons = {n: 1.0 if n < 4 else 0.1 for n in range(8)}
    page = tmp_path / "report.html"
    write_report(search(*trials), page, epsilon_by_episode=epsilons, figures=tmp_path / "figures")
    text = page.read_text(encoding="utf-8")
    names = [
        "accuracy-by-iteration",
        "reward-by-iteration",
        "best-so-far",
        "accuracy-by-stage",
        "layers-by-stage",
        "shape-by-stage",
        "accuracy-by-cost",
    ]
    for name in names:
        assert f'<figure id="{name}">' in text
    written = {file.name for file in (tmp_path / "figures").iterdir()}
    blocks_written = ["best-block", "median-block-epsilon-1", "median-block-epsilon-0.1"]
    assert written == {
        *(f"{name}.{ending}" for name in names for ending in ("svg", "png", "csv")),
        *(f"{name}.{e}" for name in blocks_written for e in ("svg", "png", "tex", "csv")),
        "results.csv",
    }
