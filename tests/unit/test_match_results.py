"""A search at equal cost read back: trials, tables, reports, finalists, final trainings."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from made_experiments import ONE_CONV, RESIDUAL, final, make_experiment, write_list
from made_results import report
from made_results import search as results_to_report
from made_results import trial as trial_to_report

from nni_blockqnn.blocks.block import Block, parse_block
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.bridge import channel
from nni_blockqnn.cli import main
from nni_blockqnn.commands._search_time import sample_of
from nni_blockqnn.commands._trial_check import _sample
from nni_blockqnn.exchange.finalists import finalist_tasks, finalists_space, write_finalists
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.equal_cost import equal_cost
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.record.journal import JOURNAL_NAME, Journal
from nni_blockqnn.space.match import Match
from nni_blockqnn.trials.run import run

SMALL = '{"preset": "digits", "filters": [4, 8]}'
QUICK = ("--dataset", "digits", "--limit", "100", "--epochs", "1", "--threads", "1")
FLOPS = 24_000
SEARCHED: dict[str, Any] = {
    "searchSpace": {
        "block": {"_type": "nsc", "_value": {}},
        "network": {"_type": "choice", "_value": [SMALL]},
    },
    "tuner": {"classArgs": {"match": {"flops": FLOPS}, "start_blocks": ["residual"]}},
}


def _width(codes: str, match: Match, network: str = SMALL) -> int:
    spec = NetworkSpec.from_parameter(network)
    matched = equal_cost(parse_block(codes), spec, match.target(spec))
    assert matched is not None
    return matched.filters[0]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a search of two results, the first of them of a start block."""
    monkeypatch.setenv("HOME", str(tmp_path))
    home = tmp_path / "nni-experiments"
    times = {"epoch_seconds": 1.25, "image_milliseconds": 0.0625}
    metrics = (
        final(block=RESIDUAL, episode=0, repeats=1, width=5, **times),
        final(block=ONE_CONV, episode=1, repeats=1, width=9, default=50.0),
    )
    finals = [(f"trial{number}", metric) for number, metric in enumerate(metrics)]
    make_experiment(home, finals=finals, config=SEARCHED)
    write_list(home, abcd1234={"startTime": 1})
    (home / "abcd1234" / "checkpoint").mkdir()
    journal = Journal(home / "abcd1234" / "checkpoint" / JOURNAL_NAME)
    for episode in (0, 1):
        journal.append({"event": "suggestion", "episode": episode, "start": episode == 0})
    return home


def _top(home: Path, *arguments: str) -> dict[str, Any]:
    output = home / "finalists.json"
    assert main(["top", "abcd1234", "--output", str(output), *arguments]) == 0
    return json.loads(output.read_text())


# --- the trial


def test_a_trial_trains_at_its_width_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reported: list[dict[str, Any]] = []
    monkeypatch.setattr(channel, "report_final", reported.append)
    monkeypatch.setenv("NNI_OUTPUT_DIR", str(tmp_path))
    parameters = {"block": RESIDUAL, "repeats": 1, "network": SMALL, "episode": 7, "width": 6}
    assert run(parameters, list(QUICK)) == 0
    (metric,) = reported
    cost = estimate_cost(Block.parse(RESIDUAL), NetworkSpec("digits", filters=(6, 12)))
    assert (metric["width"], metric["flops"], metric["params"]) == (6, cost.flops, cost.params)
    assert metric["epoch_seconds"] > 0
    assert metric["image_milliseconds"] > 0


# --- top and the report


