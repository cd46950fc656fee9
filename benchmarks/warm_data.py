"""How long a trial waits for a data set of CIFAR-100's size: the first one, and every later one.

    python benchmarks/warm_data.py [--rounds 7]

The images are random ones in CIFAR-100's own archive format; each load has a process of its own.
"""

from __future__ import annotations

import argparse
import os
import pickle
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

LOAD = """
import sys, time
from pathlib import Path
from nni_blockqnn.data import load_dataset
began = time.perf_counter()
load_dataset("cifar100", Path(sys.argv[1]), image_shape=(3, 32, 32), classes=100)
print(time.perf_counter() - began)
"""


def write_archive(folder: Path) -> None:
    """cifar-100-python.tar.gz with 50,000 and 10,000 images."""
    rng = np.random.default_rng(0)
    content: dict[str, dict[str, object]] = {
        "meta": {"fine_label_names": [f"class{number}" for number in range(100)]}
    }
    for name, count in (("train", 50_000), ("test", 10_000)):
        pixels = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
        content[name] = {"data": pixels, "fine_labels": [n % 100 for n in range(count)]}
    with tarfile.open(folder / "cifar-100-python.tar.gz", "w:gz", compresslevel=1) as archive:
        for name, batch in content.items():
            file = folder / name
            file.write_bytes(pickle.dumps(batch, 2))
            archive.add(file, f"cifar-100-python/{name}")
            file.unlink()


def seconds_to_load(folder: Path) -> float:
    command = [sys.executable, "-c", LOAD, str(folder)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["NNI_BLOCKQNN_CACHE"] = str(folder / "cache")
        write_archive(folder)
        first = seconds_to_load(folder)
        later = [seconds_to_load(folder) for _ in range(rounds)]
    print(f"first {first:.2f} s, later {1000 * statistics.median(later):.1f} ms", end=" ")
    print(f"(median of {rounds}; at most {1000 * max(later):.1f} ms)")


if __name__ == "__main__":
    main()
