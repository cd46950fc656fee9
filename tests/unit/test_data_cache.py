"""Decoded once, downloaded once, whatever starts together or is killed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pickle
import resource
import subprocess
import sys
import tarfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

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


def cifar100(seed: int, train: int = 40) -> dict[str, bytes]:
    rng = np.random.default_rng(seed)
    return {
        name: pickle.dumps(
            {
                b"data": rng.integers(0, 256, (count, 3072), dtype=np.uint8),
                b"fine_labels": [label % 10 for label in range(count)],
            }
        )
        for name, count in (("train", train), ("test", 20))
    }


def archive_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-100-python/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def contents(data: ImageData) -> list[Any]:
    """All that was loaded, as copies: the files below a map may be damaged on purpose."""
    splits = [getattr(data, part) for part in ("train", "valid", "test")]
    images = [split.images.numpy().tobytes() for split in splits]
    labels = [split.labels.tolist() for split in splits]
    return [images, labels, data.mean, data.std, data.class_names]


def folders(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.is_dir())


def rewrite_in_place(path: Path, content: bytes) -> None:
    """Other bytes of the same length and with the same times: nothing that a stamp would show."""
    before = path.stat()
    assert len(content) == before.st_size
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


# --- the cache --------------------------------------------------------------------------------


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


# --- several processes ------------------------------------------------------------------------


def printed_by(script: str, *arguments: object) -> list[str]:
    """The lines that a fresh Python prints: forking this one, with its threads, might hang."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


TOGETHER = """
import multiprocessing, os, sys
from pathlib import Path
from nni_blockqnn.data import load_dataset

def together(count, work):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(count)
    def one():
        barrier.wait()
        os.write(1, f"{work()}\\n".encode())  # whole, unlike print
    processes = [context.Process(target=one) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert not any(process.exitcode for process in processes)
"""

LOAD = """
import gzip, hashlib

whole = gzip.decompress
def counted(content):
    with open(sys.argv[2], "a") as log:
        log.write("decoded\\n")
    return whole(content)
gzip.decompress = counted

def work():
    data = load_dataset("fashion_mnist", Path(sys.argv[1]))
    content = b"".join(s.images.numpy().tobytes() for s in (data.train, data.valid, data.test))
    return hashlib.sha256(content).hexdigest()

together(4, work)
"""


def write_fashion_mnist(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name, count in (("train", 2000), ("t10k", 100)):
        header = bytes([0, 0, 8, 3]) + np.array([count, 28, 28], ">u4").tobytes()
        pixels = rng.integers(0, 256, count * 784, dtype=np.uint8).tobytes()
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + pixels, 1))
        header = bytes([0, 0, 8, 1]) + np.array([count], ">u4").tobytes()
        labels = (np.arange(count, dtype=np.int64) % 10).astype(np.uint8).tobytes()
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(header + labels, 1))


# --- downloads --------------------------------------------------------------------------------


class Server:
    """Serves one archive and counts how often it was fetched."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.fetches = 0
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.fetches += 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(served.content)))
                self.end_headers()
                self.wfile.write(served.content)

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/cifar-100-python.tar.gz"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    server = Server(archive_of(cifar100(seed=0)))
    thread = threading.Thread(target=server.http.serve_forever)
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


DOWNLOAD = """
import torchvision.datasets

torchvision.datasets.CIFAR100.url, torchvision.datasets.CIFAR100.tgz_md5 = sys.argv[4:]
together(2, lambda: len(load_dataset("cifar100", Path(sys.argv[3]), validation="test").train))
"""


@pytest.mark.slow
def test_processes_that_start_together_decode_and_download_once(
    tmp_path: Path, cache: Path, server: Server
) -> None:
    """Four that decode, which agree; then two that download."""
    write_fashion_mnist(tmp_path)
    log, data_dir = tmp_path / "log", tmp_path / "new" / "data"
    md5 = hashlib.md5(server.content).hexdigest()
    printed = printed_by(TOGETHER + LOAD + DOWNLOAD, tmp_path, log, data_dir, server.url, md5)
    hashes, counts = printed[:4], printed[4:]
    assert len(hashes[0]) == 64
    assert len(set(hashes)) == 1
    assert log.read_text() == "decoded\n" * 4  # four files, each by one process
    assert counts == ["40", "40"]
    assert server.fetches == 1
    assert (data_dir / "cifar-100-python.tar.gz").read_bytes() == server.content
    assert len(folders(cache)) == 2


def test_half_a_download_is_never_taken_for_a_whole_one(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision.datasets

    whole = server.content
    monkeypatch.setattr(torchvision.datasets.CIFAR100, "url", server.url)
    monkeypatch.setattr(torchvision.datasets.CIFAR100, "tgz_md5", hashlib.md5(whole).hexdigest())
    server.content = whole[:-100]
    with pytest.raises(DataError, match=r"could not be downloaded .*with a wrong checksum"):
        load_dataset("cifar100", tmp_path)
    assert not list(tmp_path.rglob("*.tar.gz"))

    # nor what a killed process left
    scratch = tmp_path / ".nni-blockqnn-download"
    scratch.mkdir()
    (scratch / "cifar-100-python.tar.gz").write_bytes(whole[:100])
    server.content = whole
    assert len(load_dataset("cifar100", tmp_path, validation="test").train) == 40
    assert not scratch.exists()


def test_without_a_network_it_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision.datasets

    nowhere = "http://127.0.0.1:1/"
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(torchvision.datasets.CIFAR100, "url", nowhere)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", nowhere)
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [nowhere])
    for name, files in (
        ("cifar100", f"Put cifar-100-python.tar.gz into {tmp_path},"),
        ("cifar10", f"Put cifar-10-python.tar.gz into {tmp_path},"),
        ("fashion_mnist", f"t10k-labels-idx1-ubyte.gz into {tmp_path / 'FashionMNIST' / 'raw'},"),
    ):
        with pytest.raises(DataError) as error:
            load_dataset(name, tmp_path)
        message = str(error.value)
        assert message.startswith(f"{name}: no data in {tmp_path} and it could not be downloaded")
        assert "refused" in message
        assert files in message
        assert message.endswith("connect to the network once.")
        assert "\n" not in message
