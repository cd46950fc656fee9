"""Folders of images: train, val and test, in each a folder a class."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from nni_blockqnn.data.arrays import Decoded, FileStamp, LabelledImages, Source
from nni_blockqnn.data.errors import DataError, one_line

_NAME = "image-folder"
_ADVICE = "expected DIR/train/CLASS/image.png and the same under DIR/val, DIR/test or both"
_GREY_MODES = {"1", "L", "LA", "I", "I;16", "F"}


def find_image_folder(data_dir: Path, image_shape: tuple[int, int, int] | None) -> Source:
    """Images in data_dir/train and in data_dir/val, data_dir/test or both.

    With both, `val` is the validation set and `test` the test set; with one of them, that is the
    test set and a validation set has to be held out of `train`. Files and classes are taken in
    sorted order; hidden files, and files whose ending Pillow does not know, are passed over.

    Args:
        image_shape: (channels, height, width) to bring the images to, 1 channel for grey and 3 for
            RGB: resized so that the image covers height and width, and the centre cut out. Those of
            the first training image if not given.

    Raises:
        DataError: naming the directory that is missing, has no classes, or not those of `train`.
    """
    folders = _split_folders(data_dir)
    class_names = _common_classes(folders)
    shape = image_shape or _first_shape(folders["train"], class_names)
    if shape[0] not in (1, 3):
        raise DataError(
            f"{_NAME}: the network has input_shape {list(shape)}, but images have 1 channel (grey) "
            "or 3 (RGB): set its channels to one of them"
        )
    return Source(
        _NAME,
        f"{data_dir} {shape}",
        lambda: (stamp for folder in folders.values() for stamp in _stamps(folder, class_names)),
        lambda: _decode(folders, class_names, shape),
    )


def _split_folders(data_dir: Path) -> dict[str, Path]:
    if not data_dir.is_dir():
        raise DataError(f"{_NAME}: no directory {data_dir}: {_ADVICE}")
    folders = {
        name: data_dir / name for name in ("train", "val", "test") if (data_dir / name).is_dir()
    }
    if "train" not in folders:
        raise DataError(f"{_NAME}: no directory {data_dir / 'train'}: {_ADVICE}")
    if len(folders) == 1:
        raise DataError(f"{_NAME}: neither {data_dir / 'val'} nor {data_dir / 'test'}: {_ADVICE}")
    return folders


def _common_classes(folders: dict[str, Path]) -> list[str]:
    expected = _classes(folders["train"])
    for folder in folders.values():
        found = _classes(folder)
        if missing := sorted(set(expected) - set(found)):
            raise DataError(
                f"{_NAME}: {folder} lacks the class {missing[0]!r} that {folders['train']} has "
                f"({len(missing)} missing): give every split the same class folders"
            )
        if extra := sorted(set(found) - set(expected)):
            raise DataError(
                f"{_NAME}: {folder} has a class {extra[0]!r} that {folders['train']} has not "
                f"({len(extra)} too many): give every split the same class folders"
            )
    return expected


def _classes(folder: Path) -> list[str]:
    names = sorted(entry.name for entry in _scan(folder) if entry.is_dir())
    if not names:
        raise DataError(f"{_NAME}: no class folders in {folder}: {_ADVICE}")
    return names


def _files(folder: Path) -> list[os.DirEntry[str]]:
    return [entry for entry in _scan(folder) if entry.is_file()]


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{_NAME}: {folder} cannot be read ({one_line(error)})") from error


def _stamps(folder: Path, class_names: list[str]) -> list[FileStamp]:
    return sorted(
        (entry.path, info.st_size, info.st_mtime_ns)
        for name in class_names
        for entry in _files(folder / name)
        for info in [entry.stat()]
    )


def _images(folder: Path) -> list[str]:
    """Sorted paths of a class's images, at least one."""
    from PIL import Image

    endings = Image.registered_extensions()
    paths = sorted(
        entry.path for entry in _files(folder) if Path(entry.name).suffix.lower() in endings
    )
    if not paths:
        raise DataError(
            f"{_NAME}: no images in {folder}: put some there, or remove the class from every split"
        )
    return paths


def _first_shape(train: Path, class_names: list[str]) -> tuple[int, int, int]:
    from PIL import Image

    first = _images(train / class_names[0])[0]
    try:
        with Image.open(first) as image:
            return (1 if image.mode in _GREY_MODES else 3), image.height, image.width
    except Exception as error:
        raise _broken(first, error) from error


def _decode(
    folders: dict[str, Path], class_names: list[str], shape: tuple[int, int, int]
) -> Decoded:
    splits = {name: _decode_split(folder, class_names, shape) for name, folder in folders.items()}
    test = splits.get("test") or splits["val"]
    return Decoded.of(
        splits["train"], test, class_names, splits.get("val") if "test" in splits else None
    )


def _decode_split(
    folder: Path, class_names: list[str], shape: tuple[int, int, int]
) -> LabelledImages:
    paths = [_images(folder / name) for name in class_names]
    labels = np.repeat(np.arange(len(paths)), [len(of_class) for of_class in paths])
    images = np.empty((len(labels), *shape), np.uint8)
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter lock
        list(pool.map(_read_into, images, [path for of_class in paths for path in of_class]))
    return LabelledImages(images, labels.astype(np.int64))


def _read_into(pixels: np.ndarray, path: str) -> None:
    from PIL import Image, ImageOps

    channels, height, width = pixels.shape
    try:
        with Image.open(path) as file:
            image = file.convert("L" if channels == 1 else "RGB")
    except Exception as error:  # broken files raise SyntaxError, struct.error and more
        raise _broken(path, error) from error
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    pixels[:] = np.asarray(image).reshape(height, width, channels).transpose(2, 0, 1)


def _broken(path: str, error: Exception) -> DataError:
    return DataError(
        f"{_NAME}: {path} is not an image that Pillow can read ({one_line(error)}): "
        "replace or remove it"
    )
