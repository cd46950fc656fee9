"""The tuner of final trainings, with NNI's manager played around it and killed at each point."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections import Counter, deque
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import nni
import pytest
from made_experiments import make_experiment

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.exchange.finalists import finalists_space, grid_of
from nni_blockqnn.exchange.kept_results import RESULT_NAME
from nni_blockqnn.finalists_tuner import FinalistsTuner

KERNELS = (1, 3, 5)
BLOCKS = [Block.parse([[1, 1, a, 0, 0], [2, 1, b, 1, 0]]) for a in KERNELS for b in KERNELS][:7]
SPACE = finalists_space(BLOCKS, 2, "digits")
GRID = list(grid_of(SPACE))
CODES = [parameters["block"] for parameters in GRID]


class KilledError(Exception):
    """NNI's manager and all that it started are gone."""


class Manager:
    """NNI's manager as nnimanager.js and nniDataStore.js have it; each step may be the last one.

    Attributes:
        ended: the block of each trial that was trained to the end and kept its result.
        most: the experiment's maxTrialNumber.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, most: int = 7) -> None:
        self.database = make_experiment(folder)
        self.directory = self.database.parents[1]
        (self.directory / "checkpoint").mkdir()
        monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", str(self.directory / "checkpoint"))
        self.most = most
        self.ended: dict[str, str] = {}
        self._now = 1_000_000
        self._steps = 0
        self._made = 0

    @property
    def trained(self) -> Counter[str]:
        """How often each block was."""
        return Counter(self.ended.values())

    def run(self, concurrency: int, steps: int = 10**6, space: Any = None) -> None:
        """Start, or resume, and go on to the end, or until it is killed after so many steps."""
        self._now += 10_000
        self._steps = steps
        self._waiting: deque[tuple[str | None, dict[str, Any]]] = deque()
        with suppress(KilledError):
            self._run(concurrency, SPACE if space is None else space)

    def _run(self, concurrency: int, space: Any) -> None:
        trials = self._trials()
        under_way = [name for name, (status, _) in trials.items() if status == "RUNNING"]
        submitted = len(trials) - len(under_way)
        for name in under_way:
            self._waiting.append((name, trials[name][1]))
            self._store(name, "ADD_RESUMED", None)
        self.tuner = FinalistsTuner()
        self.tuner.load_checkpoint()
        self.tuner.update_search_space(space)
        done = [{"parameter": p, "value": 1} for s, p in trials.values() if s == "SUCCEEDED"]
        self.tuner.import_data(done)
        self._request(concurrency)
        running: deque[tuple[str, dict[str, Any]]] = deque()
        while running or (self._waiting and submitted < self.most):
            while self._waiting and len(running) < concurrency and submitted < self.most:
                known, parameters = self._waiting.popleft()
                submitted += 1
                self._made += known is None
                name = known or f"trial{self._made}"
                self._step()  # the trial runs, and NNI has not written it down yet
                self._store(name, "RUNNING", parameters)
                running.append((name, parameters))
            name, parameters = running.popleft()
            self._step()
            self._keep(name, parameters)
            self._store(name, "SUCCEEDED", None)
            if submitted < self.most:
                self._request(1)

    def _keep(self, name: str, parameters: dict[str, Any]) -> None:
        folder = self.directory / "environments" / "local-env" / "trials" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RESULT_NAME).write_text('{"fingerprint": "", "metric": {"default": 1.0}}')
        self.ended[name] = parameters["block"]

    def _request(self, count: int) -> None:
        self._step()
        for parameters in self.tuner.generate_multiple_parameters([*range(count)]):
            self._waiting.append((None, parameters))
            self._step()

    def _step(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise KilledError

    def _store(self, name: str, event: str, parameters: Any) -> None:
        self._step()
        self._now += 10
        data = None
        if parameters is not None:
            data = json.dumps({"parameter_id": 0, "parameters": parameters})
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute("pragma synchronous = off")  # a played kill spares the machine
            row = (self._now, name, event, data, None, 0, None, None)
            connection.execute("insert into TrialJobEvent values (?,?,?,?,?,?,?,?)", row)

    def _trials(self) -> dict[str, tuple[str, Any]]:
        """Status and parameters."""
        found: dict[str, tuple[str, Any]] = {}
        with closing(sqlite3.connect(self.database)) as connection:
            for name, event, data in connection.execute(
                "select trialJobId, event, data from TrialJobEvent order by rowid"
            ):
                parameters = json.loads(data)["parameters"] if data else found[name][1]
                found[name] = (event, parameters)
        return found

    @property
    def forgotten(self) -> set[str]:
        """Blocks whose trials were to run again when the manager that was to run them died."""
        return {p["block"] for status, p in self._trials().values() if status == "ADD_RESUMED"}


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manager:
    return Manager(tmp_path, monkeypatch)


def test_it_sends_the_grid_in_its_order_and_then_no_more() -> None:
    tuner = FinalistsTuner()
    tuner.update_search_space(SPACE)
    assert tuner.generate_multiple_parameters([*range(9)]) == GRID
    with pytest.raises(nni.NoMoreTrialError):
        tuner.generate_parameters(9)


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_kill_at_any_point_neither_loses_nor_repeats_a_finalist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, concurrency: int
) -> None:
    """Two kills: at each point of the first run, and some time after its resume has begun."""
    last = 50
    for kill in range(last):
        manager = Manager(tmp_path / str(kill), monkeypatch)
        manager.run(concurrency, kill)
        manager.run(concurrency, 2 * concurrency + 5 + kill % 11)
        manager.run(concurrency)
        left_to_retry = manager.forgotten - {*manager.trained}
        expected = dict.fromkeys({*CODES} - left_to_retry, 1)
        assert manager.trained == expected, f"killed at step {kill}"
    uninterrupted = Manager(tmp_path / "through", monkeypatch)
    uninterrupted.run(concurrency, last)
    assert uninterrupted.trained == dict.fromkeys(CODES, 1)  # so each point was tried


def test_what_a_killed_resume_has_forgotten_is_left_to_retry(manager: Manager) -> None:
    manager.run(2, 7)  # two are under way
    manager.run(2, 2)  # both are marked, and the manager dies
    assert manager.forgotten == {*CODES[:2]}
    manager.run(2)
    assert manager.trained == dict.fromkeys(CODES[2:], 1)


def test_a_failed_or_stopped_finalist_is_not_handed_out_again(manager: Manager) -> None:
    manager._steps = 10
    for name, event, parameters in (("a", "FAILED", GRID[1]), ("b", "USER_CANCELED", GRID[4])):
        manager._store(name, "RUNNING", parameters)
        manager._store(name, event, None)
    manager.run(1)
    assert manager.trained == dict.fromkeys([*CODES[:1], *CODES[2:4], *CODES[5:]], 1)


def test_a_longer_list_goes_on_where_the_shorter_one_ended(manager: Manager) -> None:
    manager.most = 4
    manager.run(2, space=finalists_space(BLOCKS[:4], 2, "digits"))
    manager.most = 7
    manager.run(2)
    assert manager.trained == dict.fromkeys(CODES, 1)


def test_a_search_space_may_change_while_it_runs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    tuner = FinalistsTuner()
    tuner.update_search_space(finalists_space(BLOCKS[:3], 2, "digits"))
    first = tuner.generate_multiple_parameters([0, 1])
    tuner.update_search_space({"block": {"_type": "nsc", "_value": {}}})
    assert "stays as it was: block must be" in caplog.text
    tuner.update_search_space(SPACE)
    assert first + tuner.generate_multiple_parameters([*range(9)]) == GRID


def test_a_search_space_that_is_no_grid_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="block must be"):
        FinalistsTuner().update_search_space({"block": {"_type": "nsc", "_value": {}}})


def test_imported_results_and_repetitions_are_left_out() -> None:
    space = json.loads(json.dumps(SPACE))
    space["block"]["_value"].append(CODES[0])
    tuner = FinalistsTuner()
    tuner.update_search_space(space)
    tuner.import_data([{"parameter": GRID[2], "value": 1.0}, {"parameter": None, "value": None}])
    assert tuner.generate_multiple_parameters([*range(9)]) == GRID[:2] + GRID[3:]
