"""NNI's experiments on this machine.

Read from NNI's files, not from its REST server, so a stopped experiment is as good as a running
one: ``~/nni-experiments/.experiment`` lists the experiments, and each has a directory of its own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nni_blockqnn.bridge.database import database_in, read_profile
from nni_blockqnn.bridge.statuses import EXPERIMENT_ENDED
from nni_blockqnn.common.messages import UserError

_MOST_NAMED = 10


class ExperimentNotFoundError(UserError, LookupError):
    """No such experiment on this machine; the message lists the known ones."""


@dataclass(frozen=True)
class Experiment:
    """An experiment as NNI's own files describe it.

    Attributes:
        directory: holds ``db/nni.sqlite``, ``checkpoint`` and ``log``.
        port: the web UI's, when the experiment was last started; None if it is not known.
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
    def has_ended(self) -> bool:
        """Whether it was stopped, is done, or failed."""
        return self.status in EXPERIMENT_ENDED


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
    # Such an experiment is found by name only, since nothing says when it was started.
    known: dict[str, Mapping[str, Any]] = {name: {} for name in _directories(home)} | listed
    chosen = max(listed, key=lambda name: _start(listed[name]), default=None)
    if experiment_id is not None:
        chosen = experiment_id if experiment_id in known else None
    if chosen is None:
        raise ExperimentNotFoundError(_not_found(experiment_id, home, known))
    entry = known[chosen]
    directory = _directory(home, chosen, entry)
    config = read_profile(directory).config
    port = entry.get("port")
    return Experiment(
        id=chosen,
        name=str(entry.get("experimentName") or config.get("experimentName") or ""),
        directory=directory,
        port=port if isinstance(port, int) else None,
        status=str(entry.get("status", "UNKNOWN")),
        config=config,
    )


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
