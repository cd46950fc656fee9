"""Other machines that train, as a user lists them in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from schema import And, Optional, Schema, SchemaError

from nni_blockqnn.automl.request import RequestError
from nni_blockqnn.common.checks import is_integer
from nni_blockqnn.common.messages import did_you_mean, shown
from nni_blockqnn.data.errors import one_line

_DEFAULT_KEY = "~/.ssh/id_rsa"
_LAST_PORT = 65_535
_MOST_GPUS = 1_000
_EXAMPLE = "[{host: gpu1, user: me, python: /home/me/venv/bin}]"


def _text(name: str) -> And:
    return And(str, len, error=f"{name} must be a text")


def _number(name: str, most: int) -> And:
    return And(is_integer, lambda value: 1 <= value <= most, error=f"{name} must be 1 to {most:,}")


_FIELDS: dict[Any, Any] = {
    "host": _text("host"),
    "user": _text("user"),
    Optional("port"): _number("port", _LAST_PORT),
    Optional("key"): _text("key"),
    Optional("password"): _text("password"),
    Optional("python"): _text("python"),
    Optional("gpus"): _number("gpus", _MOST_GPUS),
}
_NAMES = tuple(getattr(field, "schema", field) for field in _FIELDS)
_HOST = Schema(_FIELDS)


@dataclass(frozen=True)
class Host:
    """A machine that is reached over SSH.

    Attributes:
        key: file of the private key; None with a password.
        python: folder of the Python in which this package is installed there, such as
            ``/home/me/venv/bin``; None for the one that SSH finds.
        gpus: trials at a time if there are several GPUs; 1 for one GPU, and for none.
    """

    host: str
    user: str
    port: int = 22
    key: str | None = None
    password: str | None = None
    python: str | None = None
    gpus: int = 1

    def to_nni(self) -> dict[str, Any]:
        """As NNI's ``machineList`` has it."""
        fields = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "sshKeyFile": self.key,
            "password": self.password,
            "pythonPath": self.python,
        }
        return {name: value for name, value in fields.items() if value is not None}


def read_hosts(path: Path) -> tuple[Host, ...]:
    """The hosts of a file: a YAML list of objects with ``host``, ``user`` and options.

    Raises:
        RequestError: naming the host, the field, its value and what is allowed.
    """
    try:
        entries = yaml.safe_load(path.expanduser().read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RequestError(f"remote: {path} cannot be read: {error.strerror}") from None
    except (ValueError, yaml.YAMLError) as error:
        raise RequestError(f"remote: {path} is no YAML: {one_line(error)}") from None
    if not isinstance(entries, list) or not entries:
        raise RequestError(
            f"remote: {path} must be a list of hosts such as {_EXAMPLE}, got {shown(entries)}"
        )
    hosts = tuple(
        _read_host(entry, f"remote: {path}, host {number}")
        for number, entry in enumerate(entries, 1)
    )
    _check_together(hosts, path)
    return hosts


def _read_host(entry: Any, place: str) -> Host:
    if not isinstance(entry, Mapping):
        raise RequestError(
            f"{place} must be an object such as {_EXAMPLE[1:-1]}, got {shown(entry)}"
        )
    for name in entry:
        if name not in _NAMES:
            raise RequestError(
                f"{place}: {shown(name)} is no field of a host, which are {', '.join(_NAMES)}"
                f"{did_you_mean(name, _NAMES)}"
            )
    for name in ("host", "user"):
        if name not in entry:
            raise RequestError(f"{place}: {name} is missing")
    try:
        _HOST.validate(dict(entry))
    except SchemaError as error:
        text = next(one for one in reversed(error.errors) if one)
        raise RequestError(f"{place}: {text}, got {shown(entry[text.split()[0]])}") from None
    if "key" in entry and "password" in entry:
        raise RequestError(f"{place}: give key or password, not both")
    if "password" in entry:
        return Host(**entry)
    key = Path(entry.get("key", _DEFAULT_KEY)).expanduser()
    if not key.is_file():
        raise RequestError(f"{place}: key must be a file of a private key, got {shown(str(key))}")
    return Host(**{**entry, "key": str(key.absolute())})


def _check_together(hosts: Sequence[Host], path: Path) -> None:
    seen: set[tuple[str, int, str]] = set()
    for one in hosts:
        address = (one.host, one.port, one.user)
        if address in seen:
            raise RequestError(f"remote: {path} has {one.user}@{one.host}:{one.port} twice")
        seen.add(address)
    if len({one.gpus > 1 for one in hosts}) > 1:
        raise RequestError(
            f"remote: {path} has hosts with several gpus and others with one, which NNI does not "
            "use together: list one kind of them"
        )
