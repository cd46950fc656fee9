"""NNI's files on this machine: its list of experiments and the database of each.

Files, not NNI's REST server, so that a stopped experiment is as good as a running one:
``~/nni-experiments/.experiment`` lists the experiments; ``db/nni.sqlite`` in the directory of each
holds its profile, its trials and their metrics.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nni_blockqnn.common.messages import UserError

_LOCK_SECONDS = 10.0
_MOST_NAMED = 10


class ExperimentNotFoundError(UserError, LookupError):
    """No such experiment on this machine; the message lists those that there are."""


class ExperimentDatabaseError(UserError, RuntimeError):
    """An experiment whose database cannot be read; the message names the file and the cause."""


@dataclass(frozen=True)
class Experiment:
    """An experiment as NNI's own files describe it.

    Attributes:
        directory: holds ``db/nni.sqlite``, ``checkpoint`` and ``log``.
        port: of the web UI when it was last started.
        status: as NNI last wrote it; "UNKNOWN" if NNI's list has lost the experiment.
        config: the experiment's configuration, in NNI's camelCase keys.
    """

    id: str
    name: str
    directory: Path
    port: int | None
    status: str
    config: Mapping[str, Any]

    @property
    def database(self) -> Path:
        return database_in(self.directory)


@dataclass(frozen=True)
class Profile:
    """What NNI's database says about an experiment as a whole.

    Attributes:
        started: when it was created, in seconds since 1970.
        seconds: how long it has run, over all its resumptions.
    """

    config: Mapping[str, Any]
    started: float | None
    seconds: float | None


def find_experiment(experiment_id: str | None = None, home: Path | None = None) -> Experiment:
    """The experiment of that ID, or the one that was started last if none is given.

    Args:
        experiment_id: as ``nnictl experiment list --all`` shows it.
        home: the directory of NNI's list, by default ``~/nni-experiments``.

    Raises:
        ExperimentNotFoundError: listing the known experiments.
        ExperimentDatabaseError: if the experiment's database cannot be read.
    """
    home = Path.home() / "nni-experiments" if home is None else Path(home)
    listed = _listed(home)
    # NNI's list loses entries when two managers write it at once, but the directories stay.
    # They are found by name only: when such an experiment was started, nothing says.
    known: dict[str, Mapping[str, Any]] = {name: {} for name in _directories(home)} | listed
    chosen = max(listed, key=lambda name: _start(listed[name]), default=None)
    if experiment_id is not None:
        chosen = experiment_id if experiment_id in known else None
    if chosen is None:
        raise ExperimentNotFoundError(_not_found(experiment_id, home, known))
    entry = known[chosen]
    directory = _directory(home, chosen, entry)
    config = read_profile(database_in(directory)).config
    port = entry.get("port")
    return Experiment(
        id=chosen,
        name=str(entry.get("experimentName") or config.get("experimentName") or ""),
        directory=directory,
        port=port if isinstance(port, int) else None,
        status=str(entry.get("status", "UNKNOWN")),
        config=config,
    )


def read_profile(database: Path) -> Profile:
    """The last revision of the experiment's profile.

    Raises:
        ExperimentDatabaseError: if the database cannot be read.
    """
    (rows,) = query(
        database,
        "select params, startTime, execDuration from ExperimentProfile "
        "order by revision desc limit 1",
    )
    if not rows:  # NNI writes it a moment after it has made the tables
        return Profile({}, None, None)
    config, started, seconds = rows[0]
    return Profile(json.loads(config), None if started is None else started / 1000, seconds)


def query(database: Path, *statements: str) -> list[list[tuple[Any, ...]]]:
    """The rows of each statement; the database is opened read-only, a lock waited for.

    Raises:
        ExperimentDatabaseError: if the database cannot be read.
    """
    try:
        try:
            return _run(database, "ro", statements)
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error):
                raise
        # NNI was killed while it wrote. SQLite wants to undo that first: in a copy, it may.
        with TemporaryDirectory() as scratch:
            for file in database.parent.glob(f"{database.name}*"):
                shutil.copy(file, scratch)
            return _run(Path(scratch) / database.name, "rw", statements)
    except sqlite3.Error as error:
        raise ExperimentDatabaseError(f"cannot read NNI's database {database}: {error}") from error


def _run(database: Path, mode: str, statements: Sequence[str]) -> list[list[tuple[Any, ...]]]:
    uri = f"{database.resolve().as_uri()}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=_LOCK_SECONDS)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements]


def _listed(home: Path) -> dict[str, Mapping[str, Any]]:
    """NNI's list of experiments, without those whose database is gone."""
    entries = _read_list(home / ".experiment")
    return {
        name: entry
        for name, entry in entries.items()
        if isinstance(entry, dict) and database_in(_directory(home, name, entry)).is_file()
    }


def _read_list(path: Path) -> Mapping[str, Any]:
    for _ in range(5):  # NNI rewrites the file in place, so it may be seen half written
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            time.sleep(0.05)
        else:
            return entries if isinstance(entries, dict) else {}
    return {}


def _directories(home: Path) -> list[str]:
    directories = (path.parent.parent for path in home.glob("*/db/nni.sqlite"))
    return [path.name for path in directories if not path.is_symlink()]  # _latest is a link


def _directory(home: Path, experiment_id: str, entry: Mapping[str, Any]) -> Path:
    return Path(entry.get("logDir") or home).expanduser() / experiment_id


def database_in(directory: Path) -> Path:
    return directory / "db" / "nni.sqlite"


def _start(entry: Mapping[str, Any]) -> float:
    start = entry.get("startTime")
    return start if isinstance(start, (int, float)) else 0.0


def _not_found(
    experiment_id: str | None, home: Path, known: Mapping[str, Mapping[str, Any]]
) -> str:
    wanted = "experiment" if experiment_id is None else f"experiment {experiment_id!r}"
    if not known:
        return f"no {wanted} in {home}, nor any other; start one with `blockqnn create CONFIG`"
    newest = sorted(known, key=lambda name: _start(known[name]), reverse=True)
    names = [f"{name} ({known[name].get('experimentName') or 'unnamed'})" for name in newest]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"no {wanted} in {home}; known are, newest first: {', '.join(names[:_MOST_NAMED])}{more}"
