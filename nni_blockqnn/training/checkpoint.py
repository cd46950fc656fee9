"""A training's state on disk, so that a killed process loses a few seconds and not all epochs."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from nni_blockqnn.common.files import replaced
from nni_blockqnn.training.results import EpochResult

SECONDS_BETWEEN = 10.0
"""A training shorter than this is repeated faster than it is written."""


@dataclass
class Checkpoint:
    """The file of one training.

    Attributes:
        fingerprint: identifies the training; a file with another one is ignored.
        seconds_between: the least time between two writes, in seconds; default 10.
        inherited: the file of an earlier run of the same training, read if ``path`` has nothing;
            default None.
    """

    path: Path
    fingerprint: str
    seconds_between: float = SECONDS_BETWEEN
    inherited: Path | None = None
    _last: float = field(default_factory=time.monotonic)

    def save(self, state: dict[str, Any]) -> None:
        """Replace the file, unless it was written just now; if there is no room for it, warn."""
        now = time.monotonic()
        if now - self._last < self.seconds_between:
            return
        self._last = now
        try:
            with replaced(self.path) as file:
                torch.save({"fingerprint": self.fingerprint, "state": state}, file)
        # torch.save turns a full disk into a RuntimeError
        except (OSError, RuntimeError) as error:
            warnings.warn(f"the training's checkpoint {self.path}: {error}", stacklevel=2)

    def load(self) -> dict[str, Any] | None:
        """The state of this very training; ``None`` if there is none or it cannot be read."""
        for path in (self.path, self.inherited):
            if path is not None and (state := self._load(path)) is not None:
                return state
        return None

    def _load(self, path: Path) -> dict[str, Any] | None:
        if not path.exists():
            return None
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)
            if saved["fingerprint"] == self.fingerprint:
                return saved["state"]
        except Exception as error:  # torch and pickle raise whatever a damaged file makes of them
            warnings.warn(
                f"the training's checkpoint {path} is damaged ({type(error).__name__}); "
                "the training starts anew",
                stacklevel=3,
            )
        return None

    def epochs(self) -> list[EpochResult]:
        """The results of the epochs that :meth:`load` would bring, without reading the weights."""
        for path in (self.path, self.inherited):
            if path is not None and (saved := _mapped(path)).get("fingerprint") == self.fingerprint:
                return [EpochResult(**epoch) for epoch in saved["state"].get("epochs", ())]
        return []

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def read_fingerprint(path: Path) -> str | None:
    """The fingerprint of the training that wrote a checkpoint, without reading its tensors.

    ``None`` if it cannot be read.
    """
    found = _mapped(path).get("fingerprint")
    return None if found is None else str(found)


def _mapped(path: Path) -> dict[str, Any]:
    """What the file holds, with tensors that are not read yet; empty if it cannot be read."""
    try:
        saved = torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # as above; another trial's file may also be gone by now
        return {}
    return saved if isinstance(saved, dict) else {}
