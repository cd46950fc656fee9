"""CIFAR-10 and CIFAR-100 from their "python version", unpacked or still in its archive."""

from __future__ import annotations

import pickle
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from nni_blockqnn.common.messages import shown
from nni_blockqnn.data import _safe_pickle as safe_pickle
from nni_blockqnn.data._arrays import Decoded, LabelledImages, Source, stamps_of
from nni_blockqnn.data._cifar_files import find_files, renaming_hint
from nni_blockqnn.data._download import fetch_file, find_or_download
from nni_blockqnn.data.errors import DataError, one_line


@dataclass(frozen=True)
class Variant:
    """What distinguishes one of the two data sets from the other: names of files and of keys."""

    name: str
    classes: int
    folder: str
    archive: str
    train: tuple[str, ...]
    test: str
    meta: str
    labels_key: str
    names_key: str
    torchvision_name: str


CIFAR10 = Variant(
    name="cifar10",
    classes=10,
    folder="cifar-10-batches-py",
    archive="cifar-10-python.tar.gz",
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test="test_batch",
    meta="batches.meta",
    labels_key="labels",
    names_key="label_names",
    torchvision_name="CIFAR10",
)
CIFAR100 = Variant(
    name="cifar100",
    classes=100,
    folder="cifar-100-python",
    archive="cifar-100-python.tar.gz",
    train=("train",),
    test="test",
    meta="meta",
    labels_key="fine_labels",
    names_key="fine_label_names",
    torchvision_name="CIFAR100",
)


def find_cifar(variant: Variant, data_dir: Path) -> Source:
    """The batches in `data_dir`, its folder or its archive, which is downloaded if all are missing.

    Raises:
        DataError: if there is neither data nor a download, or a folder lacks a batch.
    """
    files = find_or_download(
        variant.name,
        data_dir,
        lambda: _look(variant, data_dir),
        lambda scratch: _fetch(variant, scratch, data_dir / variant.archive),
        f"Put {variant.archive} into {data_dir}, or connect to the network once."
        f"{renaming_hint(data_dir, variant.archive)}",
    )
    return Source(
        variant.name,
        str(files[0].parent),
        lambda: stamps_of(files),
        lambda: _decode(variant, files),
    )


def _look(variant: Variant, data_dir: Path) -> list[Path] | None:
    """Either the batch files or, alone, the archive."""
    return find_files(
        variant.name,
        data_dir,
        variant.folder,
        variant.archive,
        (*variant.train, variant.test),
        variant.meta,
    )


def _fetch(variant: Variant, scratch: Path, target: Path) -> None:
    import torchvision.datasets

    original = getattr(torchvision.datasets, variant.torchvision_name)
    fetch_file([original.url], original.tgz_md5, scratch, target)


def _decode(variant: Variant, files: list[Path]) -> Decoded:
    wanted = {*variant.train, variant.test, variant.meta}
    if len(files) == 1:
        contents = _read_archive(variant, files[0], wanted)
    else:
        contents = _read_files(variant, files)
    for name in wanted - {variant.meta}:
        if name not in contents:
            raise DataError(f"{variant.name}: {files[0]} has no {variant.folder}/{name}")
    return Decoded.of(
        _labelled(variant, [(name, contents[name]) for name in variant.train]),
        _labelled(variant, [(variant.test, contents[variant.test])]),
        _class_names(variant, contents.get(variant.meta)),
    )


def _read_files(variant: Variant, files: Iterable[Path]) -> dict[str, bytes]:
    try:
        return {file.name: file.read_bytes() for file in files}
    except OSError as error:
        raise DataError(f"{variant.name}: a batch cannot be read ({one_line(error)})") from error


def _read_archive(variant: Variant, archive: Path, wanted: set[str]) -> dict[str, bytes]:
    contents = {}
    try:
        with tarfile.open(archive) as members:
            for member in members:
                path = PurePosixPath(member.name)
                if path.name in wanted and path.parent.name == variant.folder:
                    stream = members.extractfile(member)
                    if stream is not None:  # None for what is not a file
                        contents[path.name] = stream.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(
            f"{variant.name}: {archive} cannot be read ({one_line(error)}): "
            "delete it and get it anew"
        ) from error
    return contents


def _labelled(variant: Variant, batches: list[tuple[str, bytes]]) -> LabelledImages:
    images, labels = zip(
        *(_batch(variant, name, content) for name, content in batches), strict=True
    )
    return LabelledImages(np.concatenate(images), np.concatenate(labels))


def _batch(variant: Variant, name: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    batch = _unpickled(variant, name, content)
    data = batch.get("data")
    if (
        not isinstance(data, np.ndarray)
        or data.dtype != np.uint8
        or data.ndim != 2
        or data.shape[1] != 3072
        or not len(data)
    ):
        found = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else shown(data)
        raise DataError(
            f"{variant.name}: batch {name}: data must be uint8 (images, 3072), is {found}"
        )
    labels = _labels(batch.get(variant.labels_key))
    if labels is None or labels.shape != (len(data),):
        raise DataError(
            f"{variant.name}: batch {name}: {variant.labels_key} must be {len(data)} integers, "
            "one an image"
        )
    if not 0 <= labels.min() <= labels.max() < variant.classes:
        raise DataError(
            f"{variant.name}: batch {name}: {variant.labels_key} must lie in "
            f"0 to {variant.classes - 1}, are {labels.min()} to {labels.max()}"
        )
    return data.reshape(-1, 3, 32, 32), labels


def _labels(value: Any) -> np.ndarray | None:
    try:
        labels = np.asarray(value)
    except (ValueError, OverflowError):
        return None
    return labels.astype(np.int64) if labels.dtype.kind in "iu" else None


def _class_names(variant: Variant, content: bytes | None) -> list[str]:
    """Names from the meta file; the labels' numbers where there is none."""
    if content is None:
        return [str(label) for label in range(variant.classes)]
    names = _unpickled(variant, variant.meta, content).get(variant.names_key)
    if not isinstance(names, list) or len(names) != variant.classes:
        raise DataError(
            f"{variant.name}: {variant.meta} must list {variant.classes} {variant.names_key}"
        )
    return [
        name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in names
    ]


def _unpickled(variant: Variant, name: str, content: bytes) -> Mapping[str, Any]:
    try:
        batch = safe_pickle.loads(content)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{variant.name}: batch {name} is not a CIFAR batch: {one_line(error)}. "
            f"Get {variant.archive} anew."
        ) from error
    if not isinstance(batch, dict):
        raise DataError(f"{variant.name}: batch {name} must be a dict, is {shown(batch)}")
    return {
        key.decode() if isinstance(key, bytes) else str(key): item for key, item in batch.items()
    }
