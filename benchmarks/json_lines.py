"""Files of results that grow by a line of JSON each, and go on after a kill."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All lines but those that a kill cut short; none where there is no file."""
    lines = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").split("\n"):
            with suppress(json.JSONDecodeError):
                lines.append(json.loads(line))
    return lines


def append(path: Path, *lines: dict[str, Any]) -> None:
    """Add lines, on the disk, after the end of one that was cut short."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                file.write(b"\n")
        file.write("".join(f"{json.dumps(line)}\n" for line in lines).encode())
        file.flush()
        os.fsync(file.fileno())
