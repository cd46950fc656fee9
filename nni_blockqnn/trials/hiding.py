"""Files in the working directory that hide a library from the trial.

``python -m`` looks for every module in the working directory first. A ``random.py`` there is
imported in the place of Python's own, by all libraries too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder, all_suffixes
from pathlib import Path

_OWN = "nni_blockqnn"
"""A checkout of this package may well be the working directory."""


@contextmanager
def without_directory(directory: Path) -> Iterator[None]:
    """Within it no module is imported from the directory."""
    before = list(sys.path)
    sys.path[:] = [entry for entry in sys.path if not _is(entry, directory)]
    try:
        yield
    finally:
        sys.path[:] = before


def hiding_files(directory: Path) -> dict[str, str]:
    """What lies in the directory and would hide a module: its name, and a sentence that says so."""
    found = {}
    with without_directory(directory):
        for path in sorted(_entries(directory)):
            name = path.name.partition(".")[0]
            if name in sys.stdlib_module_names:
                found[name] = f"{path} hides Python's own module {name}"
            elif name != _OWN and PathFinder.find_spec(name, sys.path) is not None:
                found[name] = f"{path} hides the library {name}"
    return found


def _entries(directory: Path) -> Iterator[Path]:
    """Files and folders that an import would take."""
    for path in directory.iterdir():
        is_module = path.is_file() and path.name.endswith(tuple(all_suffixes()))
        if is_module or (path / "__init__.py").is_file():
            yield path


def _is(entry: str, directory: Path) -> bool:
    try:
        return Path(entry or ".").resolve() == directory.resolve()
    except OSError:
        return False
