"""A trial's end to the resident worker, which spares it the imports (docs/turnover.md).

NNI starts a light process for each trial, as always. With ``--resident`` it hands arguments,
environment, working directory and standard streams to a worker on the same machine that has
imported everything. The worker forks, and the fork is the trial; the light process waits for it and
ends as it ended. NNI sees the light process alone: if it is killed, the worker kills the fork.

One worker serves one experiment. Whatever a process inherits must be the same for a trial as for
its worker, but for what NNI sets for each trial; otherwise the trial runs in its own process. This
module must stay light: it is all that the light process imports.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, flock
from pathlib import Path
from tempfile import gettempdir
from typing import Any, NamedTuple

MODULE = "nni_blockqnn.trials.resident"
_BACKLOG = 128
_STREAMS = (0, 1, 2)
_LENGTH_BYTES = 4
_OF_A_TRIAL = "CUDA_VISIBLE_DEVICES"  # PyTorch reads it at its first use of a GPU, not before
TAKEN, REFUSED, ENDED = "taken", "refused", "ended"


class Request(NamedTuple):
    """What a light process asks for.

    Attributes:
        arguments: ``sys.argv``.
        environment: of the process, whole.
        started: ``time.perf_counter()`` at its start; the clock is the machine's.
        surroundings: see :func:`surroundings`.
    """

    arguments: list[str]
    environment: dict[str, str]
    started: float
    surroundings: dict[str, Any]


def surroundings() -> dict[str, Any]:
    """All that this process has inherited and that a trial may notice, as JSON values."""
    found: dict[str, Any] = {
        f"the variable {name}": value
        for name, value in os.environ.items()
        if name.startswith("NNI_BLOCKQNN_") or not (name.startswith("NNI_") or name == _OF_A_TRIAL)
    }
    for name in dir(resource):
        if name.startswith("RLIMIT_"):
            found[name] = list(resource.getrlimit(getattr(resource, name)))
    umask = os.umask(0)
    os.umask(umask)
    found["the interpreter"] = [sys.executable, *interpreter_options()]
    found["the working directory"] = str(Path.cwd())
    found["the umask"] = umask
    found["the groups"] = [os.getgid(), *os.getgroups()]
    found["the priority"] = [os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)]
    found["the cores"] = sorted(os.sched_getaffinity(0))
    for name in ("cgroup", "oom_score_adj"):
        found[f"/proc/self/{name}"] = Path("/proc/self", name).read_text(encoding="utf-8")
    for path in sorted(Path("/proc/self/ns").iterdir()):
        found[str(path)] = str(path.readlink())
    return found


def interpreter_options() -> list[str]:
    """What comes before ``-m`` on the command line."""
    return sys.orig_argv[1 : sys.orig_argv.index("-m")] if "-m" in sys.orig_argv else []


def run_by_worker(started: float) -> int | None:
    """Have the experiment's worker run this trial, and start the worker if there is none.

    Does not return if a signal ended the trial: the same one ends this process.

    Args:
        started: ``time.perf_counter()`` at the start of the process.

    Returns:
        The trial's exit code. None if the trial is to run in this process; stderr says why.
    """
    try:
        last_answer = _hand_over(started)
    except OSError as error:
        print(f"note: this trial runs without the resident worker: {error}", file=sys.stderr)
        return None
    return _as_it_ended(last_answer)


def _hand_over(started: float) -> str:
    """The worker's last answer, empty if it was killed.

    Raises:
        OSError: if the trial was not begun, saying why.
    """
    request = Request(sys.argv, dict(os.environ), started, surroundings())
    with _connected() as connection, connection.makefile("r", encoding="utf-8") as answers:
        _send(connection, request)
        word, _, reason = answers.readline().strip().partition(" ")
        if word != TAKEN:
            raise OSError(reason or "it ended at its start")
        with suppress(OSError):
            return answers.readline()
        return ""


def _as_it_ended(answer: str) -> int:
    word, _, code = answer.strip().partition(" ")
    if word != ENDED:
        # not once more in this process: the parameters may have been taken
        for stream in (sys.stdout, sys.stderr):  # as trials/run.py says what failed
            print("trial failed: its resident worker was killed", file=stream, flush=True)
        return 1
    if int(code) < 0:
        number = -int(code)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the trial itself has dumped its own
        with suppress(OSError):  # SIGKILL needs none, and takes none
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    return int(code)


def _connected() -> socket.socket:
    """To the worker of this experiment.

    Raises:
        OSError: naming what is in the way.
    """
    path = _folder() / _name()
    if (connection := _try(path)) is not None:
        return connection
    with _locked(path.parent):
        if (connection := _try(path)) is None:  # none has been started meanwhile
            path.unlink(missing_ok=True)  # of one that was killed
            _start(path)
            connection = _try(path)
    if connection is None:
        raise OSError(f"there is no worker at {path}")
    return connection


def _try(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except OSError:
        connection.close()
        raise
    return connection


def _start(path: Path) -> None:
    """A worker that listens there, first of all to this process: it can wait in the line already.

    In a session of its own, and nobody's child as soon as it runs, so that it outlives this trial.
    """
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(_BACKLOG)
        number = listener.fileno()
        command = [sys.executable, *interpreter_options(), "-m", MODULE, str(path), str(number)]
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_without_trial(os.environ),
            pass_fds=[number],
            start_new_session=True,
            check=False,
        )


def _without_trial(environment: Mapping[str, str]) -> dict[str, str]:
    """Without what NNI sets for this one trial: by that others find a trial's process."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("NNI_TRIAL_") and name not in ("NNI_OUTPUT_DIR", "NNI_SYS_DIR")
    }


def _folder() -> Path:
    """For sockets of this user alone."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    path = Path(base, "nni-blockqnn") if base else Path(gettempdir(), f"nni-blockqnn-{os.getuid()}")
    path.mkdir(mode=0o700, exist_ok=True)
    state = path.lstat()
    if state.st_uid != os.getuid() or state.st_mode & 0o077 or path.is_symlink():
        raise OSError(f"{path} is not a folder of this user alone")
    return path


def _name() -> str:
    """Of this experiment's socket; a path to one has at most 107 bytes."""
    facts = [os.environ.get("NNI_EXP_ID", ""), sys.executable, str(Path(__file__))]
    return f"{zlib.crc32(json.dumps(facts).encode()):08x}.sock"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        flock(file, LOCK_EX)
        yield


def _send(connection: socket.socket, request: Request) -> None:
    content = json.dumps(request._asdict()).encode()
    length = len(content).to_bytes(_LENGTH_BYTES, "big")
    socket.send_fds(connection, [length], _STREAMS)
    connection.sendall(content)


def receive(connection: socket.socket) -> tuple[Request, list[int]]:
    """A light process's request and its standard streams, as file descriptors of this process.

    Raises:
        OSError, ValueError: if it ended meanwhile.
    """
    head, streams, _, _ = socket.recv_fds(connection, _LENGTH_BYTES, len(_STREAMS))
    try:
        content = b""
        while len(content) < int.from_bytes(head, "big"):
            more = connection.recv(1 << 20)
            if not more:
                break
            content += more
        if len(streams) != len(_STREAMS):
            raise ValueError("a trial's standard streams are missing")
        return Request(**json.loads(content)), list(streams)
    except (OSError, TypeError, ValueError):
        for stream in streams:
            os.close(stream)
        raise
