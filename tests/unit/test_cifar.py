"""What `load_dataset` makes of CIFAR's batches and archives, whole, broken or renamed."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nni_blockqnn.data import DataError, load_dataset


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNI_BLOCKQNN_CACHE", str(tmp_path / "cache"))


def cifar_batch(count: int, labels_key: str, *, bytes_keys: bool = True, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    batch = {
        "data": rng.integers(0, 256, (count, 3072), dtype=np.uint8),
        labels_key: [label % 10 for label in range(count)],
        "filenames": [f"image{number}.png" for number in range(count)],
    }
    return {key.encode() if bytes_keys else key: item for key, item in batch.items()}


def cifar100_files(**options: Any) -> dict[str, bytes]:
    protocol = options.pop("protocol", 2)
    return {
        "train": pickle.dumps(cifar_batch(40, "fine_labels", **options), protocol),
        "test": pickle.dumps(cifar_batch(20, "fine_labels", seed=1, **options), protocol),
        "meta": pickle.dumps({"fine_label_names": [f"name{n}" for n in range(100)]}, protocol),
    }


def write_folder(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def write_archive(path: Path, folder: str, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("bytes_keys", [True, False])
@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_cifar100(tmp_path: Path, kind: str, bytes_keys: bool, protocol: int) -> None:
    files = cifar100_files(bytes_keys=bytes_keys, protocol=protocol)
    if kind == "folder":
        write_folder(tmp_path / "cifar-100-python", files)
    else:
        write_archive(tmp_path / "cifar-100-python.tar.gz", "cifar-100-python", files)
    data = load_dataset("cifar100", tmp_path, image_shape=(3, 32, 32), classes=100)
    pixels = cifar_batch(40, "fine_labels")[b"data"].reshape(40, 3, 32, 32)
    full = load_dataset("cifar100", tmp_path, validation="test")
    assert torch.equal(full.train.images, torch.from_numpy(pixels))
    assert full.train.labels.tolist() == list(range(10)) * 4
    assert (len(data.train), len(data.valid), len(data.test)) == (30, 10, 20)
    assert data.class_names[99] == "name99"
    if kind == "archive":
        assert not (tmp_path / "cifar-100-python").exists()


def test_cifar10_joins_its_five_batches_in_order(tmp_path: Path) -> None:
    files = {
        f"data_batch_{n}": pickle.dumps(cifar_batch(20, "labels", seed=n)) for n in range(1, 6)
    }
    files["test_batch"] = pickle.dumps(cifar_batch(20, "labels", seed=6))
    write_folder(tmp_path / "cifar-10-batches-py", files)
    data = load_dataset("cifar10", tmp_path, validation="test")
    assert len(data.train) == 100
    third = torch.from_numpy(cifar_batch(20, "labels", seed=3)[b"data"]).view(20, 3, 32, 32)
    assert torch.equal(data.train.images[40:60], third)
    assert data.class_names == tuple("0123456789")  # without a meta file
    # the folder itself is taken as well
    inside = load_dataset("cifar10", tmp_path / "cifar-10-batches-py", validation="test")
    assert torch.equal(inside.train.images, data.train.images)


def test_a_batch_as_python_2_wrote_it(tmp_path: Path) -> None:
    """The original archives: strings of Python 2, and the array's bytes among them."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    pixels = cifar_batch(2, "fine_labels")[b"data"]
    original = (
        b"\x80\x02}("
        + text(b"data")
        + b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85"
        + text(b"b")
        + b"tR(K\x01K\x02M\x00\x0c\x86cnumpy\ndtype\n("
        + text(b"u1")
        + b"K\x00K\x01tR(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", pixels.size)
        + pixels.tobytes()
        + b"tb"
        + text(b"fine_labels")
        + b"](K\x07K\x63eu."
    )
    files = cifar100_files() | {"train": original}
    write_folder(tmp_path / "cifar-100-python", files)
    data = load_dataset("cifar100", tmp_path, validation="test")
    assert data.train.labels.tolist() == [7, 99]
    assert torch.equal(data.train.images, torch.from_numpy(pixels).view(2, 3, 32, 32))


def test_labels_may_be_numpy_integers(tmp_path: Path) -> None:
    for number, labels in enumerate(([np.int64(3), np.int64(9)], np.array([3, 9], ">i4"))):
        batch = {b"data": np.zeros((2, 3072), np.uint8), b"fine_labels": labels}
        folder = tmp_path / str(number)
        write_folder(folder / "cifar-100-python", cifar100_files() | {"train": pickle.dumps(batch)})
        data = load_dataset("cifar100", folder, validation="test")
        assert data.train.labels.tolist() == [3, 9]


