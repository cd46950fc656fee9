"""Which trials of a final training are run again, and with which checkpoint."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from made_experiments import ONE_CONV, RESIDUAL, TWO_BRANCHES, final, make_experiment

from nni_blockqnn.bridge.customized_trials import made_before
from nni_blockqnn.bridge.database import Trial
from nni_blockqnn.cli import main
from nni_blockqnn.exchange.kept_results import ResultFile
from nni_blockqnn.results.experiment import Experiment, find_experiment
from nni_blockqnn.results.lost import find_lost
from nni_blockqnn.training import Checkpoint, EpochResult
from nni_blockqnn.trials._files import TrialFiles

GRID = {"tuner": {"name": "GridSearch"}}
OUR_SEARCH = {"tuner": {"className": "nni_blockqnn.tuner.BlockQNNTuner"}}


def parameters(block: str) -> dict[str, Any]:
    return {"block": block, "repeats": 4, "network": "cifar100"}


class Recorded:
    """An experiment whose manager is not there; each event comes a second after the last one."""

    def __init__(self, home: Path, config: dict[str, Any] = GRID) -> None:
        self._home = home
        self._seconds = 100
        self.database = make_experiment(home, config=config)

    def event(self, trial: str, event: str, data: Any = None, number: int = 0) -> float:
        self._seconds += 1
        text = None if data is None else json.dumps(data)
        row = (1000 * self._seconds, trial, event, text, None, number, None, None)
        self._insert("TrialJobEvent", row)
        return float(self._seconds)

    def trial(self, trial: str, block: str, *statuses: str) -> None:
        """Its parameters as NNI records them, with its first event."""
        self.event(trial, "RUNNING", {"parameter_id": 0, "parameters": parameters(block)})
        for status in statuses:
            self.event(trial, status)

    def result(self, trial: str, block: str) -> None:
        metric = final(block=block, repeats=4)
        row = (20_000, trial, "0", "FINAL", 0, json.dumps(json.dumps(metric)))
        self._insert("MetricData", row)

    def log(self, line: str) -> None:
        folder = self.database.parent.parent / "log"
        folder.mkdir()
        (folder / "nnimanager.log").write_text(f"[2026-01-01 00:00:00] INFO (NNIManager) {line}\n")

    @property
    def experiment(self) -> Experiment:
        return find_experiment("abcd1234", self._home)

    def lost(self, since: float | None = None) -> list[str]:
        return [trial.id for trial in find_lost(self.experiment, since)]

    def _insert(self, table: str, row: tuple[Any, ...]) -> None:
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(f"insert into {table} values ({','.join('?' * len(row))})", row)


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path)


@pytest.mark.parametrize("status", ["USER_CANCELED", "FAILED", "SYS_CANCELED"])
def test_a_trial_that_ended_without_a_result_is_lost(recorded: Recorded, status: str) -> None:
    recorded.trial("whole", ONE_CONV, "SUCCEEDED")
    recorded.result("whole", ONE_CONV)
    recorded.trial("ended", RESIDUAL, status)
    assert recorded.lost() == ["ended"]


@pytest.mark.parametrize("status", ["EARLY_STOPPED", "RUNNING", "WAITING", "SUCCEEDED"])
def test_what_was_stopped_early_or_is_under_way_is_not(recorded: Recorded, status: str) -> None:
    recorded.trial("other", RESIDUAL, status)
    assert recorded.lost() == []


def test_what_was_cancelled_on_purpose_is_not(recorded: Recorded) -> None:
    """NNI says USER_CANCELED of all three."""
    recorded.trial("byuser", RESIDUAL, "USER_TO_CANCEL", "USER_CANCELED")
    recorded.trial("byasse", ONE_CONV, "USER_CANCELED")
    recorded.trial("killed", TWO_BRANCHES, "USER_CANCELED")
    recorded.log('cancelTrialJob: "byasse"')
    assert recorded.lost() == ["killed"]


def test_a_trial_that_took_too_long_for_the_configuration_is_not(recorded: Recorded) -> None:
    recorded.trial("tooold", RESIDUAL, "FAILED")
    recorded.log("Trial job tooold has been canceled because it is over max trial duration.")
    assert recorded.lost() == []


@pytest.mark.parametrize(
    ("status", "lost"), [("SUCCEEDED", []), ("RUNNING", []), ("USER_CANCELED", ["copy"])]
)
def test_the_last_copy_of_a_trial_counts(recorded: Recorded, status: str, lost: list[str]) -> None:
    recorded.trial("killed", RESIDUAL, "USER_CANCELED")
    recorded.trial("copy", RESIDUAL, status)
    if status == "SUCCEEDED":
        recorded.result("copy", RESIDUAL)
    assert recorded.lost() == lost


def test_a_result_that_was_kept_and_not_reported_is_none_to_repeat(recorded: Recorded) -> None:
    recorded.trial("killed", RESIDUAL, "USER_CANCELED")
    root = recorded.database.parent.parent
    folder = root / "environments" / "local-env" / "trials" / "killed"
    folder.mkdir(parents=True)
    ResultFile(folder, parameters(RESIDUAL), []).write(final(block=RESIDUAL))
    assert recorded.lost() == []


def test_a_result_counts_for_the_block_that_it_names(recorded: Recorded) -> None:
    """Remotely NNI may give a trial what it records for another one."""
    recorded.trial("killed", RESIDUAL, "USER_CANCELED")
    recorded.trial("other", ONE_CONV, "SUCCEEDED")
    recorded.result("other", RESIDUAL)
    assert recorded.lost() == ["other"]


def test_what_nni_forgot_at_a_second_kill_is_lost(recorded: Recorded) -> None:
    recorded.trial("twice", RESIDUAL)
    resumed = recorded.event("twice", "ADD_RESUMED")
    assert recorded.lost(since=None) == ["twice"]
    assert recorded.lost(since=resumed - 0.5) == []  # this manager runs it
    assert recorded.lost(since=resumed + 0.5) == ["twice"]


def test_a_copy_that_waits_for_room_is_not_asked_for_again(recorded: Recorded) -> None:
    recorded.trial("killed", RESIDUAL, "USER_CANCELED")
    asked = recorded.event("", "ADD_CUSTOMIZED", parameters(RESIDUAL))
    assert recorded.lost(since=asked - 0.5) == []
    assert recorded.lost(since=asked + 0.5) == ["killed"]  # its manager is gone
    recorded.trial("copy", RESIDUAL, "USER_CANCELED")
    assert recorded.lost(since=asked - 0.5) == ["copy"]


def test_a_search_by_blockqnn_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Recorded(tmp_path / "nni-experiments", OUR_SEARCH).trial("killed", RESIDUAL, "USER_CANCELED")
    assert main(["retry", "abcd1234"]) == 1
    assert "whose tuner itself sends the blocks of killed trials again" in capsys.readouterr().err


def test_nothing_to_retry_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Recorded(tmp_path / "nni-experiments").trial("stopped", RESIDUAL, "EARLY_STOPPED")
    assert main(["retry", "abcd1234"]) == 0
    assert "nothing to retry in experiment abcd1234" in capsys.readouterr().out


def test_what_waits_before_a_copy_is_counted() -> None:
    """A trial beyond maxTrialNumber is never made, and NNI's queue is in order."""
    old = [Trial(name, number, 10.0) for number, name in enumerate("ab")]
    new = Trial("c", 2, 30.0)
    assert made_before(3, [*old, new], since=0.0) == 3
    assert made_before(5, [*old, new], since=0.0) == 5  # 3 and 4 wait
    assert made_before(1, old, since=20.0) == 2  # numbers begin anew, at 1, when NNI resumes
    assert made_before(3, old, since=20.0) == 4  # 1 and 2 wait
    copy = Trial("d", 3, 31.0)
    assert made_before(3, [*old, new, copy], since=0.0) == 3


