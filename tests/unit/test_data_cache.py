"""Decoded once and kept, whatever changes, breaks or is killed."""

from __future__ import annotations

import json
import os
import resource
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cifar_files import cifar100, folders

from nni_blockqnn.data import DataError, ImageData, load_dataset
from nni_blockqnn.data._cache import cache_root


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("NNI_BLOCKQNN_CACHE", str(folder))
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name, content in cifar100(seed=0).items():
        (folder / name).write_bytes(content)
    return tmp_path


def contents(data: ImageData) -> list[Any]:
    """All that was loaded, as copies: the files below a map may be damaged on purpose."""
    splits = [getattr(data, part) for part in ("train", "valid", "test")]
    images = [split.images.numpy().tobytes() for split in splits]
    labels = [split.labels.tolist() for split in splits]
    return [images, labels, data.mean, data.std, data.class_names]


def rewrite_in_place(path: Path, content: bytes) -> None:
    """Other bytes of the same length and with the same times: nothing that a stamp would show."""
    before = path.stat()
    assert len(content) == before.st_size
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_warm_load_equals_the_cold_one_and_reads_no_source(source: Path, cache: Path) -> None:
    batch = source / "cifar-100-python" / "train"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # PyTorch warns about arrays that it must not write to
        cold = contents(load_dataset("cifar100", source))
        rewrite_in_place(batch, bytes(batch.stat().st_size))  # a decoder would fail on it
        warm = contents(load_dataset("cifar100", source))
    assert warm == cold
    assert len(folders(cache)) == 1


def test_the_warm_pool_is_the_cached_file_itself(source: Path, cache: Path) -> None:
    load_dataset("cifar100", source)
    (folder,) = (cache / name for name in folders(cache))
    stored = np.load(folder / "train-images.npy", mmap_mode="r+")
    full = load_dataset("cifar100", source, validation="test")
    stored[7] = 123
    stored.flush()
    assert full.train.images[7].unique().tolist() == [123]


def test_what_a_process_writes_to_its_images_stays_its_own(source: Path) -> None:
    mine = load_dataset("cifar100", source, validation="test")
    before = mine.train.images.clone()
    mine.train.images.fill_(0)
    assert torch.equal(load_dataset("cifar100", source, validation="test").train.images, before)


def test_changed_sources_are_noticed_and_what_is_old_removed(source: Path, cache: Path) -> None:
    load_dataset("cifar100", source)
    first = folders(cache)
    (source / "cifar-100-python" / "train").write_bytes(cifar100(seed=5, train=50)["train"])
    changed = load_dataset("cifar100", source, validation="test")
    assert len(changed.train) == 50
    assert len(folders(cache)) == 1
    assert folders(cache) != first


def test_two_places_and_two_shapes_are_kept_side_by_side(tmp_path: Path, cache: Path) -> None:
    from PIL import Image

    for split, name in (("train", "a"), ("train", "b"), ("test", "a"), ("test", "b")):
        (tmp_path / split / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / split / name / "1.png")
    for size in (8, 4, 8, 4):
        data = load_dataset(
            "image-folder", tmp_path, image_shape=(3, size, size), validation="test"
        )
        assert data.image_shape == (3, size, size)
    assert len(folders(cache)) == 2
    Image.new("RGB", (8, 8), 9).save(tmp_path / "train" / "a" / "2.png")
    data = load_dataset("image-folder", tmp_path, image_shape=(3, 8, 8), validation="test")
    assert len(data.train) == 3


def test_what_a_killed_writer_left_is_removed(source: Path, cache: Path) -> None:
    cold = contents(load_dataset("cifar100", source))
    (name,) = folders(cache)
    place = name.rsplit("-", 1)[0]
    partial = cache / f".{place}.partial"
    (cache / name).rename(partial)  # as if it had died just before the rename
    (partial / "train-images.npy").write_bytes(b"half")
    assert contents(load_dataset("cifar100", source)) == cold
    assert folders(cache) == [name]


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "gone", "json"])
def test_a_damaged_cache_is_built_anew(source: Path, cache: Path, damage: str) -> None:
    cold = contents(load_dataset("cifar100", source))
    (folder,) = (cache / name for name in folders(cache))
    images = folder / "train-images.npy"
    if damage == "cut":
        images.write_bytes(images.read_bytes()[:-1000])
    elif damage == "empty":
        images.write_bytes(b"")
    elif damage == "other":
        np.save(images, np.zeros((3, 3), np.uint8))
    elif damage == "gone":
        (folder / "test-labels.npy").unlink()
    else:
        (folder / "dataset.json").write_text('{"shapes": ')
    assert contents(load_dataset("cifar100", source)) == cold
    json.loads((folder / "dataset.json").read_text())
    assert len(np.load(images)) == 40


def test_without_a_place_to_write_it_warns_and_goes_on(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = contents(load_dataset("cifar100", source))
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setenv("NNI_BLOCKQNN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="set NNI_BLOCKQNN_CACHE to a directory that can"):
        data = load_dataset("cifar100", source)
    assert contents(data) == expected


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Stands for the disk's end: the same writes fail in the same way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_names_the_cache_and_the_variable(source: Path, cache: Path) -> None:
    with files_of_at_most(50_000), pytest.raises(DataError) as error:
        load_dataset("cifar100", source)
    answer = str(error.value)
    assert f"could not be written to the cache in {cache}" in answer
    assert "free some space there, or set NNI_BLOCKQNN_CACHE" in answer
    assert folders(cache) == []


def test_sources_that_change_while_they_are_read_are_refused(
    source: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = source / "cifar-100-python" / "train"
    read = Path.read_bytes

    def touched(path: Path) -> bytes:
        content = read(path)
        os.utime(batch, ns=(1, 1))
        return content

    monkeypatch.setattr(Path, "read_bytes", touched)
    with pytest.raises(DataError, match="changed while they were read"):
        load_dataset("cifar100", source)
    assert folders(cache) == []


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNI_BLOCKQNN_CACHE", "/a")
    assert cache_root() == Path("/a")
    monkeypatch.delenv("NNI_BLOCKQNN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache_root() == Path("/b/nni-blockqnn")
    monkeypatch.setenv("HOME", "/home/someone")
    for unset in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert cache_root() == Path("/home/someone/.cache/nni-blockqnn")
