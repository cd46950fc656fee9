"""A journal has one writer: two tuners on one would give their blocks the same numbers."""

from __future__ import annotations

import logging
from pathlib import Path

from filelock import FileLock, Timeout

_logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 40.0
"""When NNI's manager was killed, its tuner lives on for some 25 s (docs/faults.md)."""
_HELD: dict[Path, FileLock] = {}
"""The locks of this process. It keeps them to its end, also if it makes another tuner."""


class JournalInUseError(RuntimeError):
    """Another process writes the journal."""


def lock_journal(path: Path, patience: float = PATIENCE_SECONDS) -> None:
    """Reserve the journal for this process until it ends.

    Where files cannot be locked, or not created, that is logged and the journal is used as it is.

    Args:
        patience: seconds to wait for another process to end.

    Raises:
        JournalInUseError: if it does not.
    """
    path = path.resolve()
    lock = _HELD.setdefault(path, FileLock(path.with_suffix(".lock")))
    if lock.is_locked:
        return
    try:
        lock.acquire(timeout=patience, poll_interval=0.2)
    except Timeout:
        raise JournalInUseError(
            f"{path} is being written by another tuner: an experiment has one manager at a time. "
            "Stop the other one (nnictl stop ID, or end its process), and resume again"
        ) from None
    except (OSError, NotImplementedError) as error:
        _logger.warning("%s cannot be locked (%s): see that no other tuner uses it", path, error)
