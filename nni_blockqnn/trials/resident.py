"""The resident worker: imports once what trials need, and forks for each one (bridge/resident.py).

    python -m nni_blockqnn.trials.resident SOCKET FILE_DESCRIPTOR

It computes nothing and so starts no thread of PyTorch's: each fork begins as a process that has
just made its imports, and nothing of a trial gets to another one. It ends when nothing has run for
`IDLE_SECONDS`.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

from nni_blockqnn.bridge.resident import ENDED, REFUSED, TAKEN, Request, receive, surroundings

IDLE_SECONDS = 20.0
_REQUEST_SECONDS = 10.0
"""For a light process to say what it wants."""
_PR_SET_PDEATHSIG = 1

RunTrial = Callable[[float], int]
"""A trial in this process, from `time.perf_counter()` at its start to its exit code."""


@dataclass
class _Trial:
    connection: socket.socket | None
    """To its light process; None once that is gone."""
    process: ForkProcess
    descriptor: int
    """Readable as soon as the process is gone; its descendants may still hold its pipes."""


class Worker:
    """Serves light processes until none has come for a while."""

    def __init__(self, path: Path, listener: socket.socket, run: RunTrial) -> None:
        """
        Args:
            path: of the listener's socket.
            run: called in a fork for each trial.
        """
        self._path = path
        self._listener = listener
        self._run = run
        self._own = surroundings()
        self._trials: list[_Trial] = []
        self._libc = ctypes.CDLL(None)

    def serve(self) -> None:
        last_busy = time.monotonic()
        while self._listens or self._trials:
            if self._trials:
                self._wait(None)
                last_busy = time.monotonic()
            elif (left := last_busy + IDLE_SECONDS - time.monotonic()) > 0:
                self._wait(left)
            else:
                self._accept_no_more()

    @property
    def _listens(self) -> bool:
        return self._listener.fileno() >= 0

    def _wait(self, seconds: float | None) -> None:
        """For the next event, and see to it."""
        sources: list[Any] = [self._listener] if self._listens else []
        for trial in self._trials:
            sources += [trial.descriptor, trial.connection]
        ready = wait([source for source in sources if source is not None], seconds)
        for trial in list(self._trials):
            if trial.descriptor in ready:
                self._report(trial)
            elif trial.connection in ready:  # the light process says nothing more: it is gone
                self._kill(trial)
        if self._listener in ready:
            self._accept()

    def _accept_no_more(self) -> None:
        self._path.unlink(missing_ok=True)
        self._listener.setblocking(False)
        with suppress(BlockingIOError):
            while True:  # who found it in time is served
                self._accept()
        self._listener.close()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(_REQUEST_SECONDS)
        try:
            request, streams = receive(connection)
        except (OSError, TypeError, ValueError):
            connection.close()
            return
        try:
            if (different := self._different(request)) is None:
                connection.sendall(f"{TAKEN}\n".encode())
                self._start(connection, request, streams)
            else:
                reason = f"{different} is not as it was when the worker was started"
                connection.sendall(f"{REFUSED} {reason}\n".encode())
                connection.close()
        except OSError:  # the light process is gone
            connection.close()
        finally:
            for stream in streams:
                os.close(stream)

    def _different(self, request: Request) -> str | None:
        """The first thing that the trial has not inherited as the worker has."""
        own, given = self._own, request.surroundings
        names = sorted({*own, *given})
        return next((name for name in names if own.get(name) != given.get(name)), None)

    def _start(self, connection: socket.socket, request: Request, streams: list[int]) -> None:
        others = [self._listener, *(one.connection for one in self._trials if one.connection)]
        arguments = (request, streams, others, os.getpid())
        process = get_context("fork").Process(target=self._become_trial, args=arguments)
        try:
            process.start()
            descriptor = os.pidfd_open(process.pid or 0)
        except OSError as error:  # too many processes, or files
            if process.pid is not None:
                process.kill()
            os.write(streams[2], f"trial failed: no process could be started: {error}\n".encode())
            connection.sendall(f"{ENDED} 1\n".encode())
            connection.close()
            return
        self._trials.append(_Trial(connection, process, descriptor))

    def _become_trial(
        self, request: Request, streams: list[int], others: list[socket.socket], worker: int
    ) -> None:
        """In the fork. It keeps its connection, so a light process whose worker is killed waits for
        the end of both."""
        self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != worker:
            os.kill(os.getpid(), signal.SIGKILL)
        os.setpgrp()  # a group to kill, with the trial's own processes
        for other in others:
            other.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update(request.environment)
        sys.argv = request.arguments
        gc.enable()
        _reseed()
        try:
            sys.exit(self._run(request.started))
        finally:
            atexit._run_exitfuncs()  # a fork of multiprocessing ends without

    def _kill(self, trial: _Trial) -> None:
        """It may take its time to end, as in a driver; the others do not wait for it."""
        with suppress(ProcessLookupError):  # before it had its group
            os.killpg(trial.process.pid or 0, signal.SIGKILL)
        trial.process.kill()
        if trial.connection is not None:
            trial.connection.close()
            trial.connection = None

    def _report(self, trial: _Trial) -> None:
        self._trials.remove(trial)
        trial.process.join()
        if trial.connection is not None:
            with suppress(OSError):  # the light process is gone too
                trial.connection.sendall(f"{ENDED} {trial.process.exitcode}\n".encode())
            trial.connection.close()
        trial.process.close()
        os.close(trial.descriptor)


def _reseed() -> None:
    """NumPy's generator begins anew in each process; Python's does so by itself after a fork, and
    PyTorch's has the same first seed in all."""
    import numpy as np

    np.random.seed()


def _import_all() -> RunTrial:
    """Everything that a trial imports but NNI, which reads the trial's environment then."""
    from nni_blockqnn.bridge import channel
    from nni_blockqnn.bridge.nni_import import import_needs_of_nni
    from nni_blockqnn.common.streams import print_everything
    from nni_blockqnn.training.flops import import_ptflops
    from nni_blockqnn.trials.run import run

    import_needs_of_nni()
    import_ptflops()
    with suppress(ImportError):
        import_module("torch.utils.tensorboard")

    def run_trial(started: float) -> int:
        print_everything()
        return run(channel.take_parameters(), None, started)

    return run_trial


def main(import_all: Callable[[], RunTrial] = _import_all) -> int:
    """Serve, until nothing comes any more.

    Args:
        import_all: what it returns is called in each fork.
    """
    if os.fork():
        os._exit(0)  # so that the worker is no child of the trial that started it
    path, number = sys.argv[1:]
    gc.disable()
    os.close(os.pidfd_open(os.getpid()))  # an old Linux has none: trials then run by themselves
    with socket.socket(fileno=int(number)) as listener:
        worker = Worker(Path(path), listener, import_all())
        gc.freeze()
        worker.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
