"""The output folder of a search: what it is for, and which of NNI's experiments are its stages.

It keeps no record of how far the search is. That is in NNI's experiments, in the trainings'
checkpoints, and in the results of the stages, which appear here whole or not at all.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from nni_blockqnn.automl.configuration import CONFIG_NAME
from nni_blockqnn.automl.request import Request, RequestError, difference
from nni_blockqnn.bridge.database import ExperimentDatabaseError, read_profile
from nni_blockqnn.bridge.experiments import (
    Experiment,
    ExperimentNotFoundError,
    find_experiment,
    known_experiments,
)
from nni_blockqnn.common.files import foreign_entries, write_whole
from nni_blockqnn.common.messages import shown

_RECORD_NAME = "search.json"
_LOCK_NAME = "search.lock"
_ROOM_BYTES = 500 * 2**20
_REMEDY = "name another folder with -o"


class Expected(NamedTuple):
    """Seconds that were planned, for the search and for everything."""

    search: float
    everything: float


class SearchFolder:
    """The folder of one search.

    Attributes:
        path: absolute.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self._lock = FileLock(self.path / _LOCK_NAME, timeout=0)

    @property
    def config(self) -> Path:
        return self.path / CONFIG_NAME

    @property
    def finalists(self) -> Path:
        """What the search has chosen; its configuration has the ending .yml."""
        return self.path / "finalists.json"

    @property
    def winners(self) -> Path:
        """What the finalists' trainings have chosen."""
        return self.path / "winner.json"

    def training(self, name: str) -> Path:
        """Where a network is trained on all training data."""
        return self.path / "trained" / name

    @property
    def network(self) -> Path:
        """The exported winner."""
        return self.path / "network"

    @property
    def answer(self) -> Path:
        """Written last."""
        return self.path / "result.json"

    def check(self, request: Request) -> None:
        """Check that the folder is this search's, or that of none.

        Raises:
            RequestError: naming what differs, or what else the folder is.
        """
        record = self._record()
        if record is None:
            if self.path.exists() and not self.path.is_dir():
                raise RequestError(f"{self.path} is a file: {_REMEDY}")
            others = self._others()
            if others and not self.config.is_file():
                raise RequestError(
                    f"{self.path} is no folder of a search and not empty, it holds "
                    f"{shown(others[0])}: {_REMEDY}"
                )
            return
        before = record.get("request")
        if not isinstance(before, Mapping):
            raise RequestError(f"{self.path / _RECORD_NAME} is damaged: {_REMEDY}")
        if what := difference(before, request.to_json()):
            raise RequestError(
                f"{self.path} is the folder of another search: {what}; {_REMEDY}, or give the "
                "arguments of then"
            )

    @property
    def expected(self) -> Expected | None:
        """As it was planned; None if the configuration is a user's own."""
        planned = (self._record() or {}).get("expected")
        return None if planned is None else Expected(*planned)

    def claim(self, request: Request, fingerprint: str, expected: Expected | None = None) -> None:
        """Reserve the folder for this process; :meth:`release` frees it.

        Args:
            fingerprint: of the data.
            expected: if it was planned just now.

        Raises:
            RequestError: if another process is at work in it, the data has changed, or the disk
                is full.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.path).free
        if free < _ROOM_BYTES:
            raise RequestError(
                f"{self.path} lies on a disk with {free / 2**20:,.0f} MiB left, and a search needs "
                f"{_ROOM_BYTES / 2**20:,.0f}: make room, or {_REMEDY}"
            )
        try:
            self._lock.acquire()
        except Timeout:
            raise RequestError(f"another search is at work in {self.path}") from None
        try:
            self._write_request(request, fingerprint, expected)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        self._lock.release()
        with suppress(OSError):
            (self.path / _LOCK_NAME).unlink()

    def _write_request(self, request: Request, fingerprint: str, expected: Expected | None) -> None:
        record = self._record()
        if record is None:
            self._write(
                {
                    "request": request.to_json(),
                    "data": fingerprint,
                    "begun": time.time(),
                    "expected": expected,
                    "experiments": {},
                }
            )
        elif record.get("data") != fingerprint:
            raise RequestError(
                f"the data {shown(request.data)} has changed since the search in {self.path} "
                f"began: give the data of then, or {_REMEDY}"
            )

    def experiment(self, stage: str) -> Experiment | None:
        """NNI's experiment of a stage; None if it was not started, or is gone.

        If a kill came between its start and :meth:`keep_experiment`, it is known by the tuner's
        directory, which is this folder.
        """
        record = self._record() or {}
        known = record.get("experiments", {}).get(stage)
        if known is not None:
            with suppress(ExperimentNotFoundError, ExperimentDatabaseError):
                return find_experiment(str(known))
        begun = float(record.get("begun", 0.0))
        for experiment in known_experiments():
            if isinstance(experiment, Experiment) and self._is_own(experiment, stage, begun):
                self.keep_experiment(stage, experiment.id)
                return experiment
        return None

    def keep_experiment(self, stage: str, experiment_id: str) -> None:
        record = self._record() or {}
        record["experiments"] = {**record.get("experiments", {}), stage: experiment_id}
        self._write(record)

    def _is_own(self, experiment: Experiment, stage: str, begun: float) -> bool:
        tuner = experiment.config.get("tuner") or {}
        directory = tuner.get("codeDirectory")
        trains_finalists = "Finalists" in str(tuner.get("className"))
        if not isinstance(directory, str) or trains_finalists != (stage == "finalists"):
            return False
        started = read_profile(experiment.directory).started
        if started is not None and started < begun:
            return False  # of an earlier search in a folder of this name
        return Path(directory).resolve() == self.path.resolve()

    def _others(self) -> list[str]:
        return foreign_entries(self.path, {_LOCK_NAME, _RECORD_NAME})

    def _record(self) -> dict[str, Any] | None:
        try:
            record = json.loads((self.path / _RECORD_NAME).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise RequestError(f"{self.path / _RECORD_NAME} is damaged: {_REMEDY}")
        return record

    def _write(self, record: Mapping[str, Any]) -> None:
        write_whole(self.path / _RECORD_NAME, json.dumps(record, indent=1) + "\n")
