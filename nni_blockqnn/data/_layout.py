"""Which folders of a data set are its splits."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from nni_blockqnn.data._class_folders import ClassFolders, Listed
from nni_blockqnn.data._class_names import near_note
from nni_blockqnn.data._splits import TEST_FRACTION, separate_test
from nni_blockqnn.data.errors import DataError

_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""What the folder of a split may be called, in capitals too."""


class Splits(NamedTuple):
    """A data set's images, listed.

    Attributes:
        valid: None unless the data set has validation and test images of its own.
        test: None if a part of `train` is to become the test set.
        notes: lines on how the folders were read.
    """

    class_names: list[str]
    train: Listed
    valid: Listed | None
    test: Listed | None
    notes: list[str]

    @property
    def all(self) -> list[Listed]:
        return [split for split in (self.train, self.valid, self.test) if split is not None]

    def test_rows(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The rows of `train` that stay there, and those that become the test set.

        Raises:
            DataError: if a class has no image to spare.
        """
        labels = self.train.labels
        counts = np.bincount(labels)
        if counts.min() < 2:
            single = self.class_names[int(counts.argmin())]
            raise DataError(
                f"{name}: class {single!r} has one image in {self.train.folder} and needs two, one "
                "for the test set, which there is no folder of: add images, or a folder 'test'"
            )
        return separate_test(labels)


def find_splits(files: ClassFolders, data_dir: Path) -> Splits:
    """The splits in data_dir/train, data_dir/val and data_dir/test.

    With val and test, these are the validation and the test set; with one of them, that is the test
    set, and a validation set has to be held out of train. With neither, or with folders of classes
    in data_dir itself, a part of the images becomes the test set.

    Raises:
        DataError: naming what is missing, or does not go together.
    """
    if not data_dir.is_dir():
        raise DataError(f"{files.name}: no directory {data_dir}: {files.advice}")
    folders = _folders(files, data_dir)
    class_names = files.common_classes(folders.values())
    listed = {role: files.list_split(folder, class_names) for role, folder in folders.items()}
    test = listed.get("test", listed.get("val"))
    notes = [*_split_notes(files, folders, data_dir), *near_note(class_names)]
    for split in listed.values():
        notes += split.unread.notes()
    valid = listed.get("val") if "test" in listed else None
    return Splits(class_names, listed["train"], valid, test, notes)


def _folders(files: ClassFolders, data_dir: Path) -> dict[str, Path]:
    """The folders of the splits by role; that of "train" is the directory itself without them."""
    found: dict[str, list[Path]] = {role: [] for role in _NAMES}
    for entry in sorted(data_dir.iterdir()):
        for role, names in _NAMES.items():
            if entry.name.casefold() in names and entry.is_dir():
                found[role].append(entry)
    for role, folders in found.items():
        if len(folders) > 1:
            raise DataError(
                f"{files.name}: {' and '.join(map(str, folders))} may both be the folder of "
                f"{role}: rename one of them"
            )
    chosen = {role: folders[0] for role, folders in found.items() if folders}
    # a folder of images only is a class, whatever its name
    if "train" in chosen and not files.has_images_only(chosen["train"]):
        # the test images of ILSVRC2012 have no classes
        if "val" in chosen and "test" in chosen and files.has_images_only(chosen["test"]):
            del chosen["test"]
        return chosen
    if "train" not in chosen and any(map(files.has_classes, chosen.values())):
        raise DataError(f"{files.name}: no directory {data_dir / 'train'}: {files.advice}")
    return {"train": data_dir}


def _split_notes(files: ClassFolders, folders: dict[str, Path], data_dir: Path) -> list[str]:
    share = f"{100 * TEST_FRACTION:.0f} % of the images"
    if folders["train"] == data_dir:
        return [
            f"{data_dir} has a folder for each class and none for training: {share} of each class, "
            "always the same ones, are the test set"
        ]
    if len(folders) == 1:
        return [
            f"{data_dir} has neither val nor test: {share} of each class in "
            f"{folders['train'].name}, always the same ones, are the test set"
        ]
    if "test" not in folders:
        return [
            f"{folders['val']} is the test set, since there is no folder test with classes: "
            "validation images are held out of the training images"
        ]
    return []
