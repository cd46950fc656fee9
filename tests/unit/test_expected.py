"""Finalists are what a predictor expects to be best, not what was luckiest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_experiments import final, make_experiment

from nni_blockqnn import Block, SearchSpace
from nni_blockqnn.cli import main

CONV, POOL = 1, 2


def _chains(kind: int, count: int) -> list[Block]:
    """Blocks of a convolution and two layers of a kind, with different kernels and readers."""
    rng = np.random.default_rng(kind)
    kernels = {CONV: (1, 3, 5), POOL: (1, 3)}[kind]
    found: dict[str, Block] = {}
    while len(found) < count:
        rows = [[1, 1, int(rng.choice([1, 3, 5])), 0, 0]]
        rows += [
            [n, kind, int(rng.choice(kernels)), int(rng.integers(1, n)), 0] for n in range(2, 6)
        ]
        block = Block.parse(rows)
        found.setdefault(block.key, block)
    return list(found.values())


def _finals(results: int, minimize: bool = False) -> list[tuple[str, dict[str, Any]]]:
    """Convolutions reach about 60, poolings about 40, and one pooling once had 62."""
    convs, pools = _chains(CONV, results // 2), _chains(POOL, results // 2)
    rng = np.random.default_rng(0)
    values = [60 + rng.normal() * 0.3 for _ in convs] + [40 + rng.normal() * 0.3 for _ in pools]
    values[-1] = 62.0
    finals = []
    for number, (block, value) in enumerate(zip([*convs, *pools], values, strict=True)):
        value = -value if minimize else value
        metric = final(
            block=block.to_json(), episode=number, repeats=1, default=value, flops=1000, params=100
        )
        finals.append((f"trial{number}", metric))
    return finals


def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **parts: Any) -> None:
    class_args = parts.pop("class_args", {"predictor": "wl"})
    monkeypatch.setenv("HOME", str(tmp_path))
    space = {
        "block": {"_type": "nsc", "_value": {}},
        "network": {"_type": "choice", "_value": ["digits"]},
    }
    config = {"searchSpace": space, "tuner": {"name": "BlockQNN", "classArgs": class_args}}
    make_experiment(tmp_path / "nni-experiments", config=config, **parts)


def _top(capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, Any]]:
    assert main(["top", "abcd1234", "--format", "json", "--k", "30", *options]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_the_luckiest_result_is_not_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _home(tmp_path, monkeypatch, finals=_finals(30))
    by_default, by_reward = _top(capsys), _top(capsys, "--by", "reward")
    assert by_reward[0]["reward"] == 62.0
    assert by_reward[0]["expected"] is None
    assert by_default[0]["reward"] < 62.0
    expected = [result["expected"] for result in by_default]
    assert expected == sorted(expected, reverse=True)
    lucky = next(result for result in by_default if result["reward"] == 62.0)
    assert 40 < lucky["expected"] < 62, "it is believed in part"
    assert main(["top", "abcd1234", "--k", "3", "--output", str(tmp_path / "finalists.json")]) == 0
    blocks = json.loads((tmp_path / "finalists.json").read_text())["block"]["_value"]
    assert blocks == [result["block"] for result in by_default[:3]]


def test_a_smaller_reward_may_be_the_better_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class_args = {"predictor": "wl", "optimize_mode": "minimize"}
    _home(tmp_path, monkeypatch, finals=_finals(30, minimize=True), class_args=class_args)
    found = _top(capsys)
    assert -62 < found[0]["reward"] < -59
    assert found[0]["expected"] < found[-1]["expected"]


@pytest.mark.parametrize(("class_args", "results"), [({}, 30), ({"predictor": "wl"}, 8)])
def test_without_a_predictor_or_with_few_results_the_reward_decides(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    class_args: dict[str, Any],
    results: int,
) -> None:
    _home(tmp_path, monkeypatch, finals=_finals(results), class_args=class_args)
    assert _top(capsys)[0]["reward"] == 62.0


def test_varied_finalists_are_not_all_of_one_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _home(tmp_path, monkeypatch, finals=_finals(30))
    assert main(["top", "abcd1234", "--format", "json", "--k", "5"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert main(["top", "abcd1234", "--format", "json", "--k", "5", "--varied"]) == 0
    varied = json.loads(capsys.readouterr().out)
    assert varied[0] == plain[0]
    assert len(varied) == 5

    def kinds(found: list[dict[str, Any]]) -> list[int]:
        return [Block.parse(result["block"]).layers[1].type for result in found]

    assert kinds(plain) == [CONV] * 5
    assert varied != plain
    assert all(result["expected"] is not None for result in varied)


def test_long_trainings_say_which_others_are_worth_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Early, convolutions were 20 points better; in the end, poolings are better by as much."""
    _home(tmp_path, monkeypatch, finals=_finals(30))
    conv, pool = _chains(CONV, 15)[0], _chains(POOL, 15)[0]
    long = [
        (f"t{n}", final(block=block.to_json(), episode=n, repeats=4, accuracy=value, default=value))
        for n, (block, value) in enumerate([(conv, 60.0), (pool, 80.0)])
    ]
    make_experiment(tmp_path / "nni-experiments", "final567", finals=long)
    plain, found = _top(capsys), _top(capsys, "--finals", "final567")
    assert len(plain) == 30
    assert len(found) == 28, "those two were trained long"
    assert not {conv.key, pool.key} & {Block.parse(each["block"]).key for each in found}
    assert Block.parse(found[0]["block"]).layers[1].type == POOL
    assert 70 < found[0]["expected"] < 90, "what it is expected to reach"

    make_experiment(tmp_path / "nni-experiments", "other567", finals=long[:0])
    assert main(["top", "abcd1234", "--finals", "other567"]) == 1
    assert "other567 has 0 long trainings of blocks of abcd1234" in capsys.readouterr().err


def test_the_table_has_the_column_where_it_says_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _home(tmp_path, monkeypatch, finals=_finals(30))
    for options, shown in (([], True), (["--by", "reward"], False)):
        assert main(["top", "abcd1234", *options]) == 0
        assert ("expected" in capsys.readouterr().out) == shown


def test_the_same_space_is_searched() -> None:
    assert all(
        SearchSpace().contains(block) for kind in (CONV, POOL) for block in _chains(kind, 15)
    )
