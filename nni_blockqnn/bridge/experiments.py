"""NNI's experiments on this machine.

Read from NNI's files, not from its REST server, so a stopped experiment is as good as a running
one: ``~/nni-experiments/.experiment`` lists the experiments, and each has a directory of its own.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nni_blockqnn.bridge.database import ExperimentDatabaseError, database_in, read_profile
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
        status: as NNI last wrote it; "UNKNOWN" if NNI's list does not have the experiment.
        config: the experiment's configuration, in NNI's camelCase keys.
        is_elsewhere: whether its ID does not lead to this directory; the directory itself does.
    """

    id: str
    name: str
    directory: Path
    port: int | None
    status: str
    config: Mapping[str, Any]
    is_elsewhere: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether it was stopped, is done, or failed."""
        return self.status in EXPERIMENT_ENDED

    @property
    def argument(self) -> str:
        """What to type for it on a command line."""
        return shlex.quote(str(self.directory)) if self.is_elsewhere else self.id


def find_experiment(named: str | None = None, home: Path | None = None) -> Experiment:
    """The experiment of that name, or the one that was started last if none is given.

    Args:
        named: its ID, the beginning of its ID, or its folder, wherever that lies.
        home: the directory of NNI's list, by default ``~/nni-experiments``.

    Raises:
        ExperimentNotFoundError: listing the known experiments.
        ExperimentDatabaseError: if the experiment's database cannot be read.
    """
    home = _home(home)
    known = _known(home)
    if named is None:
        if not known:
            raise ExperimentNotFoundError(_not_found(None, home, known))
        return _experiment(_newest(known)[0])
    if named in known:
        return _experiment(known[named])
    if (folder := _folder(named)) is not None:
        return _in_folder(folder, known)
    if os.sep in named:
        raise ExperimentNotFoundError(f"there is no folder {named}")
    return _experiment(_begun_with(named, home, known))


def known_experiments(home: Path | None = None) -> list[Experiment | ExperimentDatabaseError]:
    """All experiments of this user, newest first; the error in the place of an unreadable one."""
    found: list[Experiment | ExperimentDatabaseError] = []
    for entry in _newest(_known(_home(home))):
        try:
            found.append(_experiment(entry))
        except ExperimentDatabaseError as error:
            found.append(error)
    return found


class _Entry(NamedTuple):
    """What is known of an experiment before its database is read.

    Attributes:
        listed: what NNI's list says of it; empty if the list does not have it.
    """

    id: str
    directory: Path
    listed: Mapping[str, Any]

    @property
    def started(self) -> float:
        """In milliseconds since 1970; 0 if nothing says it."""
        start = self.listed.get("startTime")
        if isinstance(start, (int, float)):
            return start
        if not self.listed:
            with suppress(ExperimentDatabaseError):
                return 1000 * (read_profile(self.directory).started or 0.0)
        return 0.0


def _home(home: Path | None) -> Path:
    return Path.home() / "nni-experiments" if home is None else Path(home)


def _known(home: Path) -> dict[str, _Entry]:
    """The experiments of NNI's list, and those in its directory.

    NNI's list loses entries when two managers write it at once, but the directories stay.
    """
    known = {name: _Entry(name, home / name, {}) for name in _directories(home)}
    for name, listed in _read_list(home / ".experiment").items():
        if isinstance(listed, dict):
            parent = listed.get("logDir")
            directory = (Path(parent).expanduser() if isinstance(parent, str) else home) / name
            if database_in(directory).is_file():
                known[name] = _Entry(name, directory, listed)
    return known


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


def _newest(known: Mapping[str, _Entry]) -> list[_Entry]:
    return sorted(known.values(), key=lambda entry: entry.started, reverse=True)


def _experiment(entry: _Entry, *, is_elsewhere: bool = False) -> Experiment:
    config, listed = read_profile(entry.directory).config, entry.listed
    port = listed.get("port")
    return Experiment(
        id=entry.id,
        name=str(listed.get("experimentName") or config.get("experimentName") or ""),
        directory=entry.directory,
        port=port if isinstance(port, int) else None,
        status=str(listed.get("status", "UNKNOWN")),
        config=config,
        is_elsewhere=is_elsewhere,
    )


def _folder(named: str) -> Path | None:
    """The folder that a text names, without links; None if it can only be an ID.

    Raises:
        ExperimentNotFoundError: if the folder holds no experiment, and the text can be no ID.
    """
    path = Path(named).expanduser()
    if not path.is_dir():
        return None
    folder = path.resolve()
    if database_in(folder).is_file():
        return folder
    if os.sep not in named and named not in (os.curdir, os.pardir):
        return None
    database = database_in(folder).relative_to(folder)
    message = f"the folder {named} is no experiment of NNI: it has no {database}"
    if within := sorted(_directories(folder)):
        message += f"; experiments are the folders in it: name {_some(within)}"
    raise ExperimentNotFoundError(message)


def _in_folder(folder: Path, known: Mapping[str, _Entry]) -> Experiment:
    for entry in known.values():
        if entry.directory.resolve() == folder:
            return _experiment(entry)
    own_id = read_profile(folder).id or folder.name
    return _experiment(_Entry(own_id, folder, {}), is_elsewhere=True)


def _begun_with(beginning: str, home: Path, known: Mapping[str, _Entry]) -> _Entry:
    """The one experiment whose ID begins so."""
    fitting = [name for name in known if beginning and name.startswith(beginning)]
    if len(fitting) == 1:
        return known[fitting[0]]
    if fitting:
        raise ExperimentNotFoundError(
            f"{len(fitting)} experiments have an ID that begins with {beginning!r}: name "
            f"{_some(sorted(fitting))}"
        )
    raise ExperimentNotFoundError(_not_found(beginning, home, known))


def _some(names: Sequence[str]) -> str:
    """'a, b or c'"""
    more = len(names) - _MOST_NAMED
    if more > 0:
        return f"one of {', '.join(names[:_MOST_NAMED])} and {more} more"
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _not_found(named: str | None, home: Path, known: Mapping[str, _Entry]) -> str:
    wanted = "experiment" if named is None else f"experiment {named!r}"
    if not known:
        return f"no {wanted} in {home}, nor any other; start one with `blockqnn create CONFIG`"
    names = [f"{entry.id} ({_name(entry) or 'unnamed'})" for entry in _newest(known)[:_MOST_NAMED]]
    more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
    return f"no {wanted} in {home}; known are, newest first: {', '.join(names)}{more}"


def _name(entry: _Entry) -> str:
    if entry.listed:
        return str(entry.listed.get("experimentName") or "")
    with suppress(ExperimentDatabaseError):
        return str(read_profile(entry.directory).config.get("experimentName") or "")
    return ""
