"""Files that are replaced as a whole, so that a kill leaves the old content or the new one."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_SECRET = re.compile(r"\b(password|passphrase|sshPassphrase)\b[\"']?\s*:", re.IGNORECASE)


@contextmanager
def replaced(path: Path, *, private: bool = False) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of ``path`` once it is written and on the disk.

    If writing fails, ``path`` keeps its old content and nothing is left beside it. A link stays a
    link, to the new content. What is no file, such as ``/dev/stdout``, is written to as it is.

    Args:
        private: nobody but its owner may read or write the new file; by default the umask says who.

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
        with _opened(scratch, private) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        with suppress(OSError):
            scratch.unlink()
        raise


def _opened(scratch: Path, private: bool) -> IO[bytes]:
    if not private:
        return scratch.open("wb")
    scratch.unlink(missing_ok=True)  # one that a kill left has the mode of then
    return os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def write_configuration(path: Path, text: str) -> None:
    """Replace a configuration of NNI's; only its owner may read it if it holds a password.

    Raises:
        OSError: as :func:`write_whole`.
    """
    write_whole(path, text, private=_SECRET.search(text) is not None)


def write_whole(path: Path, content: bytes | str, *, private: bool = False) -> None:
    """Replace a file's content; text is written as UTF-8.

    What UTF-8 cannot say, as the names of some files, is escaped.

    Args:
        private: as for :func:`replaced`.

    Raises:
        OSError: if there is no room for it, for example.
    """
    with replaced(path, private=private) as file:
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
