"""Folders of classes with small images, and what loading them gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from nni_blockqnn.data import DataError, ImageData, load_dataset


def write_class(
    folder: Path, count: int = 4, colour: int = 0, size: tuple[int, int] = (4, 4)
) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("L", size, colour + number).save(folder / f"{number}.png")


def write_splits(root: Path, *splits: str, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    for split in splits:
        for label, name in enumerate(classes):
            write_class(root / split / name, colour=100 * label)
    return root


def loaded(root: Path, dataset: str = "image-folder", **options: object) -> ImageData:
    shape = (1, 4, 4) if dataset == "image-folder" else (3, 4, 4)
    return load_dataset(dataset, root, **{"image_shape": shape} | options)


def refusal(root: Path, dataset: str = "image-folder", **options: object) -> str:
    with pytest.raises(DataError) as error:
        loaded(root, dataset, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


both = pytest.mark.parametrize("dataset", ["image-folder", "imagenet"])
