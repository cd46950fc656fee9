"""Files of a data set that are passed over, for a line that says so."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from nni_blockqnn.data._pictures import ENDINGS

_JUNK = frozenset(
    name.casefold()
    for name in (
        *("__MACOSX", "__pycache__", "@eaDir", "#recycle", "#snapshot", "lost+found"),
        *("$RECYCLE.BIN", "System Volume Information", "Thumbs.db", "ehthumbs.db", "desktop.ini"),
        "Icon\r",
    )
)
"""What systems and programs leave in folders (macOS, Synology, Linux, Windows, Python)."""
_MOST_FOLDERS, _MOST_ENDINGS = 3, 4


def is_junk(name: str) -> bool:
    """Whether a file or folder is no one's own: hidden, or left there by a system or a program."""
    return name.startswith(".") or name.casefold() in _JUNK


class Unread:
    """What is not read of a split's folder: how many of each ending in each class's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Counter[str]] = {}
        self._folders: Counter[str] = Counter()

    def add(self, within: str, name: str, *, is_folder: bool = False) -> None:
        """
        Args:
            within: the class's folder, "" for the split's own.
        """
        ending = os.path.splitext(name)[1].lower()  # noqa: PTH122, of a million
        is_image = ending in ENDINGS
        if is_junk(name) and (is_folder or not is_image or name.startswith("._")):
            return
        if is_folder:
            self._folders[within] += 1
            return
        if not is_image:
            kind = ending or "without an ending"
        elif name.startswith("."):
            kind = f"hidden {ending}"
        else:
            kind = f"{ending}, {'a broken link' if within else 'in no class folder'}"
        self._files.setdefault(within, Counter())[kind] += 1

    def in_brackets(self, folders: Iterable[str]) -> str:
        """ " (6 files in train/cat are not read: .heic)" for each of the folders, or nothing."""
        notes = [note for name in folders for note in self._of(name)]
        return f" ({'; '.join(notes)})" if notes else ""

    def notes(self) -> list[str]:
        """A line for each of a few folders, and one for all others."""
        sizes = Counter({name: kinds.total() for name, kinds in self._files.items()})
        most = [name for name, _ in (sizes + self._folders).most_common()]
        named, others = most[:_MOST_FOLDERS], most[_MOST_FOLDERS:]
        lines = [note for name in named for note in self._of(name)]
        if others:
            kinds = sum((self._files.get(name, Counter()) for name in others), Counter())
            kinds["folders"] = sum(self._folders[name] for name in others)
            place = f"{len(others)} more folders of {self._folder.name}"
            lines += _note(place, +kinds)
        return lines

    def _of(self, name: str) -> list[str]:
        place = str(Path(self._folder.name, name))
        notes = _note(place, self._files.get(name, Counter()))
        if count := self._folders[name]:
            folders = "1 folder" if count == 1 else f"{count:,} folders"
            notes.append(f"{folders} in {place} {_verb(count)} not read, only the images beside")
        return notes


def _note(place: str, kinds: Counter[str]) -> list[str]:
    """ "6 files in train/cat are not read: .heic", or nothing."""
    total = kinds.total()
    if not total:
        return []
    most = kinds.most_common(_MOST_ENDINGS)
    named = [kind if len(kinds) == 1 else f"{count:,} {kind}" for kind, count in most]
    rest = total - sum(count for _, count in most)
    listed = ", ".join(named + ([f"{rest:,} others"] if rest else []))
    files = "1 file" if total == 1 else f"{total:,} files"
    return [f"{files} in {place} {_verb(total)} not read: {listed}"]


def _verb(count: int) -> str:
    return "is" if count == 1 else "are"
