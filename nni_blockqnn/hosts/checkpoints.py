"""Bringing the checkpoints of trials from one host to the others.

NNI sends a trial that is run again to any host, and the trial goes on from a checkpoint only if
there is one on that host. So before it is sent again, the newest checkpoint is copied to this
machine, and from here to all hosts, over SFTP as NNI itself copies files. A checkpoint keeps its
place below the experiment's folder, where :mod:`nni_blockqnn.trials` looks for it.
"""

from __future__ import annotations

import os
import re
import shlex
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nni_blockqnn.common.files import replaced
from nni_blockqnn.hosts._connection import Connection, HostError, connect, on_each
from nni_blockqnn.hosts.machine import Machine

if TYPE_CHECKING:
    import paramiko


class Found(NamedTuple):
    """A checkpoint.

    Attributes:
        trial: the ID of the trial that wrote it.
        path: below the folder ``environments`` of the experiment.
        time: when it was written, in seconds since 1970.
    """

    trial: str
    path: str
    time: int


class Spread:
    """What came of bringing checkpoints to all hosts.

    Attributes:
        fetched: how many were copied to this machine.
        size: of these, in bytes.
        sent: how many copies were made on hosts.
        failed: why hosts did not take part, or not in all, by their names.
    """

    def __init__(self) -> None:
        self.fetched = self.size = self.sent = 0
        self.failed: dict[str, str] = {}


def spread_checkpoints(
    machines: Sequence[Machine], experiment: Path, name: str, trials: Collection[str]
) -> Spread:
    """Let every host have the newest checkpoint of each of these trials, as this machine has then.

    What is there already is not copied again, as on hosts that share their home.

    Args:
        experiment: the experiment's directory on this machine, which is named by its ID.
        name: the checkpoint's in a trial's folder.
        trials: their IDs.
    """
    spreading = _Spreading(experiment, name, trials)
    reached = [one for one in on_each(machines, spreading.fetch) if one is not None]
    spreading.choose_newest()
    on_each(reached, spreading.send)
    return spreading.outcome


class _There(NamedTuple):
    """What a host has.

    Attributes:
        folder: its folder ``environments`` of the experiment, absolute.
    """

    folder: str
    checkpoints: Sequence[Found]


class _Spreading:
    def __init__(self, experiment: Path, name: str, trials: Collection[str]) -> None:
        self.outcome = Spread()
        self._name, self._trials = name, trials
        self._home = experiment / "environments"
        self._remote_home = f"~/nni-experiments/{shlex.quote(experiment.name)}/environments"
        # what a host says becomes a path here
        self._allowed = re.compile(rf"[\w-][\w.-]*/trials/(\w+)/{re.escape(name)}")
        self._lock = threading.Lock()
        self._taken = set(self._own())
        self._newest: Sequence[Found] = ()
        self._there: dict[Machine, _There] = {}

    def fetch(self, machine: Machine) -> Machine | None:
        """Copy what is not here; the machine, if it answers."""
        with self._noting(machine), connect(machine) as connection, connection.sftp() as sftp:
            self._there[machine] = there = self._list(connection, sftp)
            for found in there.checkpoints:
                if self._take(found):
                    self._get(sftp, there.folder, found)
        return machine if machine in self._there else None

    def choose_newest(self) -> None:
        in_order = sorted(self._own(), key=lambda found: found.time)
        self._newest = list({found.trial: found for found in in_order}.values())

    def send(self, machine: Machine) -> None:
        """Copy the newest ones to a host that has older ones or none."""
        folder, checkpoints = self._there[machine]
        times: dict[str, int] = {}
        for found in checkpoints:
            times[found.trial] = max(found.time, times.get(found.trial, 0))
        missing = [found for found in self._newest if times.get(found.trial, 0) < found.time]
        if not missing:
            return
        with self._noting(machine), connect(machine) as connection, connection.sftp() as sftp:
            for found in missing:
                target = f"{folder}/{found.path}"
                made = connection.run(f"mkdir -p {shlex.quote(target.rpartition('/')[0])}")
                if made.code != 0:
                    raise HostError("command", made.last_line)
                self._put(sftp, target, found)
                with self._lock:
                    self.outcome.sent += 1

    def _own(self) -> Iterator[Found]:
        """Those that are on this machine."""
        for path in self._home.glob(f"*/trials/*/{self._name}"):
            if path.parent.name in self._trials:
                place = path.relative_to(self._home).as_posix()
                yield Found(path.parent.name, place, int(path.stat().st_mtime))

    def _list(self, connection: Connection, sftp: paramiko.SFTPClient) -> _There:
        script = f"mkdir -p {self._remote_home} && cd {self._remote_home} && pwd && "
        script += f"{{ ls -d */trials/*/{shlex.quote(self._name)} 2>/dev/null || true; }}"
        answer = connection.run(f"sh -c {shlex.quote(script)}")
        if answer.code != 0:
            raise HostError("command", answer.last_line)
        folder, *listed = answer.stdout.splitlines()
        checkpoints = []
        for path in listed:
            known = self._allowed.fullmatch(path)
            if known and known[1] in self._trials:
                written = sftp.stat(f"{folder}/{path}").st_mtime
                checkpoints.append(Found(known[1], path, int(written or 0)))
        return _There(folder, checkpoints)

    def _take(self, found: Found) -> bool:
        """Whether nobody has copied it here; hosts may share their home."""
        with self._lock:
            is_new = found not in self._taken
            self._taken.add(found)
            return is_new

    def _get(self, sftp: paramiko.SFTPClient, folder: str, found: Found) -> None:
        target = self._home / found.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with replaced(target) as file:
            size = sftp.getfo(f"{folder}/{found.path}", file)
        os.utime(target, (found.time, found.time))
        with self._lock:
            self.outcome.fetched += 1
            self.outcome.size += size

    def _put(self, sftp: paramiko.SFTPClient, target: str, found: Found) -> None:
        """Under another name until it is whole: a trial may look for it meanwhile."""
        scratch = f"{target}.part"
        sftp.put(str(self._home / found.path), scratch)
        sftp.utime(scratch, (found.time, found.time))
        sftp.posix_rename(scratch, target)

    @contextmanager
    def _noting(self, machine: Machine) -> Iterator[None]:
        """Errors of a host are noted, and the others go on."""
        try:
            yield
        except (HostError, OSError, EOFError) as error:
            with self._lock:
                self.outcome.failed[machine.name] = str(error) or type(error).__name__
