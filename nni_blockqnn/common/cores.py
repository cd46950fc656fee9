"""The CPU's cores that this process may use, and threads that wait without using one."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

WAITING_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Any of them says how OpenMP's threads wait, in the words of GNU's or Intel's library."""
_CGROUP = Path("/sys/fs/cgroup")


def wait_asleep(environment: MutableMapping[str, str] | None = None) -> None:
    """Have PyTorch's threads sleep while they wait for each other, unless the user has said how.

    By default they spin. Beside another busy process a thread that has done its share then takes
    the core from one that has not (docs/training.md, "Threads"). OpenMP reads this once, when
    PyTorch is loaded: call it before.

    Args:
        environment: default this process's.
    """
    variables = os.environ if environment is None else environment
    if not any(name in variables for name in WAITING_VARIABLES):
        variables["OMP_WAIT_POLICY"] = "PASSIVE"


def usable_cores() -> int:
    """Logical cores that this process is allowed to use: by its affinity, and by the quota of its
    container or service, which PyTorch does not see."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        cores = os.cpu_count() or 1
    return max(min(cores, round(_quota(_CGROUP) or cores)), 1)


def _quota(root: Path) -> float | None:
    """CPUs that control groups allow, of version 2 or 1; None for no limit."""
    try:
        limit, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            limit = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        cpus = int(limit) / int(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return cpus if cpus > 0 else None
