"""Downloaded and decoded once, whatever starts together; half a download is none."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cifar_files import archive_of, cifar100, folders

from nni_blockqnn.data import DataError, load_dataset


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("NNI_BLOCKQNN_CACHE", str(folder))
    return folder


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
