"""A stage's experiment is started, watched, gone on with or only read, as its state asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_experiments import final, make_experiment

from nni_blockqnn.automl import _experiments
from nni_blockqnn.automl._experiments import (
    Stage,
    StageError,
    carry_out,
    check_results,
    run_lost_again,
)
from nni_blockqnn.automl._folder import SearchFolder
from nni_blockqnn.automl.request import Request
from nni_blockqnn.bridge.launch import Launched, LaunchError
from nni_blockqnn.results.experiment import Results
from nni_blockqnn.results.status import Status

SEARCH = {"tuner": {"className": "nni_blockqnn.tuner.BlockQNNTuner"}, "maxTrialNumber": 2}


class FakeNni:
    """NNI as the stages see it: what was called, and what its experiment's status will be."""

    def __init__(self, *statuses: str, state: str = "stopped", runs: bool = False) -> None:
        self.calls: list[str] = []
        self.statuses = list(statuses)
        self.state = state
        self.runs = runs
        self.fails: list[Exception] = []

    def start(self, config: Path, port: int | None, *, loopback: bool) -> Launched:
        return self._launch("start")

    def resume(self, experiment: Any, port: int | None, *, loopback: bool) -> Launched:
        return self._launch("resume")

    def _launch(self, name: str) -> Launched:
        self.calls.append(name)
        if self.fails:
            raise self.fails.pop(0)
        home = Path.home() / "nni-experiments"
        if not (home / "abcd1234").exists():
            make_experiment(home, finals=[("trial0", final())], config=SEARCH)
        return Launched("abcd1234", 8080)

    def running_manager(self, experiment: Any) -> Launched | None:
        return Launched("abcd1234", 8080) if self.runs else None

    def status(self, launched: Launched) -> str:
        status = self.statuses.pop(0)
        if status == "ctrl-c":
            raise KeyboardInterrupt
        return status

    def stop(self, experiment_id: str) -> None:
        self.calls.append("stop")

    def read_status(self, results: Results) -> Status:
        why = "5 trials failed in a row" if self.state == "given up" else ""
        return Status(self.state, why, 1, 2, 0, None)  # type: ignore[arg-type]


@pytest.fixture
def stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[FakeNni], Callable[[], Results]]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = SearchFolder(tmp_path / "found")
    folder.claim(Request("digits", 1.0), "data")
    seen: list[str] = []

    def make(nni: FakeNni) -> Callable[[], Results]:
        for module, names in (
            (_experiments.launch, ("start", "status", "stop")),
            (_experiments.resuming, ("resume", "running_manager")),
            (_experiments, ("read_status",)),
        ):
            for name in names:
                monkeypatch.setattr(module, name, getattr(nni, name))
        monkeypatch.setattr(_experiments.time, "sleep", lambda seconds: None)
        search = Stage(folder, "search", folder.config)
        return lambda: carry_out(search, lambda results, url: seen.append(url))

    return make


def test_it_is_started_once_and_then_only_read(stage: Any) -> None:
    nni = FakeNni("RUNNING", "RUNNING", "DONE", state="finished")
    run = stage(nni)
    assert len(run().trials) == 1
    assert nni.calls == ["start", "stop"]
    assert len(run().trials) == 1
    assert "start" not in nni.calls[2:]
    assert "resume" not in nni.calls


def test_one_that_runs_is_watched_again(stage: Any) -> None:
    nni = FakeNni("ctrl-c", "RUNNING", "DONE")
    run = stage(nni)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert nni.calls == ["start", "stop"]  # Ctrl-C stops it
    nni.runs = True
    run()
    assert nni.calls[2:] == ["stop"]


def test_one_that_was_stopped_or_killed_goes_on(stage: Any) -> None:
    nni = FakeNni("ctrl-c", "RUNNING", "DONE", state="killed")
    run = stage(nni)
    with pytest.raises(KeyboardInterrupt):
        run()
    run()
    assert nni.calls == ["start", "stop", "resume", "stop"]


def test_a_manager_that_dies_meanwhile_is_started_again(stage: Any) -> None:
    nni = FakeNni("RUNNING", "GONE", "RUNNING", "ERROR", "DONE")
    stage(nni)()
    assert nni.calls == ["start", "resume", "resume", "stop"]


