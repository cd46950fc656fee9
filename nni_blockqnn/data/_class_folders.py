"""Image files in a folder for each class, as two kinds of data sets lay them out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nni_blockqnn.data._arrays import FileStamp
from nni_blockqnn.data._class_names import nearest, one_form
from nni_blockqnn.data._pictures import ENDINGS, UnknownRangeError, read_picture
from nni_blockqnn.data._unread import Unread, is_junk
from nni_blockqnn.data.errors import DataError, one_line

if TYPE_CHECKING:
    from PIL.Image import Image

_MOST_NAMED = 5
"""Broken files that a message names."""


class Listed(NamedTuple):
    """The images of a split.

    Attributes:
        folder: of the split.
        names: paths within it, sorted within each class.
        labels: (N,) int64.
        unread: what else lies there.
    """

    folder: Path
    names: list[str]
    labels: np.ndarray
    unread: Unread

    @property
    def paths(self) -> list[str]:
        return [os.path.join(self.folder, name) for name in self.names]  # noqa: PTH118, of a million

    def stamps(self) -> list[FileStamp]:
        return [
            (path, info.st_size, info.st_mtime_ns)
            for path in self.paths
            for info in [os.stat(path)]  # noqa: PTH116, of a million
        ]


@dataclass(frozen=True)
class ClassFolders:
    """Folders of one data set; files and classes are taken in sorted order.

    Hidden folders and those that systems leave behind are no classes. Folders whose names differ in
    Unicode form only (NFC, NFD) are one class.

    Attributes:
        name: the data set's, for messages.
        advice: what the data set should look like, for messages.
    """

    name: str
    advice: str

    def common_classes(self, folders: Iterable[Path]) -> list[str]:
        """The classes of the first folder, at least two.

        Raises:
            DataError: if it has fewer, or another folder has other classes.
        """
        first, *others = folders
        expected = [*self._classes(first)]
        for folder in others:
            found = [*self._classes(folder)]
            self._check_has(found, folder, expected, first)
            self._check_has(expected, first, found, folder)
        if len(expected) < 2:
            raise DataError(
                f"{self.name}: {first} has one class, {expected[0]!r}, and there is nothing to "
                f"tell it from: {self.advice}"
            )
        return expected

    def list_split(self, folder: Path, class_names: Sequence[str]) -> Listed:
        """The split's images, and what else lies there.

        Raises:
            DataError: if a class has none.
        """
        folders = self._classes(folder)
        names: list[str] = []
        counts = []
        unread = Unread(folder)
        for class_name in class_names:
            before = len(names)
            for own in folders[class_name]:
                names += [f"{own}/{name}" for name in self._images(folder / own, unread)]
            counts.append(len(names) - before)
            if not counts[-1]:
                raise DataError(
                    f"{self.name}: no images in {folder / folders[class_name][0]}"
                    f"{unread.in_brackets(folders[class_name])}: put some there, or remove the "
                    "class from every split"
                )
        for entry in self._scan(folder):
            if entry.is_file():
                unread.add("", entry.name)
        labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
        return Listed(folder, names, labels, unread)

    def has_classes(self, folder: Path) -> bool:
        return bool(self._found(folder))

    def has_images_only(self, folder: Path) -> bool:
        """Whether it has images, and no folder that could be a class's."""
        return bool(self._images(folder, Unread(folder))) and not self._found(folder)

    def read(self, path: str, mode: str) -> Image:
        """The image upright in Pillow's mode "L" or "RGB", whatever it is in the file.

        Raises:
            DataError: naming the file, if it is no whole image.
        """
        try:
            return read_picture(path, mode)
        except Exception as error:  # broken files raise SyntaxError, struct.error and more
            raise self.broken({path: error}) from error

    def broken(self, errors: dict[str, Exception], among: str = "") -> DataError:
        """The error of files that cannot be read, by path.

        Args:
            among: how many were looked at, such as "of 300 files".
        """
        reasons = {
            path: one_line(error)
            if isinstance(error, UnknownRangeError)
            else f"is not an image that Pillow can read ({one_line(error)})"
            for path, error in errors.items()
        }
        if len(errors) == 1:
            ((path, reason),) = reasons.items()
            linked = ": " if isinstance(errors[path], UnknownRangeError) else " "
            return DataError(f"{self.name}: {path}{linked}{reason}: replace or remove it")
        named = [f"{path}: {reason}" for path, reason in [*reasons.items()][:_MOST_NAMED]]
        more = "" if len(errors) <= _MOST_NAMED else f"; and {len(errors) - _MOST_NAMED} more"
        return DataError(
            f"{self.name}: {len(errors)} files{among} cannot be read: {'; '.join(named)}{more}: "
            "replace or remove them"
        )

    def _check_has(
        self, names: Sequence[str], folder: Path, wanted: Sequence[str], other: Path
    ) -> None:
        missing = [name for name in wanted if name not in names]
        if not missing:
            return
        near = nearest(missing[0], [name for name in names if name not in wanted])
        hint = "" if near is None else f"; it has {near!r}: is that the same?"
        raise DataError(
            f"{self.name}: {folder} lacks the class {missing[0]!r} that {other} has "
            f"({len(missing)} missing{hint}): give every split the same class folders"
        )

    def _classes(self, folder: Path) -> dict[str, list[str]]:
        found = self._found(folder)
        if not found:
            raise DataError(f"{self.name}: no class folders in {folder}: {self.advice}")
        return found

    def _found(self, folder: Path) -> dict[str, list[str]]:
        """The names of each class's folders, by the class."""
        found: dict[str, list[str]] = {}
        for entry in self._scan(folder):
            if not is_junk(entry.name) and entry.is_dir():
                found.setdefault(one_form(entry.name), []).append(entry.name)
        return {name: sorted(found[name]) for name in sorted(found)}

    def _images(self, folder: Path, unread: Unread) -> list[str]:
        """Names of the files in a class's folder whose ending is an image's."""
        names = []
        for entry in self._scan(folder):
            name = entry.name
            ending = os.path.splitext(name)[1].lower()  # noqa: PTH122, of a million
            if ending in ENDINGS and not name.startswith(".") and entry.is_file():
                names.append(name)
            else:
                is_folder = entry.is_dir()
                unread.add(folder.name, name, is_folder=is_folder)
        return sorted(names)

    def _scan(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return list(entries)
        except OSError as error:
            raise DataError(f"{self.name}: {folder} cannot be read ({one_line(error)})") from error
