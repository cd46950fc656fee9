"""Key points: COCO's format, heat maps, PCKh, trainings on figures, and wrong files."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from nni_blockqnn.cli import main
from nni_blockqnn.data import DataError, ImageArrays
from nni_blockqnn.data.key_points import load_coco, target
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.tasks import KEY_POINTS
from nni_blockqnn.tasks._heat_maps import drawn_maps, found_points
from nni_blockqnn.tasks.key_points import KeyPoints, mirrored
from nni_blockqnn.training import TrainingArguments
from nni_blockqnn.trials.run import run

FIGURES = Path(__file__).parents[2] / "examples" / "key_points" / "figures.py"
NETWORK = json.dumps(
    {
        "input_shape": [3, 32, 32],
        "classes": 14,
        "filters": [8, 12],
        "repeats": 1,
        "stem_convs": 2,
        "stem_pools": 2,
        "frame": "upsample",
    }
)


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    return _module(FIGURES)


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figures: ModuleType) -> Path:
    monkeypatch.setenv("NNI_BLOCKQNN_CACHE", str(tmp_path / "cache"))
    figures.main([str(tmp_path / "figures"), "--train", "60", "--val", "20"])
    return tmp_path / "figures"


@pytest.mark.slow
def test_a_trial_learns_the_figures_joints(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--task", "keypoints", "--dataset", "coco", "--data-dir", str(folder), "--test"]
    sizes = ["--epochs", "12", "--batch-size", "8", "--learning-rate", "0.01", "--threads", "1"]
    block = ["--block", "residual", "--network", NETWORK, "--mu", "0", "--rho", "0"]
    assert run(None, [*options, *sizes, *block]) == 0
    metric = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert metric["default"] == metric["accuracy"] == metric["pckh"]
    assert metric["test_pckh"] > 15, "a point in the middle has 3"
    assert 0 <= metric["test_oks_ap"] <= metric["test_oks_ap50"] <= 100
    assert list(metric["class_accuracies"])[:3] == ["head_top", "neck", "left_shoulder"]


def test_people_are_cut_out_with_their_points(tmp_path: Path, monkeypatch: Any) -> None:
    """White dots at the points, also where the cut reaches over the image's border."""
    monkeypatch.setenv("NNI_BLOCKQNN_CACHE", str(tmp_path / "cache"))
    points = [[3, 40, 2], [30, 58, 1], [0, 0, 0]]
    picture = np.zeros((90, 120, 3), np.uint8)
    for x, y, seen in points:
        if seen:
            picture[y - 1 : y + 2, x - 1 : x + 2] = 255
    (tmp_path / "train2017").mkdir()
    Image.fromarray(picture).save(tmp_path / "train2017" / "a.png")
    person = {
        "image_id": 7,
        "category_id": 1,
        "keypoints": [value for point in points for value in point],
        "bbox": [0, 30, 40, 36],
        "area": 900.0,
    }
    crowd, unlabelled = person | {"iscrowd": 1}, person | {"keypoints": [0] * 9}
    content = {
        "images": [{"id": 7, "file_name": "a.png"}],
        "annotations": [person, crowd, unlabelled],
        "categories": [{"id": 1, "keypoints": ["a", "b", "c"], "skeleton": [[1, 2]]}],
    }
    (tmp_path / "annotations").mkdir()
    for part in ("train", "val"):
        name = f"person_keypoints_{part}2017.json"
        (tmp_path / "annotations" / name).write_text(json.dumps(content))
    (tmp_path / "val2017").symlink_to(tmp_path / "train2017")

    decoded = load_coco(tmp_path, (3, 64, 48))
    assert decoded.class_names == ("a", "b", "c")
    assert decoded.facts == {"skeleton": [[0, 1]], "sigmas": [0.08] * 3}
    ((image,), (found,)) = decoded.train.images, decoded.train.labels
    for x, y, _ in found[:2]:
        assert image[:, round(float(y)), round(float(x))].min() > 180
    assert (image > 100).sum() < 3 * 2 * 25
    assert found[:3, 2].tolist() == [2, 1, 0]
    area, length, number = found[3].tolist()
    assert (area, number) == (900, 0)
    assert length == pytest.approx(0.2 * 40)
    left, top, scale = found[4].tolist()
    # the box's 40x36 pixels and a quarter become 48x64 at the width's scale, about its middle
    assert scale == pytest.approx(48 / 50, abs=0.01)
    assert (left, top) == (-5, round(48 - 50 / 48 * 64 / 2))


