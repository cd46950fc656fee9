"""Folders of images: train, val and test, in each a folder a class."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from nni_blockqnn.data._arrays import Decoded, LabelledImages, Source
from nni_blockqnn.data._class_folders import ClassFolders
from nni_blockqnn.data.errors import DataError

_NAME = "image-folder"
_ADVICE = "expected DIR/train/CLASS/image.png and the same under DIR/val, DIR/test or both"
_FILES = ClassFolders(_NAME, _ADVICE)
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
    class_names = _FILES.common_classes(folders.values())
    shape = image_shape or _first_shape(folders["train"], class_names)
    if shape[0] not in (1, 3):
        raise DataError(
            f"{_NAME}: the network has input_shape {list(shape)}, but images have 1 channel (grey) "
            "or 3 (RGB): set its channels to one of them"
        )
    return Source(
        _NAME,
        f"{data_dir} {shape}",
        lambda: (
            stamp for folder in folders.values() for stamp in _FILES.stamps(folder, class_names)
        ),
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


def _first_shape(train: Path, class_names: list[str]) -> tuple[int, int, int]:
    from PIL import Image

    folder = train / class_names[0]
    first = str(folder / _FILES.images(folder)[0])
    try:
        with Image.open(first) as image:
            return (1 if image.mode in _GREY_MODES else 3), image.height, image.width
    except Exception as error:
        raise _FILES.broken(first, error) from error


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
    names = [_FILES.images(folder / name) for name in class_names]
    labels = np.repeat(np.arange(len(names)), [len(of_class) for of_class in names])
    paths = [
        str(folder / class_name / name)
        for class_name, of_class in zip(class_names, names, strict=True)
        for name in of_class
    ]
    images = np.empty((len(labels), *shape), np.uint8)
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter lock
        list(pool.map(_read_into, images, paths))
    return LabelledImages(images, labels.astype(np.int64))


def _read_into(pixels: np.ndarray, path: str) -> None:
    from PIL import Image, ImageOps

    channels, height, width = pixels.shape
    image = _FILES.read(path, "L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    pixels[:] = np.asarray(image).reshape(height, width, channels).transpose(2, 0, 1)
