"""What a trial keeps in its output folder, so that nothing that it finished is done again.

NNI runs a trial that was under way when its manager died once more after a resume, under the same
ID and in the same folder.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nni_blockqnn.training import Checkpoint
from nni_blockqnn.trials.result_file import ResultFile

_CHECKPOINT_NAME = "blockqnn-training.pt"
_NETWORK_FOLDER = "network"


class TrialFiles:
    """The result and the checkpoint of one trial; both only count for the same task.

    Attributes:
        network_folder: for the network of a final training.
    """

    def __init__(self, folder: Path, parameters: Any, argv: Sequence[str]) -> None:
        """
        Args:
            folder: the trial's own, as NNI_OUTPUT_DIR names it.
            parameters: the trial's; with the arguments they say what its result would be.
        """
        self._result = ResultFile(folder, parameters, argv)
        self.network_folder = folder / _NETWORK_FOLDER
        self.checkpoint = Checkpoint(folder / _CHECKPOINT_NAME, self._result.fingerprint)

    def read_result(self) -> dict[str, Any] | None:
        """The final metric of this task, if an earlier run of the trial got that far."""
        return self._result.read()

    def write_result(self, metric: dict[str, Any]) -> None:
        """Keep the final metric; where there is no room for it, say so and go on."""
        try:
            self._result.write(metric)
            self.checkpoint.remove()
        except OSError as error:
            print(f"warning: no result is kept in {self._result.path}: {error}", file=sys.stderr)
