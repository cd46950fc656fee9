"""What survives a kill, a broken disk and a restart, and what ``import_data`` brings back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playing import Experiment, layers_reward, metric, network_of, space, tuner

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.q_learning.search import Result
from nni_blockqnn.record.journal import JOURNAL_NAME

FULL_DISK = Path("/dev/full")
THREE_LAYERS = "[[1,1,3,0,0],[2,1,3,1,0],[3,1,5,2,0],[4,7,0,0,0]]"


def _failing(played: Experiment, parameter_id: int) -> None:
    """Every fifth trial fails, as its episode says."""
    if played.in_flight[parameter_id]["episode"] % 5 == 2:
        played.fail(parameter_id)
    else:
        played.finish(parameter_id)


# --- kill and resume


@pytest.mark.slow
@pytest.mark.parametrize(("encoding", "concurrency"), [("pcc", 1), ("pcc", 8), ("separate", 8)])
def test_a_killed_search_goes_on_as_if_nothing_had_been(
    encoding: str, concurrency: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed with trials in flight, which NNI runs again; their results come by import_data."""
    searched = space(encoding=encoding)
    through = Experiment(tuner(searched), concurrency).run(50, _failing)
    through.fill()
    for parameter_id in list(through.in_flight):
        through.finish(parameter_id)
    through.run(100, _failing, seed=1)

    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", str(tmp_path))
    killed = Experiment(tuner(searched), concurrency).run(50, _failing)
    killed.fill()
    resumed = tuner(searched, seed=99)  # the journal's seed counts
    assert resumed.history == killed.tuner.history
    resumed.import_data(_records(metric(p) for p in killed.in_flight.values()))
    after = Experiment(resumed, concurrency, first_id=1000).run(100, _failing, seed=1)
    assert killed.sent + after.sent == through.sent
    assert resumed.history == through.tuner.history
    assert tuner(searched).history == resumed.history, "and once more"


def test_a_change_of_the_search_space_keeps_what_a_restart_keeps(checkpoint: Path) -> None:
    played = Experiment(tuner(space(max_layers=4)), 8).run(60, _failing)
    played.tuner.update_search_space(space(max_layers=4))
    again = Experiment(tuner(space(max_layers=4)), 8, first_id=1000).run(40, _failing)
    assert played.run(40, _failing).sent[60:] == again.sent


@pytest.mark.slow
def test_blocks_in_flight_at_a_kill_stay_reserved(checkpoint: Path) -> None:
    """In a tiny space the others are used up first; then those that were lost are sent again."""
    killed = Experiment(tuner(space(max_layers=3)), 8)
    killed.run(10)
    killed.fill()
    in_flight = {network_of(parameters) for parameters in killed.in_flight.values()}
    resumed = tuner(space(max_layers=3))
    played = Experiment(resumed, 4, first_id=100)
    played.run(42 - 10 - 8)
    assert not in_flight & {network_of(parameters) for parameters in played.sent}
    arrived = next(iter(killed.in_flight.values()))
    resumed.receive_trial_result(0, arrived, metric(arrived))
    played.run(1000)
    assert len(resumed.history) == 42
    assert {network_of(p) for p in played.sent[-7:]} == in_flight - {network_of(arrived)}


def test_the_journal_is_where_nni_says(checkpoint: Path) -> None:
    Experiment(tuner()).run(3)
    lines = (checkpoint / JOURNAL_NAME).read_text().splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert events == ["start", *["suggestion", "result"] * 3]


def test_without_a_checkpoint_folder_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", str(tmp_path / "missing"))
    assert len(Experiment(tuner()).run(3).tuner.history) == 3
    assert list(tmp_path.iterdir()) == []


# --- a damaged journal


