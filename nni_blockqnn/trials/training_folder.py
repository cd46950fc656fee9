"""The folder of one training of ``blockqnn train``: run again, the same command goes on with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from nni_blockqnn.common.files import foreign_entries, write_whole
from nni_blockqnn.common.messages import shown
from nni_blockqnn.export import ExportError, load_described
from nni_blockqnn.training import Checkpoint, TrainingArguments
from nni_blockqnn.training.weights import DESCRIPTION_NAME

_IDENTITY_NAME = "training.json"
_CHECKPOINT_NAME = "blockqnn-training.pt"
_LOCK_NAME = "training.lock"
_DATA = "data"
_NOT_COMPARED = {_DATA, "data_dir", "device", "test"}
"""The data is compared once it is read. The others do not affect the weights, but files of earlier
versions have them, and a checkpoint's fingerprint is that of such a file's text."""


class TrainingFolder:
    """Where a training keeps what it is, its checkpoint, and at its end its network.

    Attributes:
        checkpoint: of this training.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        """
        Args:
            path: need not exist.
            identity: all that the weights depend on but for the data, as JSON values. Fields that
                it leaves out have the values of `TrainingArguments.DEFAULTS`.

        Raises:
            ValueError: if it is the folder of another training, or of something else.
            OSError: if it cannot be read.
        """
        self.path = path
        self._wanted = json.loads(json.dumps(identity))
        self._lock = FileLock(path / _LOCK_NAME, timeout=0)
        own = self._found() or self._wanted
        fingerprint = hashlib.sha256(
            _text({name: value for name, value in own.items() if name != _DATA})
        ).hexdigest()
        self.checkpoint = Checkpoint(path / _CHECKPOINT_NAME, fingerprint)

    def claim(self, data: Mapping[str, Any]) -> None:
        """Reserve the folder for this training; call it once everything has been found.

        Args:
            data: what identifies the data, as JSON values.

        Raises:
            ValueError: if another process trains here, or did so on other data.
            OSError: if it cannot be written to.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            raise ValueError(f"another training is at work in {self.path}") from None
        if (self.path / DESCRIPTION_NAME).exists():
            raise ValueError(
                f"another training has just ended in {self.path}; start this one again"
            )
        self.check_data(data)
        own = (self._found() or self._wanted) | {_DATA: data}
        write_whole(self.path / _IDENTITY_NAME, _text(own))

    def check_data(self, data: Mapping[str, Any]) -> None:
        """Check that the data is what the training began with.

        Raises:
            ValueError: naming what differs.
        """
        before = (self._found() or {}).get(_DATA, {})
        now = json.loads(json.dumps(data))
        for name, value in before.items():
            if now.get(name) != value:
                raise ValueError(
                    f"{self.path} holds a training on other data: {name} was {shown(value)}, now "
                    f"it is {shown(now.get(name))}: give the data of then, or {_REMEDY}"
                )

    def finish(self) -> None:
        """Remove what a complete network does not need."""
        self.checkpoint.remove()
        # before the lock is released: whoever gets it sees that the training is over
        (self.path / _LOCK_NAME).unlink(missing_ok=True)

    def release(self) -> None:
        self._lock.release()

    @property
    def result(self) -> dict[str, Any] | None:
        """What ``network.json`` says, if the training is over.

        Raises:
            ValueError: if its network is not whole.
        """
        if not (self.path / DESCRIPTION_NAME).exists():
            return None
        try:
            return dict(load_described(self.path)[0].facts)
        except ExportError as error:
            raise ValueError(
                f"the training in {self.path} is over, but its network is not whole any more: "
                f"{error}, or delete the folder to train again"
            ) from None

    def _found(self) -> dict[str, Any] | None:
        """What the folder says that its training is; None if there is none.

        Raises:
            ValueError: if that is another one than is wanted.
        """
        file = self.path / _IDENTITY_NAME
        if not file.exists():
            if self.path.exists() and not self._is_free():
                raise ValueError(f"{self.path} is no folder of a training and not empty: {_REMEDY}")
            return None
        found = json.loads(file.read_text(encoding="utf-8"))
        # earlier versions wrote out the defaults, which may be left out on either side
        before, wanted = ({**TrainingArguments.DEFAULTS, **one} for one in (found, self._wanted))
        for name in sorted({*before, *wanted} - _NOT_COMPARED):
            if before.get(name) != wanted.get(name):
                raise ValueError(
                    f"{self.path} holds another training: its {name} is {shown(before.get(name))}, "
                    f"not {shown(wanted.get(name))}: {_REMEDY}"
                )
        return found

    def _is_free(self) -> bool:
        return self.path.is_dir() and not foreign_entries(self.path, {_LOCK_NAME, _IDENTITY_NAME})


def _text(identity: Mapping[str, Any]) -> bytes:
    return json.dumps(identity, indent=1, sort_keys=True).encode()


_REMEDY = "name another one with --output, or delete it"
