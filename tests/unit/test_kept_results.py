"""Results that a trial kept on the disk and could not report (docs/faults.md)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from playing import Experiment, metric, tuner

import nni_blockqnn.tuner
from nni_blockqnn.exchange.kept_results import (
    CHECKPOINT_NAME,
    RESULT_NAME,
    KeptResults,
    ResultFile,
    checkpoint_time,
    kept_metric,
)
from nni_blockqnn.hosts import results
from nni_blockqnn.hosts.machine import Machine
from nni_blockqnn.hosts.results import Fetched, Fetcher
from nni_blockqnn.record.journal import JOURNAL_NAME, read_events
from nni_blockqnn.tuner import BlockQNNTuner

HOST = Machine("10.0.0.2", "me")


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
        (event["episode"], event["failed"])
        for event in read_events(experiment / "checkpoint" / JOURNAL_NAME)
        if event["event"] == "release"
    ]
    assert released == [(second["episode"], True)]


def test_a_lost_trials_result_is_fetched_from_its_host(
    experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first round finds the host cut off. No callback of NNI's is needed for the second."""
    rounds: list[int] = []

    def fetch_files(machines: tuple[Machine, ...], directory: Path, name: str) -> Fetched:
        assert (machines, directory, name) == ((HOST,), experiment, RESULT_NAME)
        fetched = Fetched()
        if rounds:
            keep(experiment, "aaaaa", played.sent[0])
            fetched.files = 1
        else:
            fetched.failed[HOST.name] = "no answer"
        rounds.append(len(rounds))
        return fetched

    monkeypatch.setattr(results, "fetch_files", fetch_files)
    monkeypatch.setattr(results, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(nni_blockqnn.tuner, "_machines", lambda directory: [HOST])
    played = Experiment(tuner(), 2)
    played.fill()
    played.finish(1)
    assert rounds == []  # nothing is missing
    played.fail(0)
    wait_for_fetcher(played.tuner)
    assert rounds == [0, 1]
    assert [result.episode for result in played.tuner.history] == [1, 0]
    assert tuner().history == played.tuner.history


@pytest.mark.parametrize("answers_at_once", [False, True])
def test_a_trial_that_nni_takes_for_another_is_looked_for_until_it_is_found(
    experiment: Path, monkeypatch: pytest.MonkeyPatch, answers_at_once: bool
) -> None:
    """NNI says that the other trial has ended, and that one's result comes during the first round.

    The host does not answer then, or its trial still runs. No block is asked for any more, as at
    the end of a search, so nothing but the fetcher finds the result.
    """
    rounds: list[int] = []

    def fetch_files(*asked: object) -> Fetched:
        fetched = Fetched()
        rounds.append(len(rounds))
        if len(rounds) == 1:
            played.finish(1)
            if not answers_at_once:
                fetched.failed[HOST.name] = "no answer"
        else:
            keep(experiment, "aaaaa", on_the_host)
            fetched.files = 1
        return fetched

    monkeypatch.setattr(results, "fetch_files", fetch_files)
    monkeypatch.setattr(results, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(nni_blockqnn.tuner, "_machines", lambda directory: [HOST])
    played = Experiment(tuner(), 2)
    played.fill()
    elsewhere, on_the_host = played.sent
    played.in_flight = {0: on_the_host, 1: elsewhere}  # NNI's record has it the other way round
    played.fail(0)
    wait_for_fetcher(played.tuner)
    assert rounds == [0, 1]
    assert [result.episode for result in played.tuner.history] == [0, 1]


def test_a_host_is_asked_again_after_a_round_that_did_not_reach_it(tmp_path: Path) -> None:
    """Whatever the tuner misses; and a wish during a round is another round."""
    rounds: list[str] = []

    def fetch_files(*asked: object) -> Fetched:
        fetched = Fetched()
        rounds.append("silent" if not rounds else "reached")
        if len(rounds) == 1:
            fetched.failed[HOST.name] = "no answer"
        if len(rounds) == 2:
            fetcher.wish()
        return fetched

    fetcher = Fetcher(lambda: [HOST], tmp_path, RESULT_NAME, lambda: False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "fetch_files", fetch_files)
        patch.setattr(results, "_PAUSE_SECONDS", 0.0)
        fetcher.wish()
        assert fetcher._thread is not None
        fetcher._thread.join()
    assert rounds == ["silent", "reached", "reached"]


def test_a_restart_looks_on_the_hosts(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = Experiment(tuner(), 1)
    killed.fill()

    def fetch_files(*asked: object) -> Fetched:
        keep(experiment, "aaaaa", killed.sent[0])
        return Fetched()

    monkeypatch.setattr(results, "fetch_files", fetch_files)
    monkeypatch.setattr(nni_blockqnn.tuner, "_machines", lambda directory: [HOST])
    resumed = tuner()
    wait_for_fetcher(resumed)
    assert [result.episode for result in resumed.history] == [0]


def wait_for_fetcher(played: BlockQNNTuner) -> None:
    assert played._fetcher is not None
    if (thread := played._fetcher._thread) is not None:
        thread.join()


def test_a_result_that_counted_early_may_still_be_reported(
    experiment: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A trial keeps its result before it reports it, and another one may die between the two."""
    played = Experiment(tuner(), 2)
    played.fill()
    first, _ = played.sent
    keep(experiment, "aaaaa", first)
    played.fail(1)
    assert [result.episode for result in played.tuner.history] == [first["episode"]]
    played.finish(0)
    tuner().receive_trial_result(0, first, metric(first))  # and after a restart
    assert caplog.text == ""
    played.tuner.receive_trial_result(0, first, metric(first, 1.5))
    assert f"A result does not count: episode {first['episode']} has counted" in caplog.text
    assert len(played.tuner.history) == 1


def test_only_new_files_are_read(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played = Experiment(tuner(), 4)
    played.fill()
    kept = KeptResults(experiment)
    assert kept.new() == []
    keep(experiment, "aaaaa", played.sent[0])
    torn = experiment / "environments" / "local-env" / "trials" / "bbbbb" / RESULT_NAME
    torn.parent.mkdir()
    torn.write_text('{"metric": {"def')
    assert [value["episode"] for value in kept.new()] == [0]
    read: list[Path] = []
    text_of = Path.read_text

    def noted(path: Path, **given: Any) -> str:
        read.append(path)
        return text_of(path, **given)

    monkeypatch.setattr(Path, "read_text", noted)
    ResultFile(torn.parent, played.sent[1], []).write(metric(played.sent[1]))
    keep(experiment, "ccccc", played.sent[2])
    assert sorted(value["episode"] for value in kept.new()) == [1, 2]
    assert sorted(path.parent.name for path in read) == ["bbbbb", "ccccc"]


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
    assert len(KeptResults(experiment).new()) == 3
    assert tuner().history == []


def test_a_result_is_read_for_the_same_task_only(tmp_path: Path) -> None:
    parameters, identity = {"block": "[[1,4,0,0,0]]", "episode": 3}, ["digits", 12]
    file = ResultFile(tmp_path, parameters, identity)
    assert file.read() is None
    file.write({"default": 87.5})
    assert file.read() == {"default": 87.5}
    reordered = {"episode": 3, "block": "[[1,4,0,0,0]]"}
    assert ResultFile(tmp_path, reordered, identity).read() == {"default": 87.5}
    assert ResultFile(tmp_path, parameters | {"episode": 4}, identity).read() is None
    assert ResultFile(tmp_path, parameters, ["digits", 13]).read() is None


@pytest.mark.parametrize("damaged", ["", "{", "[]", "null", '{"metric": {}}', '{"fingerprint": 1}'])
def test_a_damaged_result_is_none(tmp_path: Path, damaged: str) -> None:
    file = ResultFile(tmp_path, {}, [])
    file.path.write_text(damaged, encoding="utf-8")
    assert file.read() is None


def test_one_trials_files_are_found_by_its_id_alone(experiment: Path) -> None:
    parameters = {"block": "[[1,4,0,0,0],[2,7,0,0,0]]", "repeats": 1, "network": "digits"}
    for number, trial in enumerate(("abc", "a*c")):
        keep(experiment, trial, parameters | {"episode": number})
        checkpoint = experiment / "environments/local-env/trials" / trial / CHECKPOINT_NAME
        checkpoint.touch()
        os.utime(checkpoint, (number, 1000 + number))
    for number, trial in enumerate(("abc", "a*c")):
        kept = kept_metric(experiment, trial)
        assert kept is not None
        assert kept.metric["episode"] == number
        assert checkpoint_time(experiment, trial) == 1000 + number
    assert kept_metric(experiment, "other") is checkpoint_time(experiment, "other") is None
