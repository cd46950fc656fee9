"""Searches on hosts whose trials train nothing and note what they do (``nni/soak_trial.py``)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from cluster import Cluster, Host
from nni_shell import WAITING_SECONDS, variable
from soak import notes, soak_config


def remote_config(
    hosts: Cluster, truth: Path, trials: int, changes: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Of a search on all hosts, with changes of each one's entry."""
    changes = changes or [{} for _ in hosts.hosts]
    machines = [host.entry(**other) for host, other in zip(hosts.hosts, changes, strict=True)]
    config = soak_config(truth, trials=trials, seed=0, trialConcurrency=len(machines))
    return config | {
        "nniManagerIp": hosts.manager,
        "trainingService": {"platform": "remote", "reuseMode": False, "machineList": machines},
    }


def wait_for(
    truth: Path, phase: str, host: Host, trial: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The next note of that phase of an episode that is new, on a host; or of a certain trial."""
    seen = 0 if trial else len(notes(truth))
    old = {note["episode"] for note in notes(truth)[:seen]}

    def fits(note: dict[str, Any]) -> bool:
        if trial:
            return note["trial"] == trial["trial"]
        return note["episode"] not in old and is_on(note["pid"], host)

    deadline = time.monotonic() + WAITING_SECONDS
    while True:
        for note in notes(truth)[seen:]:
            if note["phase"] == phase and fits(note):
                return note
        assert time.monotonic() < deadline, f"waited in vain for a trial to have {phase}"
        time.sleep(0.02)


def is_on(pid: int, host: Host) -> bool:
    try:
        return variable(psutil.Process(pid), "HOME") == str(host.server.home)
    except psutil.NoSuchProcess:
        return False
