"""How an experiment stands: running, ended, stopped or killed, and when it will end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from made_experiments import make_experiment
from standing_experiments import DONE, FAILED, GAVE_UP, UNDER_WAY, Manager, runs, search, write

from nni_blockqnn.bridge import managers
from nni_blockqnn.results import status as status_module
from nni_blockqnn.results.experiment import Results, find_experiment, read_results
from nni_blockqnn.results.status import end_in_words, read_status


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    runs(monkeypatch)
    return tmp_path / "nni-experiments"


@pytest.mark.parametrize(
    ("listed", "is_there", "trials", "text", "why"),
    [
        ("RUNNING", True, [], "starting: 0 of 10 trials done", ""),
        ("RUNNING", True, [DONE, UNDER_WAY], "running: 1 of 10 trials done, 1 running", ""),
        ("NO_MORE_TRIAL", True, [UNDER_WAY], "running: 0 of 10 trials done, 1 running", ""),
        ("RUNNING", False, [DONE, UNDER_WAY], "killed: 1 of 10 trials done", "its manager"),
        ("RUNNING", False, [DONE] * 10, "finished: 10 of 10 trials done", ""),
        ("STOPPED", False, [DONE], "stopped: 1 of 10 trials done", ""),
        ("STOPPED", False, [DONE] * 10, "finished: 10 of 10 trials done", ""),
        ("DONE", True, [DONE], "finished: 1 of 10 trials done", ""),
        ("ERROR", True, [DONE], "failed: 1 of 10 trials done", "NNI's logs say why"),
    ],
)
def test_states(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    listed: str,
    is_there: bool,
    trials: list[tuple[str, Any]],
    text: str,
    why: str,
) -> None:
    if is_there:
        runs(monkeypatch, Manager(home))
    status = read_status(search(home, *trials, status=listed))
    assert status.text == text
    assert why in status.why
    assert bool(status.why) == bool(why)


@pytest.mark.parametrize(
    ("listed", "is_there"), [("TUNER_NO_MORE_TRIAL", True), ("STOPPED", False)]
)
@pytest.mark.parametrize(
    ("log", "state", "why"),
    [
        (f"Dispatcher started\n{GAVE_UP}\n", "given up", "the last 10 trials failed"),
        (
            "Dispatcher started\nThe search ends: all blocks of the space are trained",
            "finished",
            "all",
        ),
        (f"Dispatcher started\n{GAVE_UP}\nDispatcher started\n", "stopped", ""),
    ],
)
def test_a_search_that_its_tuner_ended(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    listed: str,
    is_there: bool,
    log: str,
    state: str,
    why: str,
) -> None:
    if is_there:
        runs(monkeypatch, Manager(home))
        state = "finished" if state == "stopped" else state  # it has no more, and does not say why
    results = search(home, FAILED, status=listed)
    write(home, "log/dispatcher.log", log)
    status = read_status(results)
    assert status.state == state
    assert status.why.startswith(why)


def test_an_experiment_that_nnis_list_lost_is_asked_for_its_status(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = search(home, DONE)
    (home / ".experiment").write_text("{")
    asked: list[Any] = []

    def answer(one: Any) -> str:
        asked.append(one)
        return "RUNNING"

    monkeypatch.setattr(status_module.launch, "status", answer)
    results = read_results(find_experiment())
    assert read_status(results).state == "stopped"
    runs(monkeypatch, Manager(home))
    assert read_status(results).state == "running"
    assert asked == [("abcd1234", 8099)]


@pytest.mark.parametrize(
    "process",
    [
        Manager(Path("/elsewhere")),
        Manager(Path("nni-experiments"), "abcd1234", "view"),
        Manager(Path("nni-experiments"), "abcd12345"),
    ],
)
def test_another_manager_is_not_taken_for_its_own(
    home: Path, monkeypatch: pytest.MonkeyPatch, process: Manager
) -> None:
    monkeypatch.chdir(home.parent)
    runs(monkeypatch, process)
    assert read_status(search(home, DONE)).state == "killed"


def test_the_end_is_expected_at_the_pace_so_far(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(monkeypatch, Manager(home))
    results = search(home, DONE, DONE, FAILED, UNDER_WAY)  # in 90 s
    assert read_status(results).seconds_left == 210
    config = results.experiment.config | {"maxExperimentDuration": "3m"}
    assert read_status(_with_config(results, config)).seconds_left == 90
    config = {"maxExperimentDuration": 100}
    assert read_status(_with_config(results, config)).seconds_left == 10
    assert read_status(_with_config(results, {})).seconds_left is None
    assert read_status(_with_config(results, {})).text == "running: 3 trials done, 1 running"


def _with_config(results: Results, config: Any) -> Results:
    return replace(results, experiment=replace(results.experiment, config=config))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (10, "about 1 min left, until "),
        (3_600, "about 1 h 0 min left, until "),
        (200_000, "about 2 d 7 h left, until 1970-01-"),
        (1e18, "about 11,574,074,074,074 d 1 h left"),
    ],
)
def test_the_end_in_words(seconds: float, text: str) -> None:
    assert end_in_words(seconds, now=43_200.0).startswith(text)


def test_a_manager_is_found_among_real_processes(tmp_path: Path) -> None:
    """Other users' and those that end meanwhile do no harm."""
    make_experiment(tmp_path)
    assert managers.find_manager(find_experiment("abcd1234", tmp_path)) is None
    assert managers.port_of(psutil.Process()) is None
