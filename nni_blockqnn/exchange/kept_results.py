"""A trial's result in its output folder, which outlives the trial and NNI's manager.

If NNI's manager dies while a trial runs, a resumed experiment runs that trial again, under the same
ID and in the same folder.
"""

from __future__ import annotations

import hashlib
import json
from glob import escape
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from nni_blockqnn.common.files import write_whole

RESULT_NAME = "blockqnn-result.json"
CHECKPOINT_NAME = "blockqnn-training.pt"
"""The training's checkpoint, beside the result until there is one."""


class ResultFile:
    """The file with a trial's result, which counts only for the same task.

    Attributes:
        fingerprint: the SHA-256 of the task: parameters and identity.
        path: the file's.
    """

    def __init__(self, folder: Path, parameters: Any, identity: Any) -> None:
        """
        Args:
            folder: the trial's own, as NNI_OUTPUT_DIR names it.
            parameters: the trial's.
            identity: of its arguments, a JSON value; with the parameters it says what the result
                would be.
        """
        task = json.dumps([parameters, identity], sort_keys=True)
        self.fingerprint = hashlib.sha256(task.encode()).hexdigest()
        self.path = folder / RESULT_NAME

    def read(self) -> dict[str, Any] | None:
        """The final metric of this task, if an earlier run of the trial got that far."""
        try:
            saved = json.loads(self.path.read_text(encoding="utf-8"))
            return saved["metric"] if saved["fingerprint"] == self.fingerprint else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, metric: dict[str, Any]) -> None:
        """Keep the final metric, on the disk.

        Raises:
            OSError: if there is no room for it, for example.
        """
        write_whole(self.path, json.dumps({"fingerprint": self.fingerprint, "metric": metric}))


class Kept(NamedTuple):
    """A final metric in a trial's folder.

    Attributes:
        time: when it was written, in seconds since 1970.
    """

    time: float
    metric: Any


class KeptResults:
    """The final metrics that the local trials of an experiment keep, each read once."""

    def __init__(self, experiment: Path) -> None:
        """
        Args:
            experiment: the experiment's directory.
        """
        self._experiment = experiment
        self._read: set[Path] = set()

    def new(self) -> list[Any]:
        """The final metrics that were not there the last time, oldest first."""
        found = []
        for folder in self._experiment.glob("environments/*/trials/*"):
            if folder not in self._read and (kept := _kept_in(folder)) is not None:
                self._read.add(folder)
                found.append(kept)
        return [kept.metric for kept in sorted(found, key=attrgetter("time"))]


def kept_metric(experiment: Path, trial_id: str) -> Kept | None:
    """The final metric that one local trial has kept; ``None`` if it has kept none."""
    folders = experiment.glob(f"environments/*/trials/{escape(trial_id)}")
    return next((kept for folder in folders if (kept := _kept_in(folder)) is not None), None)


def checkpoint_time(experiment: Path, trial_id: str) -> float | None:
    """When a local trial last wrote its checkpoint, in seconds since 1970."""
    paths = experiment.glob(f"environments/*/trials/{escape(trial_id)}/{CHECKPOINT_NAME}")
    return max((path.stat().st_mtime for path in paths), default=None)


def _kept_in(folder: Path) -> Kept | None:
    path = folder / RESULT_NAME
    try:
        metric = json.loads(path.read_text(encoding="utf-8"))["metric"]
        return Kept(path.stat().st_mtime, metric)
    except (OSError, ValueError, KeyError, TypeError):
        return None
