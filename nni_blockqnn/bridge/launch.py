"""Starting and stopping NNI experiments through ``nnictl``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple

from filelock import FileLock, Timeout

from nni_blockqnn.bridge._proxies import without_proxy_to_loopback
from nni_blockqnn.bridge.ports import free_port, why_not_port
from nni_blockqnn.bridge.statuses import ERROR, INITIALIZED, RUNNING
from nni_blockqnn.common.messages import UserError

_TUNER_SECONDS = 45
"""NNI itself gives a tuner 10 s to connect; patience.js makes them 40."""
_PATIENT_NNICTL = (sys.executable, "-m", "nni_blockqnn.bridge.patient_nnictl")
_ATTEMPTS = 3
_TURN_SECONDS = 60.0
_PORT_WAS_TAKEN = "is not idle"
_MANAGER_WAS_SLOW = "Timeout, retry..."
"""On a busy machine nnictl gives up after 4 s, and ends its manager."""


class LaunchError(UserError, RuntimeError):
    """An experiment did not start; the message says why and where to read more."""


class Launched(NamedTuple):
    """A running experiment."""

    id: str
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def start(config: Path, port: int | None, *, loopback: bool) -> Launched:
    """Run ``nnictl create``.

    Args:
        port: of the web UI; None for the next free one.
        loopback: bind the web server to 127.0.0.1. Only for experiments whose trials all run on
            this machine: remote ones have to reach the server.

    Raises:
        LaunchError: with what NNI or the tuner said.
    """
    return run_nnictl(["create", "--config", str(config)], port, loopback=loopback)


def run_nnictl(command: list[str], port: int | None, *, loopback: bool) -> Launched:
    """Start an experiment with an ``nnictl`` command and wait until its tuner is there.

    Args:
        port: as in :func:`start`.

    Raises:
        LaunchError: with what NNI or the tuner said.
    """
    with _one_at_a_time():
        launched = _run_nnictl(command, port, loopback)
    try:
        _wait_for_tuner(launched)
    except KeyboardInterrupt:
        stop(launched.id)
        raise
    return launched


def _run_nnictl(command: list[str], asked: int | None, loopback: bool) -> Launched:
    if asked is not None and (reason := why_not_port(asked, needs_next=not loopback)):
        raise LaunchError(reason)
    for _ in range(_ATTEMPTS):
        port = asked or free_port(needs_next=not loopback)
        started = [*_PATIENT_NNICTL, *command, "--port", str(port)]
        code, output = _run_to_its_end(started, loopback)
        taken = asked is None and _PORT_WAS_TAKEN in output  # by something else, just now
        if code == 0 or not (taken or _MANAGER_WAS_SLOW in output):
            break
    experiment_id = _experiment_id(output)
    if code != 0 or experiment_id is None:
        raise LaunchError(f"nnictl {command[0]} failed: {_last_lines(output)}")
    return Launched(experiment_id, port)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Within it no other start of this user looks for a port, or writes NNI's list.

    A free port is taken only seconds later, when NNI's manager listens.
    """
    folder = Path.home() / "nni-experiments"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".blockqnn-start.lock")
    with suppress(Timeout):  # of one that hangs; nnictl itself refuses a port that is in use
        lock.acquire(timeout=_TURN_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _run_to_its_end(command: list[str], loopback: bool) -> tuple[int, str]:
    """Exit code and output of an ``nnictl`` that starts an experiment.

    nnictl runs in a session of its own, out of reach of Ctrl-C, which would make it leave a manager
    behind. At Ctrl-C we wait for nnictl and stop what it has started.
    """
    # a pipe's text would be lost with the interruption
    with TemporaryFile("w+", encoding="utf-8", errors="replace") as written:
        process = subprocess.Popen(
            command,
            env=environment(loopback=loopback),
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait()
        except KeyboardInterrupt:
            process.wait()
            if (experiment_id := _experiment_id(_content(written))) is not None:
                stop(experiment_id)
            raise
        return process.returncode, _content(written)


def _content(written: IO[str]) -> str:
    written.seek(0)
    return written.read()


def stop(experiment_id: str) -> None:
    """Run ``nnictl stop``, which ends the trials too."""
    subprocess.run(
        [str(nnictl()), "stop", experiment_id],
        env=environment(loopback=False),
        capture_output=True,
        check=False,
    )


def status(launched: Launched) -> str:
    """The experiment's status as NNI names it (RUNNING, DONE, ERROR, ...); "GONE" if no manager
    answers."""
    try:
        return str(_get(launched, "check-status")["status"])
    except (OSError, ValueError, KeyError, TypeError):  # TypeError: an empty answer
        return "GONE"


def answering_id(launched: Launched) -> str | None:
    """The ID of the experiment whose manager answers at that port, None if none does."""
    try:
        return str(_get(launched, "experiment")["id"])
    except (OSError, ValueError, KeyError, TypeError):  # TypeError: an empty answer
        return None


def nnictl() -> Path:
    """The ``nnictl`` of this Python, whether or not its environment is activated."""
    return Path(sys.executable).with_name("nnictl")


def environment(*, loopback: bool) -> Mapping[str, str]:
    """The variables for ``nnictl`` and its trials, whose ``python`` is to be this Python.

    They read and print UTF-8 whatever the locale is: names of files and experiments would end them.
    """
    variables = without_proxy_to_loopback(os.environ)
    variables |= {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8:backslashreplace"}
    scripts = str(Path(sys.executable).parent)
    variables["PATH"] = os.pathsep.join([scripts, variables.get("PATH", os.defpath)])
    for name in ("patience.js", "loopback.js" if loopback else "lost_hosts.js"):
        script = Path(__file__).with_name(name)
        variables["NODE_OPTIONS"] = f'{variables.get("NODE_OPTIONS", "")} --require="{script}"'
    return variables


def _wait_for_tuner(launched: Launched) -> None:
    """Return once the tuner has connected. NNI reports a tuner that fails to start only in its
    status, after 10 s."""
    deadline = time.monotonic() + _TUNER_SECONDS
    while time.monotonic() < deadline:
        state = _state(launched)
        if state.get("errors") or state.get("status") == ERROR:
            stop(launched.id)
            raise LaunchError(
                f"experiment {launched.id} could not start: {'; '.join(state.get('errors', []))}; "
                f"its log is {_log_directory(launched.id) / 'dispatcher.log'}"
            )
        status = state.get("status")
        if status not in (INITIALIZED, RUNNING):
            return  # it has nothing to do, and no trial will come
        if status == RUNNING and _get(launched, "job-statistics"):
            return
        time.sleep(0.5)


def _state(launched: Launched) -> dict[str, Any]:
    try:
        return _get(launched, "check-status")
    except OSError as error:
        log = _log_directory(launched.id) / "nnimanager.log"
        raise LaunchError(f"NNI's manager ended at once ({error}); its log is {log}") from None


def _get(launched: Launched, path: str) -> Any:
    return call(launched, "GET", path)


def call(launched: Launched, method: str, path: str, body: Any = None) -> Any:
    """The answer of NNI's REST server; None if it is empty.

    Raises:
        OSError: if the server does not answer, or refuses.
        ValueError: if the answer is not JSON.
    """
    request = urllib.request.Request(
        f"{launched.url}/api/v1/nni/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
        method=method,
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=10) as response:
        text = response.read()
    return json.loads(text) if text else None


def _log_directory(experiment_id: str) -> Path:
    return Path.home() / "nni-experiments" / experiment_id / "log"


def _experiment_id(output: str) -> str | None:
    plain = re.sub(r"\x1b\[\d+m", "", output)
    found = re.search(r"Experiment ID: (\w+)", plain)
    return found.group(1) if found else None


def _last_lines(output: str, count: int = 5) -> str:
    plain = re.sub(r"\x1b\[\d+m", "", output)
    return " / ".join([line for line in plain.splitlines() if line.strip()][-count:])
