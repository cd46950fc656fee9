"""Files that are replaced as a whole, so that a kill leaves the old content or the new one."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of ``path`` once it is written and on the disk.

    If writing fails, ``path`` keeps its old content and nothing is left beside it. A link stays a
    link, to the new content. What is no file, such as ``/dev/stdout``, is written to as it is.

    Raises:
        OSError: if there is no room for it, for example.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    path = path.resolve()
    scratch = _scratch(path)
    try:
        with scratch.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        with suppress(OSError):
            scratch.unlink()
        raise


def write_whole(path: Path, content: bytes | str) -> None:
    """Replace a file's content; text is written as UTF-8.

    What UTF-8 cannot say, as the names of some files, is escaped.

    Raises:
        OSError: if there is no room for it, for example.
    """
    with replaced(path) as file:
        file.write(
            content.encode(errors="backslashreplace") if isinstance(content, str) else content
        )


def foreign_entries(folder: Path, own: Collection[str]) -> list[str]:
    """The names in a folder, sorted, but for its own files and what a kill left of writing them.

    Args:
        folder: need not exist.
        own: names of files.
    """
    if not folder.is_dir():
        return []
    known = {*own, *(_scratch(folder / name).name for name in own)}
    return sorted(entry.name for entry in folder.iterdir() if entry.name not in known)


def _scratch(path: Path) -> Path:
    return path.with_name(f"{path.name}.tmp")
