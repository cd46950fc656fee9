"""``blockqnn predict``: answers for image files, through the exported network."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from found_searches import ANSWER, ROW
from PIL import Image

import nni_blockqnn
from nni_blockqnn.automl.found import Found
from nni_blockqnn.automl.predicting import Prediction, Predictor
from nni_blockqnn.blocks.block import Block
from nni_blockqnn.cli import main
from nni_blockqnn.data.image_files import read_image
from nni_blockqnn.export import ExportError, network_source
from nni_blockqnn.model_space import build_network
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.training.weights import save_network

BLOCK = Block.parse([[1, 1, 3, 0, 0]])
CLASSES = ["cat", "dog, small", "frog"]


def write_network(folder: Path, shape: tuple[int, int, int], dataset: str = "image-folder") -> None:
    """An untrained one, with the source that `export` writes."""
    spec = NetworkSpec(input_shape=shape, classes=3, filters=[4, 8], repeats=1)
    torch.manual_seed(0)
    network = build_network(BLOCK, spec).eval()
    facts = {
        "block": BLOCK.to_json(),
        "encoding": "pcc",
        "repeats": 1,
        "network": json.loads(spec.to_json()),
        "dataset": dataset,
        "class_names": CLASSES,
        "mean": [0.4] * shape[0],
        "std": [0.2] * shape[0],
    }
    folder.mkdir(parents=True)
    save_network(folder, network, facts)
    (folder / "model.py").write_text(network_source(BLOCK, spec), encoding="utf-8")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    folder = tmp_path / "network"
    write_network(folder, (3, 12, 16))
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number, name in enumerate(("b.png", "a.JPG", "deep/c.png", "deep/er/grey.png")):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (20 + number, 30, 3), np.uint8)
        Image.fromarray(pixels).convert("L" if "grey" in name else "RGB").save(path)
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    return tmp_path / "photos"


def expected(network: Path, path: Path, shape: tuple[int, int, int] = (3, 12, 16)) -> np.ndarray:
    """By the network as `load` gives it."""
    pixels = torch.from_numpy(np.ascontiguousarray(read_image(path, shape)))[None]
    with torch.inference_mode():
        logits = nni_blockqnn.load(network)((pixels / 255 - 0.4) / 0.2)
    return logits.softmax(1)[0].numpy()


def test_a_line_for_each_image_of_a_folder(
    network: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(network), str(photos)]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    header, *rows = csv.reader(io.StringIO(shown.out))
    assert header == ["file", "class", "probability"]
    names = ["a.JPG", "b.png", "deep/c.png", "deep/er/grey.png"]
    assert [row[0] for row in rows] == [str(photos / name) for name in names]
    for path, name, probability in rows:
        wanted = expected(network, Path(path))
        assert name == CLASSES[wanted.argmax()]
        assert float(probability) == pytest.approx(wanted.max(), abs=1e-5)


def test_every_class_has_a_column_or_a_key(
    network: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = str(photos / "b.png")
    assert main(["predict", str(network), named, named, "--all"]) == 0
    header, row, again = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header == ["file", "class", "probability", *CLASSES]
    assert sum(map(float, row[3:])) == pytest.approx(1, abs=1e-5)
    assert float(row[2]) == max(map(float, row[3:]))
    assert again == row

    assert main(["predict", str(network), named, "--json", "--all"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert [found["file"], found["class"]] == row[:2]
    assert [*found["probabilities"]] == CLASSES
    assert main(["predict", str(network), named, "--json"]) == 0
    assert [*json.loads(capsys.readouterr().out)[0]] == ["file", "class", "probability"]


def test_broken_and_missing_files_are_named_and_passed_over(
    network: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "broken.png").write_bytes((photos / "b.png").read_bytes()[:300])
    named = [photos / "notes.txt", photos / "none.png", photos / "broken.png", photos / "b.png"]
    assert main(["predict", str(network), *map(str, named)]) == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 2
    lines = shown.err.splitlines()
    assert len(lines) == 3
    for path, line in zip(named, lines, strict=False):
        assert line.startswith(f"{path} is passed over: ")
    assert lines[1].endswith("No such file or directory")


def test_nothing_that_could_be_read_is_an_error(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["predict", str(network), str(tmp_path / "empty")]) == 1
    shown = capsys.readouterr()
    assert shown.out == "file,class,probability\n"
    assert shown.err.splitlines() == [
        f"{tmp_path / 'empty'} holds no images",
        "no image could be read",
    ]


def test_the_folder_of_a_search_leads_to_its_network(network: Path, photos: Path) -> None:
    (network.parent / "search.json").write_text("{}")
    assert Predictor(network.parent).folder == network


def test_a_search_without_a_network_yet_says_so(tmp_path: Path) -> None:
    (tmp_path / "search.json").write_text("{}")
    with pytest.raises(ExportError, match="has no network yet: run its blockqnn search again"):
        Predictor(tmp_path)


def test_a_folder_of_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"holds no network\.json"):
        Predictor(tmp_path)


def test_changed_code_is_not_run(network: Path, photos: Path) -> None:
    with (network / "model.py").open("a", encoding="utf-8") as file:
        file.write("\nraise SystemExit('it ran')\n")
    (one,) = Predictor(network).of_files([photos / "b.png"], print)
    assert one.probabilities == pytest.approx(expected(network, photos / "b.png"), abs=1e-5)


def test_streamed_images_are_cut_as_in_their_training(tmp_path: Path, photos: Path) -> None:
    write_network(tmp_path / "streamed", (3, 16, 16), "imagenet")
    (one,) = Predictor(tmp_path / "streamed").of_files([photos / "b.png"], print)
    from nni_blockqnn.training.streaming import centre_crop

    with Image.open(photos / "b.png") as image:
        cut = np.asarray(centre_crop((16, 16))(image.convert("RGB"))).transpose(2, 0, 1)
    wanted = Predictor(tmp_path / "streamed").of_images(cut[None])[0]
    assert one.probabilities == pytest.approx(wanted, abs=1e-5)


def test_from_python_files_and_arrays(network: Path, photos: Path) -> None:
    found = Found(network, replace(ANSWER, rows=(replace(ROW, exported=""),)))
    (one,) = found.predict(photos / "b.png")
    assert isinstance(one, Prediction)
    pixels = read_image(photos / "b.png", (3, 12, 16))
    assert found.predict(pixels[None])[0] == pytest.approx(one.probabilities, abs=1e-5)
    assert len(found.predict([photos, photos / "b.png"])) == 5
    assert found.predict(np.empty((0, 3, 12, 16))).shape == (0, 3)
    with pytest.raises(ValueError, match=r"images must be of shape \(N, 3, 12, 16\), got \(3, 12"):
        found.predict(pixels)