def test_top_shows_widths_and_times_and_marks_start_blocks(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["top", "abcd1234", "--format", "json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["width"], first["start_block"], first["epoch_seconds"]) == (5, True, 1.25)
    assert (second["width"], second["start_block"], second["epoch_seconds"]) == (9, False, None)
    assert main(["top", "abcd1234"]) == 0
    shown = capsys.readouterr().out
    for fact in ("width", "s/epoch", "ms/image", "0.0625", f"{RESIDUAL}  residual, start block"):
        assert fact in shown
    assert f"{ONE_CONV}\n" in shown


def test_the_report_shows_widths_and_marks_start_blocks(tmp_path: Path) -> None:
    block = NAMED_BLOCKS["residual"]
    plain = report(tmp_path, results_to_report(trial_to_report(0, block, 1.0, 1.0)))
    assert "start block" not in plain
    assert "ms/image" not in plain
    times = {"epoch_seconds": 1.25, "image_milliseconds": 0.0625}
    marked = trial_to_report(0, block, 1.0, 1.0, width=19, is_start=True, metric=times)
    page = report(tmp_path, results_to_report(marked))
    for fact in ("residual, start block", "19 filters in the first stage", "1.250", "ms/image"):
        assert fact in page


# --- the time that a search would take


@pytest.mark.parametrize("match", [{"flops": FLOPS}, None])
def test_a_search_is_timed_at_its_cost(match: dict[str, Any] | None) -> None:
    config = SimpleNamespace(
        search_space=SEARCHED["searchSpace"], tuner=SimpleNamespace(class_args={"match": match})
    )
    sample = sample_of(config)
    assert all(("width" in task) == (match is not None) for task in sample.tasks)
    if match is not None:
        assert 0.85 * FLOPS <= sample.flops[0] <= sample.flops[-1] <= 1.05 * FLOPS
    assert sample.median in sample.tasks


@pytest.mark.parametrize("flops", ["residul", 1])
def test_a_match_that_is_wrong_is_said_once(flops: Any) -> None:
    """By the check of the tuner; the trial's goes on without a sample of its networks."""
    tuner = SimpleNamespace(class_args={"match": {"flops": flops}})
    config = SimpleNamespace(search_space=SEARCHED["searchSpace"], tuner=tuner)
    assert _sample(config) is None


# --- finalists


def test_finalists_keep_the_cost_of_the_search(home: Path) -> None:
    space = _top(home, "--references")
    assert space["match"] == {"_type": "choice", "_value": ['{"flops": 24000}']}
    widths = {task.block.to_json(): task.width for task in finalist_tasks(space)}
    assert widths == {codes: _width(codes, Match("flops", FLOPS)) for codes in widths}
    assert [*widths][:2] == [RESIDUAL, ONE_CONV]


def test_a_named_cost_is_written_as_a_number(home: Path) -> None:
    cost = estimate_cost(NAMED_BLOCKS["residual"], NetworkSpec.from_parameter(SMALL)).params
    SEARCHED["tuner"]["classArgs"]["match"] = {"params": "residual"}
    try:
        make_experiment(home, "efgh5678", finals=[("a", final(repeats=1))], config=SEARCHED)
        write_list(home, efgh5678={"startTime": 2})
        output = home / "finalists.json"
        assert main(["top", "efgh5678", "--output", str(output)]) == 0
    finally:
        SEARCHED["tuner"]["classArgs"]["match"] = {"flops": FLOPS}
    assert json.loads(output.read_text())["match"]["_value"] == [f'{{"params": {cost}}}']


def test_another_network_has_its_own_filters_or_the_cost_that_is_named(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "match" not in _top(home, "--network", "cifar10")
    space = _top(home, "--network", "cifar10", "--match", "flops=40_000_000")
    assert space["match"]["_value"] == ['{"flops": 40000000}']
    for task in finalist_tasks(space):
        assert 34e6 <= estimate_cost(task.block, task.spec).flops <= 42e6
    capsys.readouterr()
    assert main(["top", "abcd1234", "--match", "flops=1", "--output", str(home / "f.json")]) == 1
    assert "--match is a cost in another network" in capsys.readouterr().err


def test_finalists_of_finalists_keep_it(home: Path) -> None:
    space = finalists_space([Block.parse(RESIDUAL)], 1, SMALL, Match("flops", FLOPS))
    config = {"searchSpace": space, "tuner": {"name": "GridSearch"}}
    make_experiment(home, "efgh5678", finals=[("a", final(repeats=1))], config=config)
    write_list(home, efgh5678={"startTime": 2})
    output = home / "winners.json"
    assert main(["top", "efgh5678", "--output", str(output)]) == 0
    assert json.loads(output.read_text())["match"]["_value"] == ['{"flops": 24000}']


# --- final trainings


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((), Match("flops", FLOPS)),
        (("--match", "params=1500"), Match("params", 1_500)),
        (("--network", SMALL), None),
        (("--network", SMALL, "--match", "flops=residual"), Match("flops", "residual")),
    ],
)
def test_a_final_training_has_the_finalists_cost_or_the_one_that_is_named(
    tmp_path: Path, arguments: tuple[str, ...], match: Match | None
) -> None:
    finalists, output = tmp_path / "finalists.json", tmp_path / "network"
    space = finalists_space([Block.parse(ONE_CONV)], 1, SMALL, Match("flops", FLOPS))
    write_finalists(finalists, space)
    assert main(["train", str(finalists), *QUICK, "--output", str(output), *arguments]) == 0
    network = NetworkSpec.from_parameter(
        json.loads((output / "network.json").read_text())["network"]
    )
    width = 4 if match is None else _width(ONE_CONV, match)
    assert network.filters == (width, 2 * width)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("40000000", "must be flops=N or params=N"),
        ("flops=", "match flops: no block is called ''"),
        ("flops=4e7", "match flops must be an integer"),
        ("flops=0", "match flops must be an integer from 1"),
        ("macs=5", "got 'macs'"),
        ("flops=residul", "did you mean residual?"),
    ],
)
def test_a_cost_that_cannot_be_read_is_refused_by_name(
    capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    with pytest.raises(SystemExit):
        main(["train", "residual", "--dataset", "digits", "--match", text])
    assert message in capsys.readouterr().err


def test_a_block_that_cannot_have_the_cost_is_refused_before_its_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ("--output", str(tmp_path / "network"), "--match", "flops=1_000_000_000")
    assert main(["train", "residual", *QUICK, *output]) == 1
    assert "match flops 1,000,000,000: the network of [[1,4,0,0,0]" in capsys.readouterr().err
    assert not (tmp_path / "network").exists()