def test_a_line_that_was_cut_short_is_set_aside(
    checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = checkpoint / JOURNAL_NAME
    history = Experiment(tuner()).run(10).tuner.history
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    resumed = tuner()
    assert resumed.history == history[:-1]
    assert "set aside" in caplog.text
    cut_line = whole.splitlines(keepends=True)[-1][:-20]
    assert (checkpoint / "blockqnn-journal.damaged").read_bytes() == cut_line + b"\n"
    resumed.import_data(_records(metric(_sent(result)) for result in history))
    assert resumed.history == history, "NNI has the result that was cut"
    assert tuner().history == history


@pytest.mark.parametrize("damage", [b"\x00" * 40, b"{}", b"[1, 2", b"[" * 100_000, b"\xff\xfe"])
def test_a_damaged_line_costs_that_line_only(
    damage: bytes, checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = checkpoint / JOURNAL_NAME
    history = Experiment(tuner()).run(10).tuner.history
    lines = path.read_bytes().splitlines()
    assert b'"result"' in lines[4]
    lines[4] = damage
    path.write_bytes(b"\n".join(lines) + b"\n")
    resumed = tuner()
    assert resumed.history == history[:1] + history[2:]
    assert "left out" in caplog.text
    resumed.import_data(_records(metric(_sent(result)) for result in history))
    assert resumed.history == history[:1] + history[2:] + [history[1]]
    assert len(Experiment(resumed, first_id=50).run(20).sent) == 20


@pytest.mark.parametrize(
    "damage",
    [
        {"event": "result"},
        {"event": "result", "episode": float("inf"), "block": THREE_LAYERS, "repeats": 4},
        {"event": "result", "episode": 1, "block": "?", "repeats": 4, "reward": 1.0},
        {"event": "result", "episode": 1, "block": THREE_LAYERS, "repeats": 4, "reward": "?"},
        {"event": "result", "episode": 70, "block": THREE_LAYERS, "repeats": 4, "reward": 1.0}
        | {"metric": 5},
        {"event": "suggestion", "episode": None},
        {"event": "release", "episode": "x"},
        {"event": 5},
        {"event": "something new"},
    ],
)
def test_an_event_that_cannot_be_read_is_left_out(damage: dict[str, Any], checkpoint: Path) -> None:
    path = checkpoint / JOURNAL_NAME
    history = Experiment(tuner()).run(10).tuner.history
    path.write_text(json.dumps(damage) + "\n" + path.read_text())
    assert tuner().history == history


def test_a_lost_first_line_is_made_up_for(checkpoint: Path) -> None:
    """It holds the seed."""
    path = checkpoint / JOURNAL_NAME
    killed = Experiment(tuner(seed=8)).run(10)
    path.write_bytes(b"damaged\n" + b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    resumed = Experiment(tuner(seed=8), first_id=50).run(30)
    assert resumed.tuner.history[:10] == killed.tuner.history
    assert resumed.sent == killed.run(30).sent[10:]
    unknown = tuner(seed=None)
    assert unknown.history == resumed.tuner.history


@pytest.mark.skipif(not FULL_DISK.exists(), reason="needs /dev/full")
def test_a_full_disk_does_not_end_the_search(
    checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = checkpoint / JOURNAL_NAME
    played = Experiment(tuner()).run(5)
    played.tuner._journal.path = FULL_DISK
    played.run(5)
    assert len(played.tuner.history) == 10
    assert "The search goes on" in caplog.text
    assert len(tuner().history) == 5
    played.tuner._journal.path = path
    played.run(1)
    assert tuner().history == played.tuner.history
    assert len(played.tuner.history) == 11


# --- import_data


@pytest.mark.parametrize("repeats", [[4], [1, 2, 4]])
def test_own_results_are_not_counted_twice(repeats: list[int], checkpoint: Path) -> None:
    limits = {"max_params": 1_500_000}
    entry = space(repeats=repeats)
    killed = Experiment(tuner(entry, limits=limits), 4).run(40)
    history = killed.tuner.history
    assert {parameters["repeats"] for parameters in killed.sent} == set(repeats)
    resumed = tuner(entry, limits=limits)
    for with_repeats in (True, False):
        resumed.import_data(
            _records(
                metric(p) | ({"repeats": p["repeats"]} if with_repeats else {}) for p in killed.sent
            )
        )
    assert resumed.history == history


def test_a_lost_journal_is_made_up_for(checkpoint: Path) -> None:
    """But for epsilon: results alone do not tell this search's from imported ones."""
    killed = Experiment(tuner()).run(40)
    (checkpoint / JOURNAL_NAME).unlink()
    resumed = tuner()
    assert resumed.history == []
    resumed.import_data(_records(map(metric, killed.sent)))
    assert resumed.history == killed.tuner.history
    after = Experiment(resumed, first_id=100).run(40)
    assert [parameters["episode"] for parameters in after.sent] == list(range(40, 80))
    assert not set(map(network_of, killed.sent)) & set(map(network_of, after.sent))


def test_results_of_another_experiment(checkpoint: Path) -> None:
    """Numbers that are taken here are given anew; importing them again, as NNI does at each
    resume, adds nothing."""
    other = Experiment(tuner(seed=77)).run(30)
    (checkpoint / JOURNAL_NAME).unlink()
    played = Experiment(tuner(seed=5)).run(20)
    own = played.tuner.history
    foreign = _records(map(metric, other.sent))
    played.tuner.import_data(foreign)
    history = played.tuner.history
    assert history[:20] == own
    assert [result.block for result in history[20:]] == [
        Block.parse(parameters["block"]) for parameters in other.sent
    ]
    assert len({result.episode for result in history}) == 50
    played.tuner.import_data(foreign)
    resumed = tuner(seed=5)
    resumed.import_data(foreign)
    assert played.tuner.history == resumed.history == history

    known = set(map(network_of, other.sent + played.sent))
    after = Experiment(resumed, first_id=100).run(30)
    assert not known & set(map(network_of, after.sent))
    assert len({result.episode for result in resumed.history}) == 80


@pytest.mark.parametrize("count", [9, 100, 300])
def test_imports_teach_and_do_not_count_as_iterations(count: int, checkpoint: Path) -> None:
    """However many there are, the search begins at the schedule's beginning."""
    other = Experiment(tuner(seed=77, budget=1_000)).run(count)
    (checkpoint / JOURNAL_NAME).unlink()
    made = tuner(budget=100)
    values = [metric(sent) | {"episode": sent["episode"] + 11_000} for sent in other.sent]
    made.import_data(_records(values))
    assert len(made.history) == count
    assert made._search.agent.observed == count
    played = Experiment(made)
    epsilons = []
    for _ in range(60):
        epsilons.append(made._search.epsilon)
        played.run(1)
    assert epsilons == [1.0] * 25 + [0.5] * 25 + [0.3] * 10
    assert played.sent[0]["episode"] == 11_000 + count, "a number of its own all the same"
    assert tuner(budget=100)._search.epsilon == made._search.epsilon


@pytest.mark.parametrize("episode", [10**18, 10**5000, -1], ids=["large", "huge", "negative"])
def test_imported_episodes_that_would_not_travel_are_numbered_anew(episode: int) -> None:
    made = tuner()
    made.import_data(_records([{"default": 70.0, "episode": episode, "block": THREE_LAYERS}]))
    assert [result.episode for result in made.history] == [0]
    assert [p["episode"] for p in made.generate_multiple_parameters([0, 1])] == [1, 2]


def test_what_is_no_result_is_left_out() -> None:
    good = {"default": 70.0, "episode": 3, "block": THREE_LAYERS}
    made = tuner()
    made.import_data(
        [
            *_records([None, 5.0, "?", [], {}, good | {"default": float("nan")}]),
            *_records([good | {"block": "[[1,1,2,0,0]]"}, good | {"episode": None}]),
            *_records([good | {"repeats": 10**5000, "accuracy": {"a": {1, 2}}}]),
            {"parameter": {}},
            None,
            "text",
            {"parameter": {}, "value": good | {"repeats": -4}},
        ]
    )
    made.import_data(None)
    made.import_data([])
    assert made.history == [Result(3, Block.parse(THREE_LAYERS), 4, 70.0)]


def test_the_imported_parameter_does_not_matter() -> None:
    """NNI pairs it with the wrong result; the metric says what was trained."""
    made = tuner()
    value = {"default": 70.0, "episode": 3, "block": THREE_LAYERS, "repeats": 2}
    made.import_data([{"parameter": {"block": "[[1,4,0,0,0]]", "episode": 9}, "value": value}])
    assert made.history == [Result(3, Block.parse(THREE_LAYERS), 2, 70.0)]


def test_foreign_repeats_do_not_confuse_the_agents_choice() -> None:
    """N = 8 is best of what was imported, but may not be chosen here."""
    made = tuner(
        space(repeats=[1, 2]), repeats_rule="agent", batch_size=1, epsilon_schedule=[[0.0, 1]]
    )
    made.import_data(
        _records([{"default": 99.0, "episode": 0, "block": THREE_LAYERS, "repeats": 8}])
    )
    assert {p["repeats"] for p in Experiment(made).run(20).sent} <= {1, 2}


def test_blocks_of_another_space_are_kept_but_not_learnt() -> None:
    made = tuner(space(max_layers=3, conv_kernels=[3], pool_kernels=[3]), batch_size=1)
    wide = "[[1,1,7,0,0],[2,7,0,0,0]]"
    made.import_data(
        _records(
            {"default": 90.0, "episode": n, "block": block}
            for n, block in enumerate((THREE_LAYERS, wide))
        )
    )
    assert [result.block.to_json() for result in made.history] == [THREE_LAYERS, wide]
    assert len(Experiment(made).run(200).sent) == 4 + 16


def _records(values: Any) -> list[dict[str, Any]]:
    """As NNI gives them to ``import_data``."""
    return [{"parameter": {}, "value": value} for value in values]


def _sent(result: Result) -> dict[str, Any]:
    assert result.reward == layers_reward(result.block)
    return {"episode": result.episode, "block": result.block.to_json()}
