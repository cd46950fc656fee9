"""Resuming an experiment, also after its processes were killed.

``nnictl resume`` alone refuses an experiment that NNI's list still calls running. If the old
dispatcher lingers, as it does for some 25 s, the new run dies of it. And ``nnictl stop`` may hit
another process that has the dead manager's pid by now. So only two kinds of processes are stopped
here: a manager that answers for the experiment, and processes whose environment names it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from nni_blockqnn.bridge import launch
from nni_blockqnn.bridge.database import database_in
from nni_blockqnn.bridge.experiments import Experiment
from nni_blockqnn.bridge.managers import find_manager, port_of
from nni_blockqnn.bridge.statuses import ERROR

_END_SECONDS = 5.0


def resume(experiment: Experiment, port: int | None, *, loopback: bool) -> launch.Launched:
    """Run ``nnictl resume``, after ending what is left of the experiment's last run.

    Args:
        port: of the web UI, by default the first free one.

    Raises:
        LaunchError: if it still runs, or does not start, or lies elsewhere than NNI looks for it.
    """
    _check_folder(experiment)
    _end_manager(experiment)
    _end_leftovers(experiment)
    return launch.run_nnictl(
        ["resume", experiment.id, "--experiment_dir", str(experiment.directory.parent)],
        port,
        loopback=loopback,
    )


def _check_folder(experiment: Experiment) -> None:
    """Refuse a folder that was moved: NNI would begin an empty experiment where it was before."""
    parent = experiment.config.get("experimentWorkingDirectory")
    home = Path(str(parent)) if parent else Path.home() / "nni-experiments"
    expected = home.expanduser() / experiment.id
    if expected.resolve() == experiment.directory.resolve():
        return
    moved, original = (shlex.quote(str(path)) for path in (experiment.directory, expected))
    how = f"first ln -s {moved} {original}"
    if database_in(expected).is_file():
        how = f"of the two, it goes on with that one: blockqnn resume {original}"
    elif expected.exists():
        how = f"{original} is there without a database: remove it, then ln -s {moved} {original}"
    raise launch.LaunchError(
        f"NNI goes on with experiment {experiment.id} only where it was started, as {expected}: "
        f"{how}"
    )


def running_manager(experiment: Experiment) -> launch.Launched | None:
    """The experiment's manager if it answers and has not failed."""
    manager = _launched(experiment)
    answers = launch.answering_id(manager) == experiment.id
    return manager if answers and launch.status(manager) != ERROR else None


def manager_started(experiment: Experiment) -> float:
    """When the experiment's manager was started, in seconds since 1970: its tuner is as old.

    0 if its tuner does not run on this machine.
    """
    started = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            if _is_tuner(process, experiment):
                started.append(process.create_time())
    return min(started, default=0.0)


def _end_manager(experiment: Experiment) -> None:
    """Stop a manager that ended in an error; one that works is the user's to stop."""
    manager = _launched(experiment)
    if launch.answering_id(manager) != experiment.id:
        return
    status = launch.status(manager)
    if status != ERROR:
        raise launch.LaunchError(
            f"experiment {experiment.id} still runs ({status}): {manager.url}; to stop it: "
            f"blockqnn stop {experiment.argument}"
        )
    launch.stop(experiment.id)


def _launched(experiment: Experiment) -> launch.Launched:
    """The experiment at the port of its web UI, also where NNI's list has lost it."""
    port = experiment.port
    if port is None and (process := find_manager(experiment)) is not None:
        port = port_of(process)
    return launch.Launched(experiment.id, port or 0)


def _end_leftovers(experiment: Experiment) -> None:
    """End the tuner and the local trials that have outlived their manager.

    They cannot report any more. Nothing is lost by that: the tuner's journal and the trials' files
    survive a kill, and NNI runs the trials again, which go on from their checkpoints.
    """
    leftovers = list(_leftovers(experiment))
    for process in leftovers:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(leftovers, timeout=_END_SECONDS)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=_END_SECONDS)


def _leftovers(experiment: Experiment) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        if _variable(process, "NNI_EXP_ID") == experiment.id or _is_tuner(process, experiment):
            yield process


def _is_tuner(process: psutil.Process, experiment: Experiment) -> bool:
    checkpoint = str(experiment.directory / "checkpoint")
    return _variable(process, "NNI_CHECKPOINT_DIRECTORY") == checkpoint


def _variable(process: psutil.Process, name: str) -> str | None:
    try:
        return process.environ().get(name)
    except psutil.Error:  # gone, or another user's
        return None
