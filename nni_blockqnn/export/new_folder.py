"""A folder that appears when all of it is written."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock, Timeout

from nni_blockqnn.export.description import ExportError

_LOCK_NAME = "export.lock"
"""In the scratch folder, held as long as somebody fills it."""


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """An empty folder that gets this name once it is filled, so that nobody sees half of it.

    What a kill left of an earlier one of this name is removed.

    Raises:
        ExportError: if there is something of this name already, other than an empty folder.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise ExportError(f"{path} exists already; name a folder that does not, or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path)
    scratch_folder = TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent)
    with scratch_folder as scratch, FileLock(Path(scratch) / _LOCK_NAME):
        filled = Path(scratch) / path.name
        filled.mkdir()
        yield filled
        filled.replace(path)


def _remove_stale(path: Path) -> None:
    """Scratch folders for this name that nobody fills any more."""
    pattern = re.compile(rf"\.{re.escape(path.name)}-[a-z0-9_]{{8}}")
    for folder in [entry for entry in path.parent.iterdir() if pattern.fullmatch(entry.name)]:
        lock = folder / _LOCK_NAME
        known = {_LOCK_NAME, path.name}
        if not lock.is_file() or not {entry.name for entry in folder.iterdir()} <= known:
            continue
        try:
            with FileLock(lock, timeout=0):
                shutil.rmtree(folder / path.name, ignore_errors=True)
        except Timeout:
            continue
        shutil.rmtree(folder, ignore_errors=True)