def test_the_peaks_of_drawn_maps_are_the_points() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(5, 4, 3, generator=generator) * 36 + 6
    maps, counted = drawn_maps(points, (12, 12), 4)
    assert counted.all()
    found = found_points(maps, 4)
    assert (found[..., :2] - points[..., :2]).abs().max() <= 1.0 + 1e-4, "a quarter of a cell"
    on_a_cell = torch.tensor([[[4 * 3 + 1.5, 4 * 5 + 1.5, 2.0]]])
    (drawn,), _ = drawn_maps(on_a_cell, (12, 12), 4)
    assert drawn[0, 5, 3] == 1
    outside = torch.tensor([[[-5.0, 3.0, 2.0], [3.0, 3.0, 0.0], [3.0, 3.0, 1.0]]])
    assert drawn_maps(outside, (12, 12), 4)[1].tolist() == [[False, False, True]]


def test_what_is_not_labelled_does_not_count() -> None:
    points = np.array([[10.0, 12.0, 2.0], [30.0, 2.0, 0.0]])
    (targets,) = torch.from_numpy(target(points, 100, 8, 0, (0, 0), 1))[None].unbind()
    targets = targets[None]
    outputs = torch.rand(1, 2, 8, 8)
    other = outputs.clone()
    other[:, 1] += 5
    assert KEY_POINTS.loss(outputs, targets) == KEY_POINTS.loss(other, targets)
    assert KEY_POINTS.measure(KEY_POINTS.judge(outputs, targets), targets).of_outputs[1] is None


def test_the_pckh_of_a_person_by_hand() -> None:
    points = np.array([[10.0, 10.0, 2.0], [20.0, 10.0, 1.0], [20.0, 20.0, 2.0], [1.0, 1.0, 0.0]])
    # cut out at twice the size, so half a head's size of 8 pixels is 8 of the network's
    seen = torch.from_numpy(target(points, 400, 8, 0, (4, 2), 2))[None]
    answers = seen[0, :4].clone()
    answers[0, 0] += 7.9
    answers[1, 1] -= 8.1
    found = KEY_POINTS.measure(answers.reshape(1, -1), seen)
    assert found.values["pckh"] == pytest.approx(200 / 3)
    assert found.of_outputs == (100, 0, 100, None)


@pytest.mark.parametrize("flipped", [False, True])
def test_images_and_points_move_alike(flipped: bool) -> None:
    """A dot of its own colour for each point stays under it, through flips, turns and zooms."""
    names = ("left_hand", "right_hand", "head")
    task = KeyPoints(names)
    images, targets = torch.zeros(40, 3, 48, 40, dtype=torch.uint8), torch.zeros(40, 5, 3)
    places = [(12, 20), (28, 18), (21, 30)]
    for number, (x, y) in enumerate(places):
        images[:, number, y - 1 : y + 2, x - 1 : x + 2] = 255
        targets[:, number] = torch.tensor([x, y, 2.0])
    generator = torch.Generator().manual_seed(1)
    moved, found = task.augment(images, targets, generator, lambda some: some)
    assert torch.equal(found[:, 3:], targets[:, 3:])
    left_of_the_other = found[:, 0, 0] < found[:, 1, 0]
    assert 8 < int(left_of_the_other.sum()) <= 40
    kept = 0
    for image, points in zip(moved, found, strict=True):
        colours = [
            int(image[:, round(float(y)), round(float(x))].argmax()) for x, y, _ in points[:3]
        ]
        # in a mirror, the left hand is where the right hand's dot was
        mirror = colours == [1, 0, 2]
        assert mirror or colours == [0, 1, 2]
        kept += mirror == flipped
    assert kept > 8


def test_sides_are_told_by_words() -> None:
    assert mirrored(["nose", "left_eye", "right_eye"]) == [0, 2, 1]
    assert mirrored(["r ankle", "l ankle", "lower_neck"]) == [1, 0, 2]
    assert mirrored(["left_only", "pelvis"]) == [0, 1]
    assert mirrored(["Left Eye", "Right Eye", "LEFT_EAR", "RIGHT_EAR"]) == [1, 0, 3, 2]
    assert mirrored(["leftKnee", "rightKnee", "LHip", "RHip", "AnkleL", "AnkleR"]) == [
        *(1, 0, 3, 2, 5, 4)
    ]
    assert mirrored(["elbow", "rib", "Lap", "rap", "bowl", "bowr"]) == [0, 1, 2, 3, 4, 5]


def drawn_points(data_dir: Path) -> ImageArrays:
    images = np.zeros((20, 32, 32, 3), np.uint8)
    points = np.full((20, 14, 3), 2.0)
    return ImageArrays(images, points, images, points)


def test_a_function_may_bring_points() -> None:
    arguments = TrainingArguments(f"{__name__}:drawn_points", task="keypoints")
    data = arguments.load_data(NetworkSpec.from_parameter(NETWORK))
    assert data.train.labels.shape == (18, 16, 3)
    assert data.class_names[-1] == "13"


