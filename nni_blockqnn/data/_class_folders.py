"""Image files in a folder for each class, as two kinds of data sets lay them out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nni_blockqnn.data._arrays import FileStamp
from nni_blockqnn.data.errors import DataError, one_line

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class ClassFolders:
    """Folders of one data set; files and classes are taken in sorted order, hidden ones left out.

    Attributes:
        name: the data set's, for messages.
        advice: what the data set should look like, for messages.
    """

    name: str
    advice: str

    def common_classes(self, folders: Iterable[Path]) -> list[str]:
        """The classes of the first folder.

        Raises:
            DataError: if it has none, or another folder has other classes.
        """
        first, *others = folders
        expected = self._classes(first)
        for folder in others:
            found = self._classes(folder)
            if missing := sorted(set(expected) - set(found)):
                raise DataError(
                    f"{self.name}: {folder} lacks the class {missing[0]!r} that {first} has "
                    f"({len(missing)} missing): give every split the same class folders"
                )
            if extra := sorted(set(found) - set(expected)):
                raise DataError(
                    f"{self.name}: {folder} has a class {extra[0]!r} that {first} does not have "
                    f"({len(extra)} too many): give every split the same class folders"
                )
        return expected

    def images(self, folder: Path) -> list[str]:
        """Names of the files in a class's folder whose ending Pillow knows, at least one.

        Raises:
            DataError: if there is none.
        """
        from PIL import Image

        endings = Image.registered_extensions()
        names = sorted(
            entry.name
            for entry in self._files(folder)
            if os.path.splitext(entry.name)[1].lower() in endings  # noqa: PTH122, of a million
        )
        if not names:
            raise DataError(
                f"{self.name}: no images in {folder}: put some there, or remove the class from "
                "every split"
            )
        return names

    def stamps(self, folder: Path, class_names: Iterable[str]) -> list[FileStamp]:
        """Of all files of these classes."""
        return sorted(
            (entry.path, info.st_size, info.st_mtime_ns)
            for name in class_names
            for entry in self._files(folder / name)
            for info in [entry.stat()]
        )

    def read(self, path: str, mode: str) -> Image:
        """The image in Pillow's mode "L" or "RGB", whatever it is in the file.

        Raises:
            DataError: naming the file, if it is no whole image.
        """
        from PIL import Image

        try:
            with Image.open(path) as file:
                return file.convert(mode)
        except Exception as error:  # broken files raise SyntaxError, struct.error and more
            raise self.broken(path, error) from error

    def broken(self, path: str, error: Exception) -> DataError:
        return DataError(
            f"{self.name}: {path} is not an image that Pillow can read ({one_line(error)}): "
            "replace or remove it"
        )

    def _classes(self, folder: Path) -> list[str]:
        names = sorted(entry.name for entry in self._scan(folder) if entry.is_dir())
        if not names:
            raise DataError(f"{self.name}: no class folders in {folder}: {self.advice}")
        return names

    def _files(self, folder: Path) -> list[os.DirEntry[str]]:
        return [entry for entry in self._scan(folder) if entry.is_file()]

    def _scan(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return [entry for entry in entries if not entry.name.startswith(".")]
        except OSError as error:
            raise DataError(f"{self.name}: {folder} cannot be read ({one_line(error)})") from error
