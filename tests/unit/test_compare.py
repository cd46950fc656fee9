"""Several searches in one page."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_blocks import BRANCHES, ONE_LAYER
from drawn_blocks import RESIDUAL as RESIDUAL_BLOCK
from made_experiments import ONE_CONV, RESIDUAL, final, make_experiment, write_list
from made_results import chart_stub, search, trial

from nni_blockqnn.cli import main
from nni_blockqnn.reports._compare_charts import best_curve, final_chart, fronts_chart
from nni_blockqnn.reports.comparison import write_comparison
from nni_blockqnn.results.experiment import Results
from nni_blockqnn.results.groups import group_searches

TUNER = "nni_blockqnn.tuner.BlockQNNTuner"


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr("nni_blockqnn.reports._page.drawn", chart_stub)


def searched(
    name: str, accuracies: list[float], own_id: str = "", class_args: Any = None, **config: Any
) -> Results:
    blocks = (ONE_LAYER, RESIDUAL_BLOCK, BRANCHES)
    trials = [trial(n, blocks[n % 3], one, one) for n, one in enumerate(accuracies)]
    results = search(*trials)
    tuner = {"className": TUNER, "classArgs": class_args or {}}
    experiment = replace(
        results.experiment,
        id=own_id or name,
        name=name,
        config=results.experiment.config | {"tuner": tuner} | config,
    )
    return replace(results, experiment=experiment)


def counted(results: Results) -> list[float]:
    return [float(n) for n in range(1, len(results.trials) + 1)]


def test_searches_that_differ_in_seed_and_name_alone_are_one_configuration() -> None:
    groups = group_searches(
        [
            searched("first", [1.0], class_args={"seed": 1}),
            searched("second", [1.0], class_args={"seed": 2}, trialConcurrency=4),
            searched("first", [1.0], "c", class_args={"seed": 1, "preset": "paper"}),
        ]
    )
    assert [len(group.searches) for group in groups] == [2, 1]
    assert groups[0].seeds == (1, 2)
    assert [group.name for group in groups] == ["first (preset not given)", "first (preset paper)"]
    assert groups[1].settings == {"tuner.classArgs.preset": "paper"}


def test_a_curve_is_the_mean_of_the_best_so_far_as_far_as_the_shortest_goes() -> None:
    curve = best_curve(
        [searched("a", [10.0, 30.0, 20.0, 50.0]), searched("b", [20.0, 10.0, 40.0])],
        "accuracy",
        minimize=False,
        x_of=counted,
    )
    assert curve is not None
    assert list(curve.at) == [1, 2, 3]
    assert list(curve.mean) == [15.0, 25.0, 35.0]
    errors = [np.std(pair, ddof=1) / 2**0.5 for pair in ((10, 20), (30, 20), (30, 40))]
    assert curve.error == pytest.approx(errors)
    (low,) = best_curve([searched("a", [3.0, 1.0])], "reward", True, counted).mean[-1:]  # type: ignore[union-attr]
    assert low == 1.0
    assert best_curve([searched("a", [])], "accuracy", False, counted) is None


def test_a_curve_over_time_steps_at_each_searchs_own_times() -> None:
    times = {"a": [1.0, 4.0], "b": [2.0, 3.0]}
    curve = best_curve(
        [searched("a", [10.0, 20.0]), searched("b", [30.0, 40.0])],
        "accuracy",
        minimize=False,
        x_of=lambda results: times[results.experiment.id],
    )
    assert curve is not None
    assert list(curve.at) == [2.0, 3.0]
    assert list(curve.mean) == [20.0, 25.0]


def test_early_and_final_accuracies_of_the_same_network_are_paired() -> None:
    groups = group_searches([searched("a", [50.0, 60.0, 70.0])])
    finals = {
        (block.key, 4): trial(9, block, 0.0, accuracy, trial_id=f"final{accuracy:g}")
        for block, accuracy in ((ONE_LAYER, 80.0), (BRANCHES, 90.0))
    }
    chart = final_chart(groups, finals)
    assert chart is not None
    assert [(row[3], row[5]) for row in chart.rows] == [(50.0, 80.0), (70.0, 90.0)]
    assert "Spearman) is +1.00" in chart.caption
    others = {(key, 1): one for (key, _), one in finals.items()}  # of another N
    assert final_chart(groups, others) is None


def test_the_fronts_of_each_configuration() -> None:
    groups = group_searches(
        [searched("a", [50.0, 40.0, 70.0]), searched("b", [10.0, 20.0], preset=1)]
    )
    chart = fronts_chart(groups, "accuracy", minimize=False)
    assert chart is not None
    assert [(row[0], row[3]) for row in chart.rows] == [
        ("a", 50.0), ("a", 70.0), ("b", 10.0), ("b", 20.0),
    ]  # fmt: skip


def test_the_page_names_searches_costs_and_what_differs(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    write_comparison(
        [
            searched("one <b>", [50.0, 60.0], "id1", {"seed": 1}),
            searched("one <b>", [50.0, 70.0], "id2", {"seed": 2}),
            searched("two", [40.0], "id3", {"agent": "random"}),
        ],
        page,
    )
    text = page.read_text(encoding="utf-8")
    assert "one <b>" not in text
    text = html.unescape(text)
    assert "65.00 ± 5.00 %" in text  # of 60 and 70
    assert re.findall(r'data-label="ID">(\w+)<', text) == ["id1", "id2", "id3"]
    assert "tuner.classArgs.agent" in text
    assert "2 h 5 min" in text
    assert RESIDUAL_BLOCK.to_json() in text


def test_rewards_to_maximize_and_to_minimize_cannot_be_compared(tmp_path: Path) -> None:
    other = searched("b", [1.0], class_args={"optimize_mode": "minimize"})
    with pytest.raises(ValueError, match="some of these searches minimize"):
        write_comparison([searched("a", [1.0]), other], tmp_path / "page.html")


def test_a_search_without_results_is_listed(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    write_comparison([searched("a", [1.0]), searched("b", [], x=1)], page)
    assert "No results yet" in page.read_text()


def test_the_command_compares_and_refuses_what_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    home = tmp_path / "nni-experiments"
    for own_id in ("aaaa1111", "bbbb2222"):
        finals = [("t1", final(episode=1)), ("t2", final(episode=2, block=ONE_CONV))]
        config = {"tuner": {"className": TUNER}, "searchSpace": {"block": {"_type": "nsc"}}}
        make_experiment(home, own_id, finals=finals, config=config)
    final_config = {
        "searchSpace": {"block": {"_type": "choice", "_value": [RESIDUAL, ONE_CONV]}},
        "trialCommand": "python -m nni_blockqnn.trial --recipe final",
    }
    ends = [("f1", final(accuracy=90.0)), ("f2", final(block=ONE_CONV, accuracy=80.0))]
    make_experiment(home, "ffff3333", finals=ends, config=final_config)
    write_list(home, **{i: {"status": "STOPPED"} for i in ("aaaa1111", "bbbb2222", "ffff3333")})
    page = tmp_path / "page.html"
    assert main(["compare", "aaaa1111", "bbbb2222", "ffff", "-o", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert '<figure id="early-against-final">' in text
    assert "2 searches for convolutional blocks and 1 final training" in text
    capsys.readouterr()
    for given, said in (
        (["aaaa1111"], "compare takes two searches or more"),
        (["ffff3333"], "compare takes two searches or more"),
        (["aaaa1111", "aaaa"], "experiment aaaa1111 is named twice"),
    ):
        assert main(["compare", *given, "-o", str(page)]) == 1
        assert said in capsys.readouterr().err
