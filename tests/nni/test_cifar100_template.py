"""The paper's search as it stands, on a machine without a GPU."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from nni_shell import TEMPLATES, Nni, write_config

TEMPLATE = TEMPLATES / "blockqnn_cifar100.yml"
ARCHIVE = Path(".cache/nni-blockqnn/data/cifar-100-python.tar.gz")


@pytest.fixture
def offline(nni: Nni) -> Nni:
    """No download, and no GPU that PyTorch could see."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        nni.environment[name] = "http://127.0.0.1:9"
    nni.environment["no_proxy"] = "localhost,127.0.0.1"
    nni.environment["CUDA_VISIBLE_DEVICES"] = ""
    return nni


def test_it_trains_as_it_stands(offline: Nni) -> None:
    write_archive(offline.home / ARCHIVE)
    running = offline.create(TEMPLATE)
    running.wait_until(
        lambda: running.get("metric-data") or running.trials("FAILED"), "an intermediate result"
    )
    assert not running.trials("FAILED")
    (first,) = running.get("metric-data")[:1]
    assert first["type"] == "PERIODICAL"
    offline.stop(running.id)


def test_the_check_says_what_is_missing(offline: Nni) -> None:
    checked = offline.run("blockqnn", "check", "--no-estimate", TEMPLATE)
    assert checked.returncode == 1
    (failure,) = failures(checked.stdout)
    assert "cifar100" in failure
    assert f"Put cifar-100-python.tar.gz into {(offline.home / ARCHIVE).parent}" in failure
    assert "connect to the network" in failure


def test_the_check_misses_a_gpu_that_is_asked_for(offline: Nni, tmp_path: Path) -> None:
    write_archive(offline.home / ARCHIVE)
    config = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8")) | {"trialGpuNumber": 1}
    checked = offline.run("blockqnn", "check", "--no-estimate", write_config(tmp_path, config))
    assert checked.returncode == 1
    (failure,) = failures(checked.stdout)
    assert "trialGpuNumber is 1, but PyTorch sees 0 GPUs here" in failure


def failures(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.lstrip().startswith("failure")]


def write_archive(path: Path) -> None:
    """CIFAR-100's format with few images: each class has a colour, with some noise on it."""
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 216, (100, 3, 1))

    def batch(images_a_class: int) -> dict[str, Any]:
        labels = np.repeat(np.arange(100), images_a_class)
        images = colours[labels] + rng.normal(0, 20, (len(labels), 3, 1024))
        return {
            "data": images.clip(0, 255).astype(np.uint8).reshape(len(labels), 3072),
            "fine_labels": labels.tolist(),
        }

    names = {"fine_label_names": [f"colour {number}" for number in range(100)]}
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in (("train", batch(3)), ("test", batch(1)), ("meta", names)):
            data = pickle.dumps(content, protocol=2)
            member = tarfile.TarInfo(f"cifar-100-python/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
