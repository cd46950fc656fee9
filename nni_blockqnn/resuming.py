"""Resuming an experiment, past what NNI stumbles over when its processes were killed.

``nnictl resume`` alone refuses an experiment that NNI's list still calls running, kills the new run
with the old dispatcher if that lingers (it does for some 25 s), and ``nnictl stop`` may hit another
process that has the dead manager's pid by now. So nothing is stopped here that does not answer for
the experiment itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import psutil

from nni_blockqnn import launch
from nni_blockqnn.nni_files import Experiment

_LINGER_SECONDS = 40.0


def resume(experiment: Experiment, port: int | None, *, loopback: bool) -> launch.Launched:
    """Run ``nnictl resume``, once nothing of the experiment runs any more.

    Args:
        port: of the web UI, by default the first free one.

    Raises:
        LaunchError: if it still runs, or does not start.
    """
    _end_manager(experiment)
    _end_dispatchers(experiment)
    return launch.run_nnictl(
        ["resume", experiment.id, "--experiment_dir", str(experiment.directory.parent)],
        port or launch.free_port(needs_next=not loopback),
        loopback=loopback,
    )


def _end_manager(experiment: Experiment) -> None:
    """Stop a manager that ended in an error; one that works is the user's to stop."""
    manager = launch.Launched(experiment.id, experiment.port or 0)
    if launch.answering_id(manager) != experiment.id:
        return
    status = launch.status(manager)
    if status != "ERROR":
        raise launch.LaunchError(
            f"experiment {experiment.id} still runs ({status}): {manager.url}; to stop it: "
            f"nnictl stop {experiment.id}"
        )
    launch.stop(experiment.id)


def _end_dispatchers(experiment: Experiment) -> None:
    """Wait for the old tuner process to notice that its manager is gone, then end it."""
    lingering = list(_dispatchers(experiment))
    _, alive = psutil.wait_procs(lingering, timeout=_LINGER_SECONDS)
    for process in alive:
        process.terminate()
    psutil.wait_procs(alive, timeout=5)


def _dispatchers(experiment: Experiment) -> Iterator[psutil.Process]:
    checkpoint = str(experiment.directory / "checkpoint")
    for process in psutil.process_iter():
        try:
            if process.environ().get("NNI_CHECKPOINT_DIRECTORY") == checkpoint:
                yield process
        except psutil.Error:  # gone, or another user's
            continue
