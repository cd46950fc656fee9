"""What hosts say of themselves, all asked at once."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nni_blockqnn.hosts import _probe
from nni_blockqnn.hosts._connection import Connection, HostError, connect, on_each
from nni_blockqnn.hosts.machine import Machine
from nni_blockqnn.hosts.way_back import WayBack

_LOOK_SECONDS = 180.0
"""Of silence: pip may wait for an index that does not answer."""


@dataclass(frozen=True)
class DataPlace:
    """The data set that every host needs.

    Attributes:
        folder: as the trial's command names it; each machine puts its own home for ``~``.
        beginnings: of its files' paths there; empty if all files there belong to it.
    """

    folder: str
    beginnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Data:
    """The files of a data set on one machine.

    Attributes:
        hash: of their names and sizes.
        listing: the sizes by path, if they were asked for.
    """

    files: int
    bytes: int
    hash: str
    listing: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Facts:
    """What a host says.

    Attributes:
        versions: of :data:`TOOLS`; None for what is not installed.
        code: a hash of this package's code there, None if it is not installed.
        clock: seconds that it is ahead of this machine; 0 as far as the connection's own time
            leaves it open.
        data: None if no data set was asked for.
        home: its user's home, where NNI writes.
        free: bytes there.
        disk_error: why nothing can be written there, None if it can.
        gpus: the memory of each in MiB.
        busy: the GPUs that other programs use.
        cuda: how many GPUs PyTorch can use there; None if it was not asked.
        pip_error: why NNI's own ``pip install`` would fail there, None if it would not.
        way_back: why the host cannot reach the manager, None if it can or was not asked.
        chatter: the first line that its shell prints before the output of any command.
        sftp_error: why no files can be copied over SFTP, None if they can or nobody tried.
    """

    python: str
    executable: str
    versions: Mapping[str, str | None]
    code: str | None
    clock: float = 0.0
    data: Data | None = None
    home: str = ""
    free: int = 0
    disk_error: str | None = None
    gpus: tuple[int, ...] = ()
    busy: tuple[int, ...] = ()
    cuda: int | None = None
    pip_error: str | None = None
    way_back: str | None = None
    chatter: str = ""
    sftp_error: str | None = None


@dataclass(frozen=True)
class Host:
    """A machine and what was found there.

    Attributes:
        error: why it could not be asked; then there are no facts.
        own_address: this machine's address on the way there.
    """

    machine: Machine
    facts: Facts | None = None
    error: HostError | None = None
    own_address: str | None = None


def inspect_all(
    machines: Sequence[Machine], data: DataPlace | None, way_back: WayBack | None
) -> list[Host]:
    """Log in to all machines at once and look around; in their order."""
    asked: dict[str, Any] = _asked(data)
    if way_back is not None:
        asked |= way_back._asdict()
    return on_each(machines, lambda machine: _inspect(machine, asked))


def ask(connection: Connection, data: DataPlace | None) -> Facts:
    """The versions and data of a host, with the listing of its files.

    Raises:
        HostError: if its Python does not answer.
    """
    return _look(connection, _asked(data) | {"quick": True, "listing": True})


def own_facts(data: DataPlace | None) -> Facts:
    """The versions and data of this machine."""
    return _facts(_probe.look(_asked(data) | {"quick": True, "listing": True}), 0.0)


def files_of(data: DataPlace) -> dict[str, int]:
    """The data set's files on this machine: their sizes by path."""
    return _probe.listing_of(data.folder, data.beginnings)


def _asked(data: DataPlace | None) -> dict[str, Any]:
    if data is None:
        return {}
    return {"data": data.folder, "beginnings": list(data.beginnings)}


def _inspect(machine: Machine, asked: Mapping[str, Any]) -> Host:
    address = None
    try:
        with connect(machine) as connection:
            address = connection.own_address
            facts = replace(_look(connection, asked), sftp_error=_sftp_error(connection))
            return Host(machine, facts, own_address=address)
    except HostError as error:
        return Host(machine, error=error, own_address=address)


def _sftp_error(connection: Connection) -> str | None:
    try:
        with connection.sftp() as sftp:
            sftp.normalize(".")
    except (HostError, OSError) as error:
        return str(error)
    return None


def _look(connection: Connection, asked: Mapping[str, Any]) -> Facts:
    request = base64.b64encode(json.dumps(asked).encode()).decode()
    source = Path(_probe.__file__).read_bytes()
    ran = connection.run(connection.python(f"- {request}"), [source], seconds=_LOOK_SECONDS)
    try:
        *chatter, answer = ran.stdout.splitlines()
        told = json.loads(answer)
    except ValueError:
        version = connection.run(connection.python("--version"))
        if version.code != 0:
            raise HostError("command", "there is no Python 3 on its PATH") from None
        found = version.stdout.strip() or version.stderr.strip()
        raise HostError("command", f"its {found} does not work: {ran.last_line}") from None
    printed = (line for line in chatter if line.strip())  # NNI strips answers too
    return replace(_facts(told, _ahead(connection)), chatter=next(printed, ""))


def _ahead(connection: Connection) -> float:
    """Seconds by which the host's clock, read between two times here, must be ahead."""
    before = time.time()
    ran = connection.run(connection.python("-c 'import time; print(time.time())'"))
    after = time.time()
    theirs = float(ran.stdout.splitlines()[-1])
    return theirs - after if theirs > after else min(0.0, theirs - before)


def _facts(told: Mapping[str, Any], clock: float) -> Facts:
    disk, gpus = told.get("disk", {}), told.get("gpus", {})
    data = told.get("data")
    return Facts(
        python=told["python"],
        executable=told["executable"],
        versions=told["versions"],
        code=told["code"],
        clock=clock,
        data=None if data is None else Data(**data),
        home=disk.get("home", ""),
        free=disk.get("free", 0),
        disk_error=disk.get("error"),
        gpus=tuple(gpus.get("memory", ())),
        busy=tuple(gpus.get("busy", ())),
        cuda=told.get("cuda"),
        pip_error=told.get("pip"),
        way_back=told.get("way_back"),
    )
