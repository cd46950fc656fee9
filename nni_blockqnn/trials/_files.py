"""What a trial keeps in its output folder, so that it repeats nothing that it finished.

NNI runs a trial that was under way when its manager died once more after a resume, under the same
ID and in the same folder. A trial that was killed by itself it does not run again; its copy
(``blockqnn retry``, or "Customize trial" in the web UI) has a folder beside the old one, or, if
NNI has lost that host or its connection meanwhile, in another environment of the experiment.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nni_blockqnn.exchange.kept_results import CHECKPOINT_NAME, ResultFile
from nni_blockqnn.training import Checkpoint
from nni_blockqnn.training.checkpoint import read_fingerprint

_NETWORK_FOLDER = "network"


class TrialFiles:
    """The result and the checkpoint of one trial; both are ignored by any other task.

    Attributes:
        network_folder: for the network of a final training.
    """

    def __init__(self, folder: Path, parameters: Any, identity: Mapping[str, Any]) -> None:
        """
        Args:
            folder: the trial's own, as NNI_OUTPUT_DIR names it.
            parameters: the trial's.
            identity: of its arguments (:attr:`TrialArguments.identity`); the two together say what
                the result would be.
        """
        self._result = ResultFile(folder, parameters, identity)
        self.network_folder = folder / _NETWORK_FOLDER
        self.checkpoint = Checkpoint(folder / CHECKPOINT_NAME, self._result.fingerprint)

    def read_result(self) -> dict[str, Any] | None:
        """The final metric of this task, if an earlier run of the trial got that far."""
        return self._result.read()

    def inherit_checkpoint(self) -> Path | None:
        """Continue from the newest checkpoint of this task in the experiment's other trials.

        Those are the folders on this machine, of all environments: each host has at least one,
        and ``blockqnn retry`` brings checkpoints from one host to another.

        Returns the folder; None if there is none, or if this trial has a checkpoint of its own.
        """
        own = self.checkpoint.path
        if own.exists() and read_fingerprint(own) == self.checkpoint.fingerprint:
            return None
        for path in _newest_first(own.parent.parent):
            if read_fingerprint(path) == self.checkpoint.fingerprint:
                self.checkpoint.inherited = path
                return path.parent
        return None

    def write_result(self, metric: dict[str, Any]) -> None:
        """Write the final metric; if there is no room for it, warn."""
        try:
            self._result.write(metric)
            self.checkpoint.remove()
        except OSError as error:
            print(f"warning: no result is kept in {self._result.path}: {error}", file=sys.stderr)


def _newest_first(trials: Path) -> Iterator[Path]:
    """The checkpoints in the folders of an experiment's trials.

    Args:
        trials: the folder of one environment's, ``environments/*/trials`` as NNI has it.
    """
    found = []
    beside = trials.glob(f"*/{CHECKPOINT_NAME}")
    elsewhere = trials.parent.parent.glob(f"*/{trials.name}/*/{CHECKPOINT_NAME}")
    for path in {*beside, *elsewhere}:
        with suppress(OSError):  # a trial that has just ended removes its own
            found.append((path.stat().st_mtime, path))
    yield from (path for _, path in sorted(found, reverse=True))
