"""The searches of the verdict: a training is done once, and validation alone chooses the pick."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import found_against_handmade
import pytest
from nsc_bench.plan import Job
from nsc_bench.setups import SETUPS, Setup
from playing import layers_reward
from verdict import trainings
from verdict.finals import AGAIN, CORRECTED, VARIED
from verdict.searches import ARMS

from nni_blockqnn import Block

TRIALS = 14


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, int]]:
    """How often each training was done; they take no time, and long ones like short blocks. Few
    candidates are ranked."""
    done: Counter[tuple[str, int]] = Counter()

    def training(job: Job, setup: Setup, data: object) -> dict[str, Any]:
        block = job.block.to_json()
        done[f"{setup.name} {block}", job.seed] += 1
        value = layers_reward(job.block)
        line = {"kind": job.kind, "block": block, "seed": job.seed, "width": 1, "seconds": 36.0}
        if setup.scored == "test":
            return line | {"accuracy": 10.0 + job.seed, "valid": 50.0 - len(job.block.layers)}
        return line | {"accuracy": value}

    monkeypatch.setattr(trainings, "trained", training)
    for name, setup in SETUPS.items():
        monkeypatch.setitem(SETUPS, name, setup.__class__(**vars(setup) | {"load": lambda _: None}))
    monkeypatch.setattr(found_against_handmade, "RESULTS", Path("none"))
    for arm, arguments in ARMS.items():
        if "candidates" in arguments:
            monkeypatch.setitem(ARMS, arm, arguments | {"candidates": {"pool": 10}})
    return done


def _verdict(folder: Path) -> found_against_handmade.Verdict:
    return found_against_handmade.Verdict("cifar10", None, folder)


def _run(folder: Path) -> list[dict[str, Any]]:
    verdict = _verdict(folder)
    for arm in ARMS:
        verdict.run(arm, 0, TRIALS)
    return verdict.searches()


def test_what_is_trained_is_not_trained_again(
    tmp_path: Path, trained: Counter[tuple[str, int]]
) -> None:
    searches = _run(tmp_path)
    assert [each["arm"] for each in searches] == list(ARMS)
    assert set(trained.values()) == {1}
    count = len(trained)
    (tmp_path / "searches.jsonl").write_text(json.dumps(searches[0]) + "\n" + '{"arm": "cut')
    assert _run(tmp_path) == searches, "a search that was cut off goes on with what was trained"
    assert len(trained) == count
    assert set(trained.values()) == {1}


def test_a_pick_is_chosen_by_validation(tmp_path: Path, trained: Counter[tuple[str, int]]) -> None:
    searches = {each["arm"]: each for each in _run(tmp_path)}
    plain, final = searches["predictor"], searches["predictor, then finals"]
    on_the_way = searches["predictor, finals on the way"]
    assert len(on_the_way["finalists"]) == VARIED + CORRECTED
    shared = round(0.4 * TRIALS)
    assert on_the_way["trials"][:shared] == plain["trials"][:shared]
    assert on_the_way["trials"][shared:] != plain["trials"][shared:], "it climbs another hill"
    assert plain["trials"] == final["trials"]
    assert len(final["finalists"]) == VARIED + CORRECTED
    lengths = {block: len(Block.parse(block).layers) for block, _ in final["finalists"]}
    assert lengths[final["pick"]] == min(lengths.values()), "the long training likes short blocks"
    trainings = VARIED + CORRECTED + 2 * AGAIN
    assert final["hours"] - plain["hours"] == pytest.approx(0.01 * trainings)
    assert dict(map(tuple, plain["trials"]))[plain["pick"]] == pytest.approx(
        max(accuracy for _, accuracy in plain["trials"]), abs=10
    )


def test_the_table_has_every_search(
    tmp_path: Path, trained: Counter[tuple[str, int]], capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1):
        _verdict(tmp_path / "cifar10").run("random", seed, TRIALS)
    capsys.readouterr()
    found_against_handmade.main(["--report", "--output", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| residual | 10.00, 11.00, 12.00 | 11.00 ± 2.48 |"
    row = next(line for line in lines if line.startswith("| random |"))
    assert row.startswith("| random | 14/14 | 0.14 |")
    assert "| 11.00, 11.00 | 11.00 ± 0.00 | +0.00 [-2.48, +2.48] |" in row


def test_picks_are_trained_in_a_larger_network(
    tmp_path: Path, trained: Counter[tuple[str, int]], capsys: pytest.CaptureFixture[str]
) -> None:
    _verdict(tmp_path / "cifar10").run("random", 0, TRIALS)
    where = ["--output", str(tmp_path)]
    before = Counter(trained)
    capsys.readouterr()
    found_against_handmade.main(["--report", *where])
    assert "larger" not in capsys.readouterr().out
    found_against_handmade.main(["--larger", "--arms", "random", *where])
    assert (trained - before).total() == 4 * 4, "four seeds of three hand-made blocks and a pick"
    found_against_handmade.main(["--report", *where])
    said = capsys.readouterr().out
    assert "| residual | 10.00, 11.00, 12.00, 13.00 | 11.50 ± 2.05 | |" in said
    assert "| random | 11.50 | 11.50 |  |" in said
