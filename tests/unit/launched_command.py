"""The command `blockqnn` in one of torchrun's processes, with a checkpoint after each epoch.

The first argument is a folder, in which each process works in a folder of its own, as it would on
machines that share none.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from nni_blockqnn.cli import main
from nni_blockqnn.common.torchrun import end_with
from nni_blockqnn.training import Checkpoint
from nni_blockqnn.trials import training_folder

if __name__ == "__main__":
    own = Path(sys.argv.pop(1)) / os.environ["RANK"]
    own.mkdir(parents=True, exist_ok=True)
    os.chdir(own)
    setattr(training_folder, "Checkpoint", partial(Checkpoint, seconds_between=0))  # noqa: B010
    end_with(main)