class _Runs:
    """Pickled, a call of os.system."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("member", ["train", "test", "meta"])
def test_a_pickle_that_runs_something_is_refused_and_does_not_run(
    tmp_path: Path, member: str
) -> None:
    trace = tmp_path / "trace"
    evil = pickle.dumps({b"data": _Runs(f"touch {trace}")})
    write_archive(
        tmp_path / "cifar-100-python.tar.gz",
        "cifar-100-python",
        cifar100_files() | {member: evil},
    )
    with pytest.raises(DataError, match=rf"batch {member} .*names \w+\.system"):
        load_dataset("cifar100", tmp_path)
    assert not trace.exists()
    pickle.loads(evil)
    assert trace.exists()  # it would have run


@pytest.mark.parametrize(
    "array",
    [np.array([object()], dtype=object), np.zeros(3), np.zeros(2, "S4")],
    ids=["object", "float", "text"],
)
def test_arrays_of_anything_but_integers_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    batch = {b"data": array, b"fine_labels": [0]}
    write_folder(
        tmp_path / "cifar-100-python", cifar100_files() | {"train": pickle.dumps(batch, 2)}
    )
    with pytest.raises(DataError, match=r"only integers are read|which no array needs"):
        load_dataset("cifar100", tmp_path)


def _changed(**changes: Any) -> bytes:
    batch = cifar_batch(4, "fine_labels", bytes_keys=False) | changes
    return pickle.dumps(batch)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            _changed(data=np.zeros((4, 3071), np.uint8)),
            r"uint8 \(images, 3072\), is uint8 \(4, 3071\)",
        ),
        (_changed(data=np.zeros((4, 3072), np.int64)), "is int64"),
        (_changed(data=np.zeros((0, 3072), np.uint8)), r"\(0, 3072\)"),
        (_changed(data="pixels"), "is 'pixels'"),
        (_changed(fine_labels=[0, 1, 2]), "fine_labels must be 4 integers"),
        (_changed(fine_labels=[0, 1, 2, 100]), "0 to 99, are 0 to 100"),
        (_changed(fine_labels=[-1, 1, 2, 3]), "are -1 to 3"),
        (_changed(fine_labels=["cat"] * 4), "fine_labels must be 4 integers"),
        (pickle.dumps([1, 2]), "must be a dict"),
        (cifar100_files()["train"][:5000], "not a CIFAR batch"),
        (b"", "not a CIFAR batch"),
    ],
)
def test_broken_batches_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    write_folder(tmp_path / "cifar-100-python", cifar100_files() | {"train": content})
    with pytest.raises(DataError, match=message) as error:
        load_dataset("cifar100", tmp_path)
    assert "cifar100: batch train" in str(error.value)


def test_missing_batches_and_broken_archives_are_named(tmp_path: Path) -> None:
    files = cifar100_files()
    del files["test"]
    write_folder(tmp_path / "one" / "cifar-100-python", files)
    with pytest.raises(DataError, match=r"lacks test: unpack cifar-100-python.tar.gz again"):
        load_dataset("cifar100", tmp_path / "one")
    archive = tmp_path / "cifar-100-python.tar.gz"
    write_archive(archive, "cifar-100-python", files)
    with pytest.raises(DataError, match="has no cifar-100-python/test"):
        load_dataset("cifar100", tmp_path)
    archive.write_bytes(archive.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"cannot be read.*delete it"):
        load_dataset("cifar100", tmp_path)


CIFAR100 = "cifar-100-python"


@pytest.mark.parametrize(
    "name",
    [
        *("{}.tar", "{}.tgz", "{} (1).tar.gz", "{}(2).tar.gz", "{}-1.tar.gz", "{} 2.tar.gz"),
        *("{}.tar (1).gz", "{}.tar.gz.1", "{}.tar-1.gz"),
    ],
)
def test_archives_are_found_as_browsers_leave_them(tmp_path: Path, name: str) -> None:
    whole = tmp_path / "whole.tar.gz"
    write_archive(whole, CIFAR100, cifar100_files())
    (tmp_path / "data").mkdir()
    content = whole.read_bytes()
    if name == "{}.tar":
        content = gzip.decompress(content)
    (tmp_path / "data" / name.format(CIFAR100)).write_bytes(content)
    assert len(load_dataset("cifar100", tmp_path / "data", validation="test").train) == 40


@pytest.mark.parametrize("outer", ["{}", "{}.tar", "{} (1)", "{}.tar (1)"])
def test_unpacked_archives_are_found_in_folders_of_their_names(tmp_path: Path, outer: str) -> None:
    write_folder(tmp_path / outer.format(CIFAR100) / CIFAR100, cifar100_files())
    assert len(load_dataset("cifar100", tmp_path, validation="test").train) == 40


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cifar-100-python.zip", "zip is it, rename it to cifar-100-python.tar.gz"),
        ("CIFAR100.tar.gz", "CIFAR100.tar.gz is it, rename it to cifar-100-python.tar.gz"),
        ("cifar-100-python.tar.gz.crdownload", "is a download that has not ended"),
        ("cifar-10-python.tar.gz", None),
    ],
)
def test_a_hint_says_what_to_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, hint: str | None
) -> None:
    def offline(*arguments: Any, **options: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    (tmp_path / name).touch()
    with pytest.raises(DataError, match="could not be downloaded") as error:
        load_dataset("cifar100", tmp_path)
    message = str(error.value)
    assert hint in message if hint else "rename" not in message


def test_a_directory_that_cannot_be_written_to_is_not_advised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: Any, **options: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("nni_blockqnn.data._download.FileLock.acquire", refused)
    for name in ("cifar10", "fashion_mnist"):
        with pytest.raises(DataError, match=r"cannot be written to .*Permission") as error:
            load_dataset(name, tmp_path)
        assert "into" not in str(error.value).replace("downloaded into", "")
        assert "--data-dir" in str(error.value)


def test_a_file_as_the_directory_is_named(tmp_path: Path) -> None:
    write_archive(tmp_path / "cifar-100-python.tar.gz", CIFAR100, cifar100_files())
    with pytest.raises(DataError, match="is a file: name the directory that it lies in"):
        load_dataset("cifar100", tmp_path / "cifar-100-python.tar.gz")