class Trials:
    """The folders of an experiment's trials."""

    def __init__(self, experiment: Path) -> None:
        self.folder = experiment / "environments" / "local-env" / "trials"
        self._written = 0

    def files(self, trial: str, block: str = "a") -> TrialFiles:
        folder = self.folder / trial
        folder.mkdir(parents=True, exist_ok=True)
        return TrialFiles(folder, {"block": block}, ["--dataset", "digits"])

    def write(self, trial: str, epoch: int, block: str = "a") -> Path:
        own = self.files(trial, block).checkpoint
        Checkpoint(own.path, own.fingerprint, seconds_between=0).save({"epoch": epoch})
        self._written += 1
        os.utime(own.path, (self._written, self._written))
        return own.path


def test_a_copy_goes_on_from_the_newest_checkpoint_of_its_own_task(tmp_path: Path) -> None:
    trials = Trials(tmp_path)
    trials.write("older", 3)
    trials.write("newer", 5)
    trials.write("foreign", 7, block="b")
    trials.write("broken", 9).write_bytes(b"no checkpoint")
    copy = trials.files("copy")
    assert copy.inherit_checkpoint() == trials.folder / "newer"
    assert copy.checkpoint.load() == {"epoch": 5}
    copy.write_result({"default": 1.0})
    assert trials.files("newer").checkpoint.load() == {"epoch": 5}  # it is not the copy's to remove


def test_a_trials_own_checkpoint_goes_first(tmp_path: Path) -> None:
    trials = Trials(tmp_path)
    trials.write("copy", 4)
    trials.write("newer", 5)
    copy = trials.files("copy")
    assert copy.inherit_checkpoint() is None
    assert copy.checkpoint.load() == {"epoch": 4}


def test_a_copy_knows_the_epochs_of_the_checkpoint(tmp_path: Path) -> None:
    trials = Trials(tmp_path)
    epochs = [EpochResult(number, 0.5, 60.0 + number, 0.1, 0, 1.0) for number in (1, 2)]
    own = trials.files("older").checkpoint
    state = {"epochs": [asdict(epoch) for epoch in epochs]}
    Checkpoint(own.path, own.fingerprint, seconds_between=0).save(state)
    copy = trials.files("copy")
    assert copy.checkpoint.epochs() == []
    copy.inherit_checkpoint()
    assert copy.checkpoint.epochs() == epochs


def test_without_one_a_copy_starts_anew(tmp_path: Path) -> None:
    trials = Trials(tmp_path)
    trials.write("foreign", 7, block="b")
    copy = trials.files("copy")
    assert copy.inherit_checkpoint() is None
    assert copy.checkpoint.load() is None
