"""Results that a trial kept on the disk and could not report (docs/faults.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from playing import Experiment, metric, tuner

from nni_blockqnn.exchange.kept_results import ResultFile, kept_metrics
from nni_blockqnn.record.journal import JOURNAL_NAME, read_events


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An experiment's directory, as NNI lays it out."""
    (tmp_path / "checkpoint").mkdir()
    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", str(tmp_path / "checkpoint"))
    return tmp_path


def keep(experiment: Path, trial: str, parameters: dict, **others: object) -> None:
    folder = experiment / "environments" / "local-env" / "trials" / trial
    folder.mkdir(parents=True)
    ResultFile(folder, parameters, []).write(metric(parameters) | others)


def test_a_restart_counts_a_kept_result_once(experiment: Path) -> None:
    """NNI forgets a trial whose manager dies again before it runs once more."""
    killed = Experiment(tuner(), 2)
    killed.fill()
    first, second = killed.sent
    keep(experiment, "aaaaa", first)

    resumed = tuner()
    (result,) = resumed.history
    assert (result.episode, result.block.to_json()) == (first["episode"], first["block"])
    assert result.reward == metric(first)["default"]

    # NNI ran both trials again after all
    resumed.import_data([{"parameter": None, "value": metric(p)} for p in (first, second)])
    resumed.receive_trial_result(0, first, metric(first))
    assert [r.episode for r in resumed.history] == [first["episode"], second["episode"]]
    assert tuner().history == resumed.history


def test_a_trial_that_was_killed_before_it_could_report_counts(experiment: Path) -> None:
    played = Experiment(tuner(), 2)
    played.fill()
    first, second = played.sent
    keep(experiment, "aaaaa", first)
    played.fail(0)
    played.fail(1)
    assert [result.episode for result in played.tuner.history] == [first["episode"]]
    released = [
        event["episode"]
        for event in read_events(experiment / "checkpoint" / JOURNAL_NAME)
        if event["event"] == "release"
    ]
    assert released == [second["episode"]]


def test_what_the_tuner_never_sent_does_not_count(experiment: Path) -> None:
    """As of a trial that was copied with another block, or of a failure."""
    killed = Experiment(tuner(), 3)
    killed.fill()
    first, second, third = killed.sent
    keep(experiment, "other-block", first | {"block": "[[1,1,3,0,0],[2,7,0,0,0]]"})
    keep(experiment, "other-episode", second | {"episode": 1000})
    keep(experiment, "no-number", third, default="a lot")
    (experiment / "environments" / "local-env" / "trials" / "torn").mkdir()
    torn = experiment / "environments" / "local-env" / "trials" / "torn" / "blockqnn-result.json"
    torn.write_text('{"metric": {"def')
    assert len(kept_metrics(experiment)) == 3
    assert tuner().history == []