def test_one_that_dies_again_and_again_is_given_up(stage: Any) -> None:
    nni = FakeNni(*["GONE"] * 20)
    said = r"experiment of the search ended 6 times without a new result \(GONE\)"
    with pytest.raises(StageError, match=said):
        stage(nni)()


def test_one_that_dies_now_and_then_is_not_given_up(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    nni = FakeNni(*["GONE"] * 20, "DONE")
    run = stage(nni)
    read = _experiments.read_results

    def with_more_each_time(experiment: Any) -> Results:
        results = read(experiment)
        return replace(results, trials=results.trials * len(nni.calls))

    monkeypatch.setattr(_experiments, "read_results", with_more_each_time)
    run()
    assert nni.calls == ["start", *["resume"] * 20, "stop"]


def test_a_manager_that_is_too_busy_to_answer_is_left_alone(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    nni = FakeNni("RUNNING", *["GONE"] * 30, "RUNNING", *["GONE"] * 30, "DONE")
    monkeypatch.setattr(_experiments, "find_manager", lambda experiment: object())
    stage(nni)()
    assert nni.calls == ["start", "stop"]


def test_a_manager_that_never_answers_again_is_replaced(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    nni = FakeNni(*["GONE"] * 31, "DONE")
    monkeypatch.setattr(_experiments, "find_manager", lambda experiment: object())
    stage(nni)()
    assert nni.calls == ["start", "resume", "stop"]


def test_a_tuner_without_further_blocks_ends_it(stage: Any) -> None:
    nni = FakeNni(*["TUNER_NO_MORE_TRIAL"] * 5)
    assert len(stage(nni)().trials) == 1


def test_a_slow_machine_gets_more_attempts(stage: Any) -> None:
    nni = FakeNni("DONE")
    nni.fails = [LaunchError("Tuner did not connect in 10 seconds")] * 3
    stage(nni)()
    assert nni.calls == ["start"] * 4 + ["stop"]


def test_another_fault_of_the_start_is_said_at_once(stage: Any) -> None:
    nni = FakeNni()
    nni.fails = [LaunchError("trialGpuNumber is 4")]
    with pytest.raises(LaunchError, match="trialGpuNumber is 4"):
        stage(nni)()
    assert nni.calls == ["start"]


def test_one_that_gave_up_says_why(stage: Any) -> None:
    nni = FakeNni("DONE", state="given up")
    results = stage(nni)()
    with pytest.raises(StageError, match=r"abcd1234 is given up: .* 5 trials failed in a row"):
        check_results(results)
    nni.state = "finished"
    check_results(results)
    with pytest.raises(StageError, match="abcd1234 is finished"):
        check_results(replace(results, trials=()))


@pytest.mark.parametrize("by_this_manager", [True, False])
def test_trials_that_the_resume_has_queued_are_waited_for(
    stage: Any, monkeypatch: pytest.MonkeyPatch, by_this_manager: bool
) -> None:
    """NNI says that the tuner has no more, before it runs those again that a kill has cut off.

    Those that an earlier manager has queued never run.
    """
    nni = FakeNni(*["TUNER_NO_MORE_TRIAL"] * 8, "RUNNING", "DONE")
    run = stage(nni)
    queued_ms = 50_000
    events = [(queued_ms, "killed", "ADD_RESUMED")]
    make_experiment(Path.home() / "nni-experiments", events=events, config=SEARCH)
    started = queued_ms / 1_000 + (-1 if by_this_manager else 1)
    monkeypatch.setattr(_experiments.resuming, "manager_started", lambda experiment: started)
    run()
    assert len(nni.statuses) == (0 if by_this_manager else 5)


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("trainingService: {platform: local}", True),
        ("trainingService: {platform: remote}", False),
        ("trainingService: [{platform: local}, {platform: remote}]", False),
        ("trainingService: 3", True),  # NNI says what is wrong
        ("{", True),
        ("", True),
    ],
)
def test_other_machines_must_reach_the_manager(text: str, local: bool, tmp_path: Path) -> None:
    (tmp_path / "search.yml").write_text(text)
    assert _experiments._is_local(tmp_path / "search.yml") is local


def test_nothing_is_run_again_where_nothing_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = SearchFolder(tmp_path / "found")
    folder.claim(Request("digits", 1.0), "data")
    finalists = Stage(folder, "finalists", folder.config)
    assert run_lost_again(finalists, lambda results, url: None) is None
