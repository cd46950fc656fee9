"""The folder of one training of ``blockqnn train``: run again, the same command goes on with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nni_blockqnn._messages import shown
from nni_blockqnn.training import Checkpoint
from nni_blockqnn.training.weights import DESCRIPTION_NAME, write_whole

_IDENTITY_NAME = "training.json"
_CHECKPOINT_NAME = "blockqnn-training.pt"


class TrainingFolder:
    """Where a training keeps what it is, its checkpoint, and at its end its network.

    Attributes:
        checkpoint: of this very training.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        """
        Args:
            path: need not be there.
            identity: all that the weights depend on, as JSON values.

        Raises:
            ValueError: if it is the folder of another training, or of something else.
            OSError: if it cannot be read.
        """
        self.path = path
        self._identity = json.dumps(identity, indent=1, sort_keys=True)
        self._check()
        fingerprint = hashlib.sha256(self._identity.encode()).hexdigest()
        self.checkpoint = Checkpoint(path / _CHECKPOINT_NAME, fingerprint)

    def claim(self) -> None:
        """Make it this training's, once that has all that it needs.

        Raises:
            OSError: if it cannot be written to.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.path / _IDENTITY_NAME, self._identity.encode())

    @property
    def result(self) -> dict[str, Any] | None:
        """What ``network.json`` says, if the training is over."""
        path = self.path / DESCRIPTION_NAME
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def _check(self) -> None:
        file = self.path / _IDENTITY_NAME
        if not file.exists():
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise ValueError(f"{self.path} is no folder of a training and not empty: {_REMEDY}")
            return
        found = json.loads(file.read_text(encoding="utf-8"))
        wanted = json.loads(self._identity)
        for name in sorted({*found, *wanted}):
            if found.get(name) != wanted.get(name):
                raise ValueError(
                    f"{self.path} holds another training: its {name} is {shown(found.get(name))}, "
                    f"not {shown(wanted.get(name))}: {_REMEDY}"
                )


_REMEDY = "name another one with --output, or delete it"
