"""What happened in a search, line by line, so that it survives the process (JSON Lines).

Each line ends with the CRC-32 of what it says, since a damaged line may still be JSON and would
then tell of another block.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_logger = logging.getLogger(__name__)

JOURNAL_NAME = "blockqnn-journal.jsonl"
_CHECKED = re.compile(rb'(\{.*),"crc32":(\d{1,10})\}', re.DOTALL)


class Journal:
    """An append-only file of events, one JSON object a line.

    An event that cannot be written, because the disk is full for example, is kept and written
    before the next one.
    """

    def __init__(self, path: Path | None) -> None:
        """Open and read a journal; without a path it lives in memory only."""
        self.path = path
        self._lines: list[bytes] = []  # a tenth of the memory that the events take
        self._pending: list[bytes] = []
        self._size = 0
        self._hash = hashlib.sha256()
        if path and path.exists():
            whole, _, _ = path.read_bytes().rpartition(b"\n")
            self._lines = list(_whole_lines(path, whole))
            try:
                _set_aside_torn_line(path)
            except OSError as error:
                _logger.error("%s: its torn last line stays (%s)", path, error)
                self._pending.append(b"\n")  # so that it does not spoil the next line
            self._note_written(path.read_bytes())

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events, oldest first."""
        return [json.loads(line) for line in self._lines]

    @property
    def extent(self) -> tuple[int, str] | None:
        """Size in bytes and SHA-256 of the file; ``None`` while it lacks events or is none."""
        if self.path is None or self._pending:
            return None
        return self._size, self._hash.hexdigest()

    def begins_with(self, size: int, digest: str) -> bool:
        """Whether the file's first bytes are those whose :attr:`extent` this was."""
        if self.path is None or size > self._size:
            return False
        with self.path.open("rb") as file:
            return hashlib.sha256(file.read(size)).hexdigest() == digest

    def append(self, event: dict[str, Any], *, durable: bool = False) -> None:
        """Write an event; ``durable`` waits until it is on the disk."""
        line = json.dumps(event, separators=(",", ":")).encode()
        self._lines.append(line)
        if self.path is None:
            return
        self._pending.append(b'%b,"crc32":%d}\n' % (line[:-1], zlib.crc32(line)))
        lines = b"".join(self._pending)
        try:
            _write(self.path, lines, durable)
        except OSError as error:
            _logger.error(
                "%s cannot be written (%s). The search goes on, but a restart would lose its last "
                "%d events: free some space, or make the folder writable",
                self.path,
                error,
                len(self._pending),
            )
        else:
            self._pending.clear()
            self._note_written(lines)

    def _note_written(self, lines: bytes) -> None:
        self._size += len(lines)
        self._hash.update(lines)


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events of a journal that may be written to meanwhile, oldest first.

    Damaged lines are left out, with a warning.
    """
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [json.loads(line) for line in _whole_lines(path, whole)]


def has_events(path: Path, kind: str) -> bool:
    """Whether a journal has events of this kind, without reading it as JSON; false without one."""
    return path.is_file() and b'"event":"%b"' % kind.encode() in path.read_bytes()


def _whole_lines(path: Path, whole: bytes) -> Iterator[bytes]:
    """The events' text without checksums."""
    for number, line in enumerate(whole.splitlines(), 1):
        checked = _CHECKED.fullmatch(line)
        text = checked[1] + b"}" if checked else b""
        if checked and zlib.crc32(text) == int(checked[2]):
            yield text
        else:
            _logger.warning("%s: line %d is damaged and left out", path, number)


def _write(path: Path, lines: bytes, durable: bool) -> None:
    with path.open("ab", buffering=0) as file:
        end = file.tell()
        try:
            written = file.write(lines)
            if written != len(lines):
                raise OSError(f"only {written} of {len(lines)} bytes fitted")
            if durable:
                os.fsync(file.fileno())
        except OSError:
            file.truncate(end)  # no torn line stays before those that follow
            raise


def _set_aside_torn_line(path: Path) -> None:
    """Move a last line that a kill cut short to a file of its own beside the journal."""
    whole, newline, torn = path.read_bytes().rpartition(b"\n")
    if not torn:
        return
    aside = path.with_suffix(".damaged")
    _logger.warning("%s: the last line was cut short and is set aside in %s", path, aside)
    with aside.open("ab") as file:
        file.write(torn + b"\n")
    with path.open("ab") as file:
        file.truncate(len(whole) + len(newline))
