"""The folder of a pilot, which holds its settings and its blocks (no PyTorch, no NNI)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from nni_blockqnn.common.files import foreign_entries, write_whole
from nni_blockqnn.common.messages import shown

_PLAN_NAME, _LOCK_NAME = "pilot.json", "pilot.lock"
_REMEDY = "name another folder with --output, or delete this one"


class PilotFolder:
    """Where a pilot keeps its blocks and results, so that the same command goes on there.

    Attributes:
        blocks: their codes; empty if the folder is new.
    """

    def __init__(
        self, path: Path, settings: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
    ) -> None:
        """
        Args:
            path: need not exist, nor its parents.
            settings: all but the blocks that the results depend on, as JSON values, under the
                names that a user knows.
            defaults: the values of those settings that are left out.

        Raises:
            ValueError: if it is the folder of another pilot, naming what differs, of something
                else, or no folder.
            OSError: if it cannot be read.
        """
        self.path = path
        self._settings = json.loads(json.dumps(settings))
        self._defaults = json.loads(json.dumps(defaults or {}))
        self.blocks = self._checked_blocks()

    @contextmanager
    def claimed(self, blocks: Sequence[str]) -> Iterator[None]:
        """Make the folder this pilot's, with these blocks, and keep others out meanwhile.

        Call it once everything that the pilot needs has been found. The folder and its parents are
        made.

        Args:
            blocks: codes, those that it has first.

        Raises:
            ValueError: if another pilot is at work there, or began meanwhile.
            OSError: if it cannot be written to.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:
            try:
                held.enter_context(FileLock(self.path / _LOCK_NAME, timeout=0))
            except Timeout:
                raise ValueError(f"another pilot is at work in {self.path}") from None
            found = self._checked_blocks()
            if found != list(blocks[: len(found)]):
                raise ValueError(
                    f"{self.path} was given other blocks meanwhile: run the command again"
                )
            self._write(blocks)
            yield

    def _write(self, blocks: Sequence[str]) -> None:
        plan = {"settings": self._settings, "blocks": list(blocks)}
        write_whole(self.path / _PLAN_NAME, json.dumps(plan, indent=1) + "\n")

    def _checked_blocks(self) -> list[str]:
        file = self.path / _PLAN_NAME
        if not file.exists():
            self._check_is_free()
            return []
        try:
            plan = json.loads(file.read_text(encoding="utf-8"))
            settings, blocks = dict(plan["settings"]), list(plan["blocks"])
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"{file} is damaged or of another version of this package; {_REMEDY}"
            ) from None
        difference = _difference(self._completed(settings), self._completed(self._settings))
        if difference is not None:
            raise ValueError(f"{self.path} holds another pilot: its {difference}; {_REMEDY}")
        return blocks

    def _completed(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """With the defaults at their end, so that a difference is named by what was given first."""
        return {**settings, **{n: v for n, v in self._defaults.items() if n not in settings}}

    def _check_is_free(self) -> None:
        for place in (self.path, *self.path.parents):
            if place.exists() and not place.is_dir():
                inside = "" if place == self.path else f", so that {self.path} cannot be made"
                raise ValueError(f"{place} is no folder{inside}; name another one with --output")
        if foreign_entries(self.path, {_PLAN_NAME, _LOCK_NAME}):
            raise ValueError(f"{self.path} is no folder of a pilot and not empty; {_REMEDY}")


def _difference(found: Any, wanted: Any, name: str = "") -> str | None:
    """The first leaf that differs: 'network.filters is [4, 4], not [8, 8]'."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        leaves = (
            _difference(found.get(key), wanted.get(key), f"{name}.{key}" if name else key)
            for key in {**wanted, **found}
        )
        return next((leaf for leaf in leaves if leaf is not None), None)
    if found == wanted:
        return None
    return f"{name} is {_in_words(found)}, not {_in_words(wanted)}"


def _in_words(value: Any) -> str:
    return "unset" if value is None else value if isinstance(value, str) else shown(value)
