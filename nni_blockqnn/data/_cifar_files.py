"""Where the files of a CIFAR data set may lie: as the archive unpacks, or as browsers leave it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from nni_blockqnn.data.errors import DataError

_ARCHIVE = re.compile(r"\.(tar|tgz)\b", re.IGNORECASE)
"""Some browsers unpack the .gz at once."""


def find_files(
    name: str, data_dir: Path, folder: str, archive: str, wanted: Sequence[str], optional: str
) -> list[Path] | None:
    """Either the batch files or, alone, the archive; None if there is neither.

    Args:
        folder: in the archive, that of the batches.
        archive: its name, ending in .tar.gz.
        wanted: names of the batches.
        optional: name of a file that is taken if it is there.

    Raises:
        DataError: if a folder of batches lacks one of them, and there is no archive.
    """
    found = _archive(data_dir, archive)
    incomplete = None
    for place in _places(data_dir, folder, archive):
        missing = [batch for batch in wanted if not (place / batch).is_file()]
        if not missing:
            names = (*wanted, optional) if (place / optional).is_file() else wanted
            return [place / batch for batch in names]
        if place != data_dir:
            incomplete = incomplete or (place, missing)
    if found is not None:
        return [found]
    if incomplete is not None:
        place, missing = incomplete
        raise DataError(
            f"{name}: {place} lacks {', '.join(missing)}: unpack {archive} again, or remove the "
            "folder"
        )
    return None


def renaming_hint(data_dir: Path, archive: str) -> str:
    """A sentence on a file that may be the archive under a name that is not known, or nothing."""
    stem = _stem(archive)
    try:
        names = sorted(entry.name for entry in data_dir.iterdir())
    except OSError:
        return ""
    for name in names:
        if name.casefold().startswith("cifar") and stem.split("-")[1] in re.split(r"\D+", name):
            if name.endswith((".part", ".crdownload", ".download", ".partial", ".tmp")):
                return f" {data_dir / name} is a download that has not ended."
            return f" If {data_dir / name} is it, rename it to {archive}."
    return ""


def _places(data_dir: Path, folder: str, archive: str) -> list[Path]:
    """Folders that may hold the batches: programs unpack archives into folders of their names."""
    outer = [data_dir, data_dir / folder]
    if data_dir.is_dir():
        outer += sorted(entry for entry in data_dir.iterdir() if _is_copy(entry.name, archive))
    places = [place / folder for place in outer]
    return [place for place in places if place.is_dir()] + [data_dir]


def _archive(data_dir: Path, archive: str) -> Path | None:
    exact = data_dir / archive
    if exact.is_file() or not data_dir.is_dir():
        return exact if exact.is_file() else None
    copies = [
        entry
        for entry in sorted(data_dir.iterdir())
        if _is_copy(entry.name, archive) and _ARCHIVE.search(entry.name) and entry.is_file()
    ]
    return copies[0] if copies else None


def _is_copy(name: str, archive: str) -> bool:
    """Whether it is the archive's name, with a copy's number and without some of its endings."""
    number = r"( ?\(\d+\)| \d+|-\d+)?"
    pattern = re.escape(_stem(archive)) + rf"(\.tar)?{number}(\.tar|\.tgz|\.gz)*(\.\d+)?"
    return re.fullmatch(pattern, name, re.IGNORECASE) is not None


def _stem(archive: str) -> str:
    return archive.removesuffix(".tar.gz")
