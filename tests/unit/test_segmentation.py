"""Segmentation: masks beside images, mean IoU, and the way from a trial to predictions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_shapes import NETWORK, write_shapes
from PIL import Image

from nni_blockqnn.cli import main
from nni_blockqnn.data import DataError
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.tasks.segmentation import SEGMENTATION
from nni_blockqnn.training import TrainingArguments
from nni_blockqnn.trials.run import run


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NNI_BLOCKQNN_CACHE", str(tmp_path / "cache"))
    write_shapes(tmp_path / "shapes", 100)
    return tmp_path / "shapes"


def test_a_trial_learns_shapes(shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--task", "segmentation", "--dataset", "mask-folder", "--data-dir", str(shapes)]
    sizes = ["--epochs", "6", "--batch-size", "16", "--learning-rate", "0.02", "--threads", "1"]
    block = ["--block", "[[1,1,3,0,0]]", "--network", NETWORK, "--mu", "0", "--rho", "0", "--test"]
    assert run(None, [*options, *sizes, *block]) == 0
    metric = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert metric["measure"] == {
        "name": "mean_iou",
        "label": "mean IoU",
        "unit": "%",
        "direction": "maximize",
    }
    assert metric["default"] == metric["accuracy"] == metric["mean_iou"]
    assert metric["best_mean_iou"] > 45, "background alone has 29"
    assert list(metric["class_accuracies"]) == ["background", "disc", "square"]
    assert metric["mean_iou"] == pytest.approx(
        sum(metric["class_accuracies"].values()) / 3, abs=0.01
    )
    assert metric["test_pixel_accuracy"] > 80
    assert "ptflops" not in capsys.readouterr().out


def test_the_folder_as_arrays(shapes: Path) -> None:
    arguments = TrainingArguments("mask-folder", data_dir=shapes, task="segmentation")
    data = arguments.load_data(NetworkSpec.from_parameter(NETWORK))
    assert (len(data.train), len(data.valid), len(data.test)) == (72, 8, 20)
    assert data.class_names == ("background", "disc", "square")
    assert data.train.labels.shape == (72, 16, 16)
    assert data.train.labels.dtype == torch.uint8
    assert set(data.train.labels.unique().tolist()) == {0, 1, 2}


def test_the_mean_iou_of_two_images_by_hand() -> None:
    targets = torch.tensor([[[0, 0], [1, 255]], [[1, 1], [1, 0]]], dtype=torch.uint8)
    answers = torch.tensor([[[0, 1], [1, 1]], [[1, 1], [0, 0]]])
    outputs = torch.nn.functional.one_hot(answers, 3).permute(0, 3, 1, 2).float()
    judged = SEGMENTATION.judge(outputs, targets)
    found = SEGMENTATION.measure(judged, targets)
    # of 7 labelled pixels 5 are right; class 0: 2 of 4, class 1: 3 of 5, class 2: nowhere
    assert found.of_outputs == (50, 60, None)
    assert found.values["mean_iou"] == 55
    assert found.values["pixel_accuracy"] == pytest.approx(500 / 7)


def test_the_loss_is_the_mean_over_an_images_labelled_pixels() -> None:
    targets = torch.full((2, 2, 2), 255, dtype=torch.uint8)
    targets[0, 0, 0] = 1
    outputs = torch.zeros(2, 4, 1, 1)
    assert SEGMENTATION.loss(outputs, targets).item() == pytest.approx(np.log(4))


def test_images_and_masks_move_alike() -> None:
    rng = torch.Generator().manual_seed(0)
    masks = torch.randint(0, 255, (32, 12, 10), generator=rng, dtype=torch.uint8)
    images = masks[:, None].expand(-1, 3, -1, -1).contiguous()
    moved, cut = SEGMENTATION.augment(images, masks, rng, lambda some: some)
    inside = cut != 255
    assert torch.equal(moved[:, 0][inside], cut[inside])
    assert (moved[:, 0][~inside] == 0).all()
    assert 0.5 < inside.float().mean() < 0.9
    assert not torch.equal(cut, masks)


def test_a_network_without_maps_is_refused(shapes: Path) -> None:
    arguments = TrainingArguments("mask-folder", data_dir=shapes, task="segmentation")
    with pytest.raises(ValueError, match="segmentation needs a network that gives maps: the frame"):
        arguments.load_data(NetworkSpec(input_shape=(3, 16, 16), classes=3))
    with pytest.raises(ValueError, match="task classification needs a network that gives no maps"):
        TrainingArguments("digits").load_data(NetworkSpec("digits", frame="upsample"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "masks/3.png").unlink(), "3.png has no mask of its name"),
        (lambda folder: (folder / "images").rename(folder / "photos"), "lacks images/ or masks/"),
        (lambda folder: (folder / "classes.txt").write_text("one\n"), "names 1 classes, the masks"),
        (
            lambda folder: Image.new("RGB", (20, 20)).save(folder / "masks/3.png"),
            "3.png is of Pillow's mode RGB; a mask must be grey",
        ),
        (
            lambda folder: Image.new("L", (5, 20)).save(folder / "masks/3.png"),
            r"3.png has \(20, 20\) pixels \(width, height\), its mask \(5, 20\)",
        ),
        (lambda folder: (folder / "images/4.png").write_bytes(b"no"), "4.png cannot be read"),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(shapes: Path, spoil, message: str) -> None:  # type: ignore[no-untyped-def]
    spoil(shapes)
    arguments = TrainingArguments("mask-folder", data_dir=shapes, task="segmentation")
    with pytest.raises(DataError, match=message):
        arguments.load_data(NetworkSpec.from_parameter(NETWORK))


@pytest.mark.slow
def test_predict_says_and_draws_the_classes(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--task", "segmentation", "--dataset", "mask-folder", "--data-dir", str(shapes)]
    sizes = ["--network", NETWORK, "--recipe", "early-stop", "--epochs", "6", "--batch-size", "16"]
    net = tmp_path / "net"
    rate = ["--learning-rate", "0.02", "--threads", "1"]
    assert main(["train", "[[1,1,3,0,0]]", *options, *sizes, *rate, "--output", str(net)]) == 0
    capsys.readouterr()
    files = [str(shapes / "images" / name) for name in ("0.png", "1.png")]
    assert main(["predict", str(net), *files, "--draw", str(tmp_path / "drawn")]) == 0
    for line, file in zip(capsys.readouterr().out.splitlines(), files, strict=True):
        said = json.loads(line)
        assert said["file"] == file
        assert sum(said["pixels"].values()) == pytest.approx(100, abs=0.05)
        background = said["pixels"]["background"]
        assert 50 < background < 100
        before, after = (
            np.asarray(Image.open(one)) for one in (file, tmp_path / "drawn" / Path(file).name)
        )
        mask = np.asarray(Image.open(shapes / "masks" / Path(file).name))
        changed = (before != after).any(axis=2)
        assert 100 * changed.mean() == pytest.approx(100 - background, abs=5)
        assert changed[mask > 0].mean() > 3 * changed[mask == 0].mean()
