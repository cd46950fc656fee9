"""Reports of searches, read back as a viewer would."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_blocks import BRANCHES, ONE_LAYER, RESIDUAL
from made_results import chart_stub, report, search, trial

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.reports._page import duration, quantity
from nni_blockqnn.reports.report import _correlations, write_report
from nni_blockqnn.results.experiment import Problem
from nni_blockqnn.space.search_space import SearchSpace


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts take most of a page's time, and few tests look at them."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr("nni_blockqnn.reports._page.drawn", lambda chart: chart_stub(chart))


THREE = (
    trial(0, ONE_LAYER, 40.0, 41.5),
    trial(1, BRANCHES, 60.0, 60.5),
    trial(2, RESIDUAL, 58.0, 64.25),
)


def test_the_report_shows_the_best_block_its_codes_and_the_next_command(tmp_path: Path) -> None:
    page = html.unescape(report(tmp_path, search(*THREE)))
    assert "my search" in page
    assert f"blockqnn draw '{BRANCHES.to_json()}'" in page
    for block in (ONE_LAYER, BRANCHES, RESIDUAL):
        assert f"<pre>{block.to_json()}</pre>" in page
    assert "60.50 %" in page
    assert '<a href="#trial-trial2">trial trial2</a>' in page  # the most accurate
    assert " with 64.25 % at 3.00 M FLOPs" in page
    assert '<tbody id="trial-trial2"' in page
    assert "3 succeeded, 2 failed" in page
    assert "2 h 5 min" in page
    assert "1970-01-01 00:00 UTC" in page
    assert "preset tuned, seed 7" in page
    assert "--dataset cifar100" in page


def test_the_legend_has_the_separate_layers_where_they_were_searched(tmp_path: Path) -> None:
    separate = Block.parse([[1, 8, 0, 0, 0], [2, 1, 3, 1, 0]], encoding="separate")
    legends = [
        "</i>batch norm</li>" in report(tmp_path, search(trial(0, block, 1.0, 1.0)))
        for block in (RESIDUAL, separate)
    ]
    assert legends == [False, True]


def test_the_table_ranks_fifty_different_networks_and_the_most_accurate(tmp_path: Path) -> None:
    space, rng = SearchSpace(max_layers=5), np.random.default_rng(1)
    blocks = list({block.key: block for block in map(space.random_block, [rng] * 300)}.values())
    trials = [trial(number, block, float(number), 50.0) for number, block in enumerate(blocks[:60])]
    trials[4] = replace(trials[4], accuracy=99.0)
    page = report(tmp_path, search(*trials, trial(99, blocks[59], 1.0, 50.0)))
    assert "results of 60 different networks" in page
    expected = [f"trial{n}" for n in range(59, 9, -1)]
    assert re.findall(r"<td>(trial\d+)</td>", page) == [*expected, "trial4"]
    assert page.count('class="later"') == 31  # those appear at a click
    assert '<td data-label="Place" data-value="56">56</td>' in page  # of the most accurate


def test_strings_from_outside_are_escaped(tmp_path: Path) -> None:
    attack = "<script>alert(1)</script>"
    results = search(
        trial(0, RESIDUAL, 1.0, 1.0, trial_id=attack), malformed=(Problem("x", f"got {attack}"),)
    )
    experiment = replace(results.experiment, name=attack, config={"trialCommand": attack})
    page = report(
        tmp_path,
        replace(results, experiment=experiment),
        title=f"Title {attack}",
        extra={attack: attack},
    )
    assert "Title &lt;script&gt;" in page
    assert "<script>alert" not in page


@pytest.mark.slow
def test_the_report_needs_nothing_from_outside(tmp_path: Path) -> None:
    page = report(tmp_path, search(*THREE), epsilon_by_episode={0: 1.0, 1: 0.5, 2: 0.5})
    without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert not re.search(r"https?:|//\w+\.\w|@import|<link|<img|src=", without_namespaces)


def test_without_results_the_report_says_so(tmp_path: Path) -> None:
    page = report(tmp_path, search(statuses={}, started=None, seconds=None))
    assert "No results yet" in page
    assert "<svg" not in page
    assert "nnictl view" not in page


def test_the_state_of_the_experiment_is_in_words(tmp_path: Path) -> None:
    results = search(*THREE)
    for status, said in (("STOPPED", "stopped: 5 trials done"), ("ERROR", "failed: 5 trials done")):
        experiment = replace(results.experiment, status=status)
        page = report(tmp_path, replace(results, experiment=experiment))
        assert f"<dt>State</dt><dd>{said}" in page
    experiment = replace(results.experiment, status="STOPPED", config={"maxTrialNumber": 5})
    page = report(tmp_path, replace(results, experiment=experiment))
    assert "<dt>State</dt><dd>finished: 5 of 5 trials done</dd>" in page


def test_metrics_that_could_not_be_read_are_told(tmp_path: Path) -> None:
    problems = tuple(Problem(f"t{number}", "broken") for number in range(7))
    page = report(tmp_path, search(*THREE, malformed=problems))
    assert "7 trials have no result" in page
    assert "7 &times; unreadable: broken" in page
    assert "the last one: trial t6" in page


def test_a_single_result_is_enough(tmp_path: Path) -> None:
    page = report(tmp_path, search(trial(0, ONE_LAYER, 1.0, 2.0, params=None, repeats=None)))
    assert "The best 1 different network" in page
    assert "Spearman" not in page


def test_correlation_with_cost_is_reported_with_its_sign(tmp_path: Path) -> None:
    # FLOPs rise with the number of the trial: 1, 2, 3 M; accuracies 41.5, 60.5, 64.25
    assert "+1.00 for FLOPs" in report(tmp_path, search(*THREE))


@pytest.mark.parametrize(
    ("flops", "accuracies", "expected"),
    [
        ([1, 10, 10**25], [3.0, 2.0, 1.0], -1),
        # ranks 1, 2, 3 and 1.5, 1.5, 3: covariance 0.75, deviations 1 and sqrt(0.75)
        ([1, 2, 3], [5.0, 5.0, 9.0], 0.75**0.5),
        ([1, 2], [5.0, 5.0], None),
        ([1], [5.0], None),
        ([], [], None),
    ],
)
def test_rank_correlations_by_hand(
    flops: list[int], accuracies: list[float], expected: float | None
) -> None:
    trials = [
        replace(trial(number, ONE_LAYER, 0.0, accuracy), flops=cost)
        for number, (cost, accuracy) in enumerate(zip(flops, accuracies, strict=True))
    ]
    found = _correlations(trials)
    assert found["flops"] == (None if expected is None else pytest.approx(expected))
    assert found["density"] is None  # all blocks are the same


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (12_345_678, "12.3 M"), (430_000_000, "430 M"),
     (999_999, "1.00 M"), (2.5e9, "2.50 G"), (7e15, "7,000 T"), (None, "–")],
)  # fmt: skip
def test_quantity(number: float | None, text: str) -> None:
    assert quantity(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.6, "1 min 0 s"), (3_599, "59 min 59 s"), (7_500, "2 h 5 min"), (None, "–")],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_the_report_shows_why_trials_failed(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(search(*THREE, failures=(Problem("abc", "no data in <x>"),)), path)
    assert "1 &times; failed: no data in &lt;x&gt;" in path.read_text()
    write_report(search(*THREE), path)
    assert "no result" not in path.read_text()


def test_a_full_disk_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(search(*THREE[:1]), path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
