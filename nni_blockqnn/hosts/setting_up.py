"""Bringing this package and the data to hosts: what is there already stays as it is."""

from __future__ import annotations

import shlex
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from nni_blockqnn.common.messages import counted
from nni_blockqnn.hosts._connection import Connection, HostError, Ran, connect, on_each
from nni_blockqnn.hosts._wheel import build_wheel
from nni_blockqnn.hosts.inspection import DataPlace, Facts, ask, own_facts
from nni_blockqnn.hosts.machine import Machine

_PIP_SECONDS = 1800.0
"""Of silence: PyTorch is some gigabytes."""
_EXACT = ("nni", "torch", "torchvision")
"""The packages that hosts get in this machine's versions."""
_CHUNK_BYTES = 2**18


@dataclass(frozen=True)
class Done:
    """What was done on a host.

    Attributes:
        steps: a line each, in order.
        error: what stopped it; None if all is done.
    """

    machine: Machine
    steps: Sequence[str]
    error: str | None = None


def set_up_all(machines: Sequence[Machine], data: DataPlace | None) -> list[Done]:
    """Set all machines up at once; in their order.

    Args:
        data: what to copy from this machine; None for the package alone.
    """
    own = own_facts(data)
    with TemporaryDirectory(prefix="blockqnn-wheel-") as folder:
        wheel = build_wheel(Path(folder))
        return on_each(machines, lambda machine: _set_up(machine, wheel, own, data))


def _set_up(machine: Machine, wheel: Path, own: Facts, data: DataPlace | None) -> Done:
    steps: list[str] = []
    try:
        with connect(machine) as connection:
            for step in _steps(connection, wheel, own, data):
                steps.append(step)
    except HostError as error:
        return Done(machine, steps, str(error))
    return Done(machine, steps)


def _steps(
    connection: Connection, wheel: Path, own: Facts, data: DataPlace | None
) -> Iterator[str]:
    yield from _make_environment(connection, own)
    facts = ask(connection, data)
    yield from _install(connection, wheel, own, facts)
    if data is not None:
        yield from _copy(connection, own, facts, data)


def _make_environment(connection: Connection, own: Facts) -> Iterator[str]:
    """A virtual environment where pythonPath is to be one and nothing is there."""
    path = connection.machine.python_path
    if path is None or not path.rstrip("/").endswith("/bin"):
        return
    target, bin_folder = shlex.quote(path.rstrip("/").removesuffix("/bin")), shlex.quote(path)
    if _sh(connection, f"test -x {bin_folder}/python || test -x {bin_folder}/python3").code == 0:
        return
    version = ".".join(own.python.split(".")[:2])
    script = (
        f"for one in python{version} python3; do "
        f'if command -v "$one" >/dev/null; then exec "$one" -m venv {target}; fi; done; '
        "echo there is no python3 on its PATH >&2; exit 1"
    )
    made = _sh(connection, script)
    if made.code != 0:
        raise HostError(
            "command",
            f"python -m venv {target} failed: {made.last_line} (Debian and Ubuntu: sudo apt-get "
            f"install python{version}-venv; elsewhere, install Python {version})",
        )
    yield f"made the virtual environment {target}"


def _install(connection: Connection, wheel: Path, own: Facts, facts: Facts) -> Iterator[str]:
    different = [name for name in _EXACT if not _is_same(name, own, facts)]
    if facts.code == own.code and not different:
        yield f"nni-blockqnn, {_versions(own)} are there already"
        return
    made = _sh(connection, "mktemp -d")
    _must(made, "mktemp -d")
    folder = shlex.quote(made.stdout.splitlines()[-1])
    target = f"{folder}/{wheel.name}"
    try:
        _must(_sh(connection, f"cat > {target}", [wheel.read_bytes()]), "copying the wheel")
        exact = " ".join(f"'{name}=={_public(own, name)}'" for name in _EXACT)
        pip = "-m pip install --quiet --disable-pip-version-check"
        _must(
            connection.run(
                connection.python(f"{pip} {target} {exact} 'setuptools<82'"), seconds=_PIP_SECONDS
            ),
            "pip install",
        )
        if facts.code is not None:  # the version may be the same, and pip then leaves it
            command = f"{pip} --force-reinstall --no-deps {target}"
            _must(connection.run(connection.python(command), seconds=_PIP_SECONDS), "pip install")
    finally:
        _sh(connection, f"rm -rf {folder}")
    yield f"installed nni-blockqnn, {_versions(own)}"


def _copy(connection: Connection, own: Facts, facts: Facts, place: DataPlace) -> Iterator[str]:
    here = (own.data and own.data.listing) or {}
    there = (facts.data and facts.data.listing) or {}
    if not here:
        yield f"no data is copied: this machine has none in {place.folder}"
        return
    wanted = [name for name, size in here.items() if there.get(name) != size]
    if wanted:
        # ~ is each machine's own
        folder = place.folder if place.folder.startswith("~/") else shlex.quote(place.folder)
        received = _sh(
            connection,
            f"mkdir -p {folder} && tar -xf - -C {folder}",
            _packed(Path(place.folder).expanduser(), wanted),
        )
        _must(received, f"copying into {place.folder}")
        size = sum(here[name] for name in wanted)
        yield f"copied {counted(len(wanted), 'file')} of {size:,} bytes into {place.folder}"
    else:
        yield f"{counted(len(here), 'file')} of data are there already"
    if more := sorted(there.keys() - here.keys()):
        yield (
            f"{place.folder} has {counted(len(more), 'file')} there that this machine lacks, "
            f"{more[0]} for one: delete what does not belong to the data set"
        )


def _packed(folder: Path, names: Sequence[str]) -> Iterator[bytes]:
    """A tar of the files, a part at a time: data sets may be larger than the memory."""
    for name in names:
        path = folder / name
        with path.open("rb") as file:
            info = tarfile.TarInfo(name)
            status = path.stat()
            info.size, info.mtime, info.mode = status.st_size, int(status.st_mtime), 0o644
            yield info.tobuf(tarfile.PAX_FORMAT)
            left = info.size
            while left and (part := file.read(min(left, _CHUNK_BYTES))):
                left -= len(part)
                yield part
            yield b"\0" * (left + -info.size % tarfile.BLOCKSIZE)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)


def _is_same(name: str, own: Facts, facts: Facts) -> bool:
    return facts.versions.get(name) is not None and _public(own, name) == _public(facts, name)


def _public(facts: Facts, name: str) -> str:
    """A version without what says for which GPU it was built."""
    return str(facts.versions[name]).split("+")[0]


def _versions(facts: Facts) -> str:
    return ", ".join(f"{name} {_public(facts, name)}" for name in _EXACT)


def _sh(connection: Connection, script: str, data: Iterator[bytes] | Sequence[bytes] = ()) -> Ran:
    return connection.run(f"sh -c {shlex.quote(script)}", data, seconds=_PIP_SECONDS)


def _must(ran: Ran, what: str) -> None:
    if ran.code != 0:
        raise HostError("command", f"{what} failed: {ran.last_line}")
