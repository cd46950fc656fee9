"""Fetching what trials kept on hosts and could not report.

A trial writes its result into its folder before it reports it. Where the way to NNI's manager was
cut, or the manager was gone, that file is all there is. It is copied into the same place of the
experiment's folder here, from which everything reads kept results.
"""

from __future__ import annotations

import io
import logging
import os
import re
import shlex
import tarfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from nni_blockqnn.common.files import write_whole
from nni_blockqnn.hosts._connection import Connection, HostError, connect, on_each
from nni_blockqnn.hosts.machine import Machine

_logger = logging.getLogger(__name__)
_FETCH_SECONDS = 120.0
_PAUSE_SECONDS = 60.0
"""From one round to the next; a host that was cut off may be back by then."""


class Fetched:
    """What came of one round.

    Attributes:
        files: how many came.
        failed: why hosts did not answer, by their names.
    """

    def __init__(self) -> None:
        self.files = 0
        self.failed: dict[str, str] = {}


def fetch_files(machines: Sequence[Machine], experiment: Path, name: str) -> Fetched:
    """Copy the files of that name from the trials' folders on all machines, unless they are here.

    Args:
        experiment: the experiment's directory on this machine, which is named by its ID.
    """
    fetched = Fetched()
    lock = threading.Lock()

    def fetch(machine: Machine) -> None:
        try:
            with connect(machine) as connection:
                count = _fetch(connection, experiment, name)
        except (HostError, OSError, tarfile.TarError) as error:
            with lock:
                fetched.failed[machine.name] = str(error)
        else:
            with lock:
                fetched.files += count

    on_each(machines, fetch)
    return fetched


def _fetch(connection: Connection, experiment: Path, name: str) -> int:
    folder = f"~/nni-experiments/{shlex.quote(experiment.name)}/environments"
    listed = _read(connection, f"cd {folder} 2>/dev/null && ls -d */trials/*/{name} 2>/dev/null")
    whole = re.compile(rf"[\w.-]+/trials/\w+/{re.escape(name)}")
    home = experiment / "environments"
    wanted = {
        path for path in listed.decode().split() if whole.fullmatch(path) and ".." not in path
    }
    wanted = {path for path in wanted if not (home / path).exists()}
    if not wanted:
        return 0
    names = "".join(f"{path}\n" for path in sorted(wanted))
    packed = _read(connection, f"cd {folder} && tar -cf - -T -", names.encode())
    count = 0
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if member.name in wanted and content is not None:
                target = home / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                write_whole(target, content.read())
                os.utime(target, (member.mtime, member.mtime))
                count += 1
    return count


def _read(connection: Connection, script: str, data: bytes = b"") -> bytes:
    return connection.read(f"sh -c {shlex.quote(script)}", [data], seconds=_FETCH_SECONDS)[1]


class Fetcher:
    """Fetches in the background, so that nobody waits for a host that does not answer."""

    def __init__(
        self,
        machines: Callable[[], Sequence[Machine]],
        experiment: Path,
        name: str,
        arrived: Callable[[], bool],
    ) -> None:
        """
        Args:
            machines: asked at the first round; none means that there is nothing to fetch.
            experiment: as for :func:`fetch_files`, like `name`.
            arrived: called after a round; whether there is to be another one, a minute later.
        """
        self._machines, self._experiment, self._name = machines, experiment, name
        self._arrived = arrived
        self._known: Sequence[Machine] | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._is_wished = self._is_under_way = False

    def wish(self) -> None:
        """Begin to fetch; if that is under way, there will be another round."""
        with self._lock:
            self._is_wished = True
            if self._is_under_way or self._known == ():
                return
            self._is_under_way = True
            self._thread = threading.Thread(target=self._rounds, daemon=True)
            self._thread.start()

    def _rounds(self) -> None:
        try:
            if self._known is None:
                self._known = tuple(self._machines())
            while self._known and self._is_another_needed():
                time.sleep(_PAUSE_SECONDS)
        except Exception as error:  # nothing here may end a search
            _logger.warning("Results cannot be fetched from hosts: %s", error)
            with self._lock:
                self._is_under_way = False

    def _is_another_needed(self) -> bool:
        """Fetch once; whether something is missing, or may lie on a host that did not answer."""
        with self._lock:
            self._is_wished = False
        fetched = fetch_files(self._known or (), self._experiment, self._name)
        self._log(fetched)
        is_missing = self._arrived()
        with self._lock:
            self._is_under_way = is_missing or bool(fetched.failed) or self._is_wished
            return self._is_under_way

    def _log(self, fetched: Fetched) -> None:
        for host, reason in fetched.failed.items():
            _logger.info("Host %s: no results can be fetched: %s", host, reason)
        if fetched.files:
            _logger.info("%d results were fetched from hosts", fetched.files)
