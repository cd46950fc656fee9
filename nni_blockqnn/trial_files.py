"""What a trial keeps in its output folder, so that nothing that it finished is done again.

NNI runs a trial that was under way when its manager died once more after a resume, under the same
ID and in the same folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nni_blockqnn.training import Checkpoint

_RESULT_NAME = "blockqnn-result.json"
_CHECKPOINT_NAME = "blockqnn-training.pt"


class TrialFiles:
    """The result and the checkpoint of one trial; both only count for the same task."""

    def __init__(self, folder: Path, parameters: Any, argv: Sequence[str]) -> None:
        """
        Args:
            folder: the trial's own, as NNI_OUTPUT_DIR names it.
            parameters: the trial's; with the arguments they say what its result would be.
        """
        task = json.dumps([parameters, list(argv)], sort_keys=True)
        self._fingerprint = hashlib.sha256(task.encode()).hexdigest()
        self._result = folder / _RESULT_NAME
        self.checkpoint = Checkpoint(folder / _CHECKPOINT_NAME, self._fingerprint)

    def read_result(self) -> dict[str, Any] | None:
        """The final metric of this task, if an earlier run of the trial got that far."""
        try:
            saved = json.loads(self._result.read_text(encoding="utf-8"))
            return saved["metric"] if saved["fingerprint"] == self._fingerprint else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write_result(self, metric: dict[str, Any]) -> None:
        """Keep the final metric; where there is no room for it, say so and go on."""
        scratch = self._result.with_suffix(".tmp")
        try:
            with scratch.open("w", encoding="utf-8") as file:
                json.dump({"fingerprint": self._fingerprint, "metric": metric}, file)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(self._result)
            self.checkpoint.remove()
        except OSError as error:
            print(f"warning: the result is not kept in {self._result}: {error}", file=sys.stderr)
