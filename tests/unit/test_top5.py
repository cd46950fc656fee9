"""Of ImageNet's layout, a training reports how often the first five answers hold the right one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from jpegs import write_tree
from PIL import Image
from streamed_images import CPU, SMALL, batches_of, command, described, split_of_images
from torch import Tensor, nn

from nni_blockqnn.cli import main
from nni_blockqnn.data.imagenet import MEAN, STD
from nni_blockqnn.tasks import CLASSIFICATION
from nni_blockqnn.training import (
    evaluate_task,
)
from nni_blockqnn.training.evaluation import measured
from nni_blockqnn.trials.run import run


class Logits(nn.Module):
    """The same logits for each image: the largest for class 7, then 3, 90, 12, 55, 1."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        logits = torch.zeros(classes)
        for rank, label in enumerate((7, 3, 90, 12, 55, 1)):
            logits[label % classes] = 10.0 - rank
        self.register_buffer("logits", logits)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), -1)


def test_top_5_by_hand(tmp_path: Path) -> None:
    split = split_of_images(tmp_path, [Image.new("RGB", (16, 16))] * 8, 14)
    split.labels = torch.tensor([7, 7, 3, 55, 1, 0, 12, 99])
    # the first answer is right twice; the first five also have 3, 55 and 12, but neither 1, which
    # is the sixth, nor 0 nor 99
    found = evaluate_task(
        CLASSIFICATION, Logits(100), split, MEAN, STD, device=CPU, batch_size=3
    ).values
    assert (found["accuracy"], found["top5_accuracy"]) == (25.0, 62.5)
    found = measured(CLASSIFICATION, Logits(99), batches_of(split), 3, "fp32").values
    assert found["accuracy"] == 25.0
    assert "top5_accuracy" not in found


@pytest.mark.slow
def test_top_5_is_reported_beside_top_1_for_100_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"n{number:08}" for number in range(100)]
    write_tree(tmp_path, {"train": 2, "val": 1}, names)
    network = SMALL | {"classes": 100}
    assert command(tmp_path, network, tmp_path / "best", "--workers", "0", "--test") == 0
    facts = described(tmp_path / "best")
    printed = capsys.readouterr().out
    for name in ("accuracy", "best_accuracy", "test_accuracy"):
        top5 = facts[name.replace("accuracy", "top5_accuracy")]
        assert 0 <= facts[name] <= top5 <= 100
    assert f"test, top 5          {facts['test_top5_accuracy']:6.2f} %" in printed
    assert f"validation, top 5    {facts['best_top5_accuracy']:6.2f} %" in printed

    assert command(tmp_path, network, tmp_path / "winner", "--validation", "test") == 0
    facts = described(tmp_path / "winner")
    assert "200 images" in capsys.readouterr().out
    assert facts["test_top5_accuracy"] >= facts["test_accuracy"] >= 0
    for name in ("accuracy", "best_accuracy", "top5_accuracy", "best_top5_accuracy"):
        assert facts[name] is None

    output = tmp_path / "exported"
    assert main(["export", str(tmp_path / "best"), "-o", str(output), "--formats", "python"]) == 0
    card = (output / "README.md").read_text()
    assert "test top-5 accuracy" in card
    assert "the shorter side resized to 18 pixels" in card  # 16 * 256 / 224 = 18.3
    assert "the centre of 16 x 16 " in card


@pytest.mark.slow
def test_a_trial_reports_top_5_and_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tree(tmp_path, {"train": 2, "val": 1}, [f"n{number:08}" for number in range(100)])
    arguments = ["--dataset", "imagenet", "--data-dir", str(tmp_path), "--workers", "0"]
    network = ["--network", json.dumps(SMALL | {"classes": 100}), "--block", "[[1,1,1,0,0]]"]
    options = ["--epochs", "1", "--limit", "200", "--test", "--save-dir", str(tmp_path / "kept")]
    assert run(None, [*arguments, *network, *options]) == 0
    metric = json.loads(capsys.readouterr().out.splitlines()[-1])
    facts = described(tmp_path / "kept")
    for name in ("top5_accuracy", "best_top5_accuracy", "test_top5_accuracy"):
        assert metric[name] == facts[name]
    assert metric["top5_accuracy"] >= metric["accuracy"]
