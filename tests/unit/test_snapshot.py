"""Snapshots of the Q-table save work at a resume and change nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from playing import Experiment, metric, space, tuner

from nni_blockqnn import tuner as tuner_module
from nni_blockqnn.q_learning.q_agent import QAgent
from nni_blockqnn.record.journal import JOURNAL_NAME
from nni_blockqnn.record.snapshot import SNAPSHOT_NAME
from nni_blockqnn.tuner import BlockQNNTuner

SPACE = space(max_layers=6, repeats=[1, 2])


@pytest.fixture(autouse=True)
def interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuner_module, "SNAPSHOT_INTERVAL", 20)


def _tuner(**class_args: Any) -> BlockQNNTuner:
    return tuner(SPACE, repeats_rule="agent", **class_args)


def _table(of: BlockQNNTuner) -> dict[Any, tuple[float, int]]:
    assert of._search is not None
    assert isinstance(of._search.agent, QAgent)
    return {(e.state, e.action): (e.value, e.visits) for e in of._search.agent.table.entries()}


def _goes_on_like(resumed: BlockQNNTuner, killed: Experiment) -> None:
    """Same past, same table, same future."""
    assert resumed.history == killed.tuner.history
    assert _table(resumed) == _table(killed.tuner)
    after = Experiment(resumed, first_id=1000).run(30)
    assert after.sent == killed.run(30).sent[-30:]


def test_a_resume_learns_only_what_came_after_the_snapshot(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = Experiment(_tuner()).run(50)  # snapshots after 20 and 40 results
    learn, learnt = QAgent.learn, []

    def counted(agent: QAgent, experience: Any) -> Any:
        learnt.append(experience)
        return learn(agent, experience)

    monkeypatch.setattr(QAgent, "learn", counted)
    resumed = _tuner()
    assert len(learnt) == 64, "the batch of results 41 to 48 is replayed, 64 times"
    _goes_on_like(resumed, killed)


def test_without_its_snapshot_a_search_goes_on_the_same(checkpoint: Path) -> None:
    killed = Experiment(_tuner()).run(50)
    (checkpoint / SNAPSHOT_NAME).unlink()
    _goes_on_like(_tuner(), killed)


@pytest.mark.parametrize("where", [0, 40, 64, 65, 200, -2])
@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_snapshot_is_set_aside(
    damage: str, where: int, checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    killed = Experiment(_tuner()).run(50)
    path = checkpoint / SNAPSHOT_NAME
    whole = bytearray(path.read_bytes())
    if damage == "cut":
        del whole[where:]
    else:
        whole[where] ^= 1
    path.write_bytes(whole)
    resumed = _tuner()
    assert "damaged" in caplog.text
    assert path.with_suffix(".damaged").read_bytes() == whole
    _goes_on_like(resumed, killed)


def test_a_snapshot_that_the_journal_lags_behind_is_not_used(checkpoint: Path) -> None:
    """The journal lost its tail, so the table knows results that do not count any more."""
    Experiment(_tuner()).run(50)
    journal = checkpoint / JOURNAL_NAME
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: 1 + 2 * 30]))
    resumed = _tuner()
    assert len(resumed.history) == 30
    assert _table(resumed) == _table(Experiment(_fresh(checkpoint / "other")).run(30).tuner)


def _fresh(folder: Path) -> BlockQNNTuner:
    folder.mkdir()
    before = os.environ["NNI_CHECKPOINT_DIRECTORY"]
    os.environ["NNI_CHECKPOINT_DIRECTORY"] = str(folder)
    made = _tuner()
    os.environ["NNI_CHECKPOINT_DIRECTORY"] = before
    return made


@pytest.mark.parametrize("change", [{"learning_rate": 0.5}, {"optimize_mode": "minimize"}])
def test_other_settings_learn_anew(change: dict[str, Any], checkpoint: Path) -> None:
    Experiment(_tuner()).run(40)
    changed = _table(_tuner(**change))
    (checkpoint / SNAPSHOT_NAME).unlink()
    assert changed == _table(_tuner(**change))


def test_a_snapshot_that_cannot_be_written_harms_nothing(
    checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (checkpoint / f"{SNAPSHOT_NAME}.tmp").mkdir()
    killed = Experiment(_tuner()).run(50)
    assert "cannot be written" in caplog.text
    _goes_on_like(_tuner(), killed)


def test_a_killed_writer_leaves_the_snapshot_before(checkpoint: Path) -> None:
    killed = Experiment(_tuner()).run(50)
    (checkpoint / f"{SNAPSHOT_NAME}.tmp").write_bytes(b"half of")
    _goes_on_like(_tuner(), killed)


def test_a_result_is_on_the_disk_before_it_counts(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(_: int) -> None:
        raise Killed

    played = Experiment(_tuner())
    played.run(5)
    played.fill()
    (parameters,) = played.in_flight.values()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", kill)
        with pytest.raises(Killed):
            played.tuner.receive_trial_result(5, parameters, metric(parameters))
    assert len(played.tuner.history) == 5
    resumed = _tuner()
    assert [result.episode for result in resumed.history] == list(range(6))
