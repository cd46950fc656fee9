"""Fashion-MNIST (arXiv 1708.07747) from its four IDX files."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from nni_blockqnn.data._arrays import Decoded, LabelledImages, Source, stamps_of
from nni_blockqnn.data._download import fetch_file, find_or_download
from nni_blockqnn.data.errors import DataError, one_line

_NAME = "fashion_mnist"
_RAW = Path("FashionMNIST") / "raw"  # where torchvision puts and looks for them
_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def find_fashion_mnist(data_dir: Path) -> Source:
    """The IDX files, .gz or plain, in `data_dir` or its FashionMNIST/raw, downloaded if missing.

    Raises:
        DataError: if there is neither data nor a download.
    """
    files = find_or_download(
        _NAME,
        data_dir,
        lambda: _look(data_dir),
        lambda scratch: _fetch(data_dir, scratch),
        f"Put {', '.join(f'{name}.gz' for name in _FILES)} into {data_dir / _RAW}, or connect to "
        "the network once.",
    )
    return Source(_NAME, str(data_dir), lambda: stamps_of(files), lambda: _decode(*files))


def read_idx(path: Path) -> np.ndarray:
    """An IDX file of unsigned bytes, gzipped or not.

    Raises:
        DataError: if it is none, or its length is not what its header says.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{_NAME}: {path} cannot be read ({one_line(error)}): delete it and get it anew"
        ) from error
    # two zero bytes, 8 for unsigned bytes, the number of dimensions, then each dimension in 4 bytes
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise DataError(f"{_NAME}: {path} is not an IDX file of bytes: delete it and get it anew")
    shape = np.frombuffer(content, ">u4", content[3], offset=4).astype(np.int64)
    pixels = np.frombuffer(content, np.uint8, offset=4 + 4 * content[3])
    if pixels.size != shape.prod():
        raise DataError(
            f"{_NAME}: {path} should hold {'x'.join(map(str, shape))} bytes but holds "
            f"{pixels.size}: delete it and get it anew"
        )
    return pixels.reshape(shape).copy()  # the buffer is read-only, which PyTorch warns about


def _look(data_dir: Path) -> list[Path] | None:
    found = [_find(data_dir, name) for name in _FILES]
    present = [file for file in found if file is not None]
    return present if len(present) == len(_FILES) else None


def _find(data_dir: Path, name: str) -> Path | None:
    # gzip first: it carries a checksum, so that a file cut short is noticed
    candidates = [
        folder / f"{name}{suffix}"
        for folder in (data_dir, data_dir / _RAW)
        for suffix in (".gz", "")
    ]
    return next((path for path in candidates if path.is_file()), None)


def _fetch(data_dir: Path, scratch: Path) -> None:
    from torchvision.datasets import FashionMNIST

    for archive, md5 in FashionMNIST.resources:
        if _find(data_dir, archive.removesuffix(".gz")) is None:
            urls = [f"{mirror}{archive}" for mirror in FashionMNIST.mirrors]
            fetch_file(urls, md5, scratch, data_dir / _RAW / archive)


def _decode(train_images: Path, train_labels: Path, images: Path, labels: Path) -> Decoded:
    return Decoded.of(
        _labelled(train_images, train_labels), _labelled(images, labels), _CLASS_NAMES
    )


def _labelled(images_path: Path, labels_path: Path) -> LabelledImages:
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3 or images.size == 0:
        raise DataError(f"{_NAME}: {images_path} holds {images.shape}, not (images, height, width)")
    if labels.shape != images.shape[:1]:
        raise DataError(
            f"{_NAME}: {images_path} has {len(images)} images but {labels_path} has labels of "
            f"shape {labels.shape}"
        )
    if labels.max() >= len(_CLASS_NAMES):
        raise DataError(f"{_NAME}: {labels_path} has label {labels.max()}; allowed are 0 to 9")
    return LabelledImages(images[:, None], labels.astype(np.int64))