def test_heat_maps_are_a_quarter_of_the_input() -> None:
    arguments = TrainingArguments(f"{__name__}:drawn_points", task="keypoints")
    network = NetworkSpec(input_shape=(3, 32, 32), classes=14, frame="upsample", filters=(4,))
    with pytest.raises(ValueError, match=r"heat maps at a quarter of the input.*got stem_pools 0"):
        arguments.load_data(network)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "images/val-00003.jpg").unlink(), "val-00003.jpg is not in"),
        (lambda folder: (folder / "train.json").unlink(), "has no annotations for train"),
        (lambda folder: (folder / "val.json").write_text("{}"), "val.json is not in COCO's format"),
        (lambda folder: (folder / "images/val-00003.jpg").write_bytes(b"no"), "cannot be read"),
        (
            lambda folder: (folder / "val.json").write_text(
                (folder / "val.json").read_text().replace('"neck"', '"throat"')
            ),
            "'throat'",
        ),
    ],
)
def test_what_is_wrong_with_the_files_is_named(folder: Path, spoil: Any, message: str) -> None:
    spoil(folder)
    arguments = TrainingArguments("coco", data_dir=folder, task="keypoints")
    with pytest.raises(DataError, match=message):
        arguments.load_data(NetworkSpec.from_parameter(NETWORK))


@pytest.mark.slow
def test_predict_draws_points(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On photographs of another size than the network's, in their own pixels."""
    options = ["--task", "keypoints", "--dataset", "coco", "--data-dir", str(folder)]
    sizes = ["--network", NETWORK, "--epochs", "1", "--batch-size", "16", "--threads", "1"]
    net = tmp_path / "net"
    assert main(["train", "residual", *options, *sizes, "--test", "--output", str(net)]) == 0
    facts = json.loads((net / "network.json").read_text())
    assert facts["recipe"]["optimizer"] == "adam"
    assert facts["data"]["skeleton"][0] == [0, 1]
    assert "test PCKh@0.5" in capsys.readouterr().out
    Image.new("RGB", (200, 100), (90, 90, 90)).save(tmp_path / "wide.png")
    drawn = tmp_path / "drawn"
    assert main(["predict", str(net), str(tmp_path / "wide.png"), "--draw", str(drawn)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert list(said["points"]) == facts["class_names"]
    for point in said["points"].values():
        assert 50 <= point["x"] <= 150, "the square in the middle is looked at"
        assert 0 <= point["y"] <= 100
    with Image.open(drawn / "wide.png") as picture:
        assert picture.size == (200, 100)
        assert len(picture.getcolors() or []) > 5

    assert main(["export", str(net), "-o", str(tmp_path / "out"), "--formats", "python"]) == 0
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"| test PCKh@0.5 | {facts['test_pckh']:.2f} % |" in card
    assert "14 maps of 8 x 8" in card


def test_mpiis_annotations_are_converted(tmp_path: Path) -> None:
    """A file with the nested structures of MPII's own, of eleven training images and a test one."""
    mpii = _module(FIGURES.with_name("mpii.py"))
    points: list[dict[str, Any]] = [
        {"x": 10.0 + joint, "y": 20.0 + 2 * joint, "id": joint, "is_visible": joint % 2}
        for joint in range(15)
    ]
    points[1]["is_visible"] = np.array([])
    person = {"x1": 0.0, "y1": 0.0, "x2": 30.0, "y2": 40.0, "annopoints": {"point": points}}
    rows = [{"image": {"name": f"{n}.jpg"}, "annorect": [person] * (1 + n % 2)} for n in range(12)]
    release = {"annolist": rows, "img_train": np.array([1] * 11 + [0])}
    savemat(tmp_path / "mpii.mat", {"RELEASE": release})
    mpii.main([str(tmp_path / "mpii.mat"), str(tmp_path)])

    train, val = (json.loads((tmp_path / f"{part}.json").read_text()) for part in ("train", "val"))
    assert [one["file_name"] for one in val["images"]] == ["9.jpg"]
    assert len(train["images"]) == 10
    assert len(val["annotations"]) == 2
    converted = val["annotations"][0]
    assert converted["keypoints"][:9] == [10, 20, 1, 11, 22, 2, 12, 24, 1]
    assert converted["keypoints"][-3:] == [0, 0, 0]
    assert converted["head_size"] == pytest.approx(30)
    assert converted["bbox"] == pytest.approx([10 - 2.1, 20 - 4.2, 14 * 1.3, 28 * 1.3])
    assert len(val["categories"][0]["keypoints"]) == 16
    assert mirrored(mpii.NAMES) == [5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10]
