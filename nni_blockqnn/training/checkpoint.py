"""A training's state on disk, so that a killed process loses a few seconds and not all epochs."""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

SECONDS_BETWEEN = 10.0
"""Trainings that take less are begun anew sooner than they are written."""


@dataclass
class Checkpoint:
    """The file of one training.

    Attributes:
        fingerprint: says which training it is; a file with another one is not its.
        seconds_between: writes at most so often.
    """

    path: Path
    fingerprint: str
    seconds_between: float = SECONDS_BETWEEN
    _last: float = field(default_factory=time.monotonic)

    def save(self, state: dict[str, Any]) -> None:
        """Replace the file, unless it was written just now. Without room, warns and goes on."""
        now = time.monotonic()
        if now - self._last < self.seconds_between:
            return
        self._last = now
        scratch = self.path.with_suffix(".tmp")
        try:
            with scratch.open("wb") as file:
                torch.save({"fingerprint": self.fingerprint, "state": state}, file)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(self.path)
        # torch.save turns a full disk into a RuntimeError
        except (OSError, RuntimeError) as error:
            warnings.warn(f"the training's checkpoint {self.path}: {error}", stacklevel=2)
            scratch.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """The state of this very training; ``None`` if there is none or it cannot be read."""
        if not self.path.exists():
            return None
        try:
            saved = torch.load(self.path, map_location="cpu", weights_only=True)
            if saved["fingerprint"] == self.fingerprint:
                return saved["state"]
        except Exception as error:  # torch and pickle raise whatever a damaged file makes of them
            warnings.warn(
                f"the training's checkpoint {self.path} is damaged ({type(error).__name__}); "
                "the training starts anew",
                stacklevel=2,
            )
        return None

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
