"""NNI's managers that run on this machine, found by their command lines.

NNI's list goes on calling an experiment running whose manager was killed, and its pid may belong to
another process by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psutil

from nni_blockqnn.bridge.experiments import Experiment

_END_SECONDS = 60.0
"""As long as ``nnictl stop`` waits: the manager first ends its tuner and its trials."""


def find_manager(experiment: Experiment) -> psutil.Process | None:
    """The process that runs the experiment; None if there is none on this machine."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # gone, or another user's
            if _runs(process.cmdline(), experiment):
                return process
    return None


def end_manager(process: psutil.Process) -> bool:
    """Tell a manager to stop its experiment, as ``nnictl stop`` does; returns whether it ended."""
    with suppress(psutil.NoSuchProcess):
        process.terminate()
        _, alive = psutil.wait_procs([process], timeout=_END_SECONDS)
        return not alive
    return True


def port_of(process: psutil.Process) -> int | None:
    """The port of a manager's web UI."""
    with suppress(psutil.Error, ValueError, TypeError):
        return int(_option(process.cmdline(), "--port") or "")
    return None


def _runs(command: Sequence[str], experiment: Experiment) -> bool:
    """Whether it is the command of a manager that runs the experiment, and not only shows it."""
    folder = _option(command, "--experiments-directory")
    return (
        _option(command, "--experiment-id") == experiment.id
        and folder is not None
        and Path(folder).resolve() == experiment.directory.parent.resolve()
        and _option(command, "--action") != "view"
    )


def _option(command: Sequence[str], name: str) -> str | None:
    for option, value in pairwise(command):
        if option == name:
            return value
    return None
