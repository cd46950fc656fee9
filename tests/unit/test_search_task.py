"""``blockqnn search`` of other tasks than classification: its look at the data, and its plan."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from drawn_shapes import write_shapes
from found_searches import CONFIG, FOUND, REQUEST, experiment, metric
from other_tasks import OUTLINES, OWN, grey
from PIL import Image

from nni_blockqnn.automl._finals import write_finals
from nni_blockqnn.automl._folder import SearchFolder
from nni_blockqnn.automl._machine import Machine
from nni_blockqnn.automl._outlines import look_at
from nni_blockqnn.automl._recipes import final_options, metric_of
from nni_blockqnn.automl._schedule import Data, schedule
from nni_blockqnn.automl._sizing import comes_to_cost, smallest_input, tier_size
from nni_blockqnn.automl._winners import winner_arguments
from nni_blockqnn.automl.configuration import configuration, plan_lines
from nni_blockqnn.automl.plan import Plan, make_plan
from nni_blockqnn.automl.request import TIERS, Request, RequestError, difference
from nni_blockqnn.data import DataError, ImageArrays
from nni_blockqnn.data.outline import Outline
from nni_blockqnn.results.experiment import find_experiment, read_results
from nni_blockqnn.tasks import KEY_POINTS, SEGMENTATION, find_task


def few(data_dir: Path) -> ImageArrays:
    arrays = grey(data_dir)
    return arrays._replace(
        train_images=arrays.train_images[:5], train_labels=arrays.train_labels[:5]
    )


def hundreds(data_dir: Path) -> ImageArrays:
    arrays = grey(data_dir)
    return arrays._replace(train_labels=255 * arrays.train_labels)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNI_BLOCKQNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def plan_of(outline: Outline, **asked: Any) -> Plan:
    request = Request(**({"data": "x", "hours": 1.0, "task": outline.task} | asked))
    size, pace = tier_size(outline, "small"), 1e-3
    found = schedule(request, Data.of(outline), pace, 2)
    return Plan(request, outline, Machine(gpus=0, at_a_time=2, threads=1), size, found, pace)


def test_a_folder_of_masks_is_looked_at(tmp_path: Path) -> None:
    write_shapes(tmp_path / "shapes", 50)
    request = Request(str(tmp_path / "shapes"), 1.0, task="segmentation")
    found = look_at(request)
    assert (found.dataset, found.data_dir) == ("mask-folder", tmp_path / "shapes")
    assert found.class_names == ("background", "disc", "square")
    assert (found.counts, found.validated, found.tested) == ((40,), 0, 10)
    assert (found.image_shape, found.is_resized, found.is_imbalanced) == ((3, 20, 20), True, False)
    assert look_at(request).fingerprint == found.fingerprint
    Image.new("L", (20, 20), 2).save(tmp_path / "shapes" / "masks" / "0.png")
    assert look_at(request).fingerprint != found.fingerprint
    named = look_at(replace(request, data="mask-folder", data_dir=tmp_path / "shapes"))
    assert (named.dataset, named.data_dir) == (found.dataset, found.data_dir)


def test_a_class_of_few_pixels_counts_in_every_size(tmp_path: Path) -> None:
    """A mask is read without mixing, so a small network's may lose it."""
    write_shapes(tmp_path, 20)
    (tmp_path / "classes.txt").unlink()
    mask = np.zeros((20, 20), np.uint8)
    mask[0, 0] = 3
    Image.fromarray(mask).save(tmp_path / "masks" / "0.png")
    for side in (4, 20):
        data = SEGMENTATION.load_data("mask-folder", tmp_path, image_shape=(3, side, side))
        assert data.classes == 4


def test_people_are_looked_at_by_their_boxes(tmp_path: Path) -> None:
    """A box of 40x80 is cut out a quarter larger."""
    Image.new("RGB", (90, 90)).save(tmp_path / "a.png")
    person = {"image_id": 1, "category_id": 1, "keypoints": [9, 9, 2, 5, 5, 1]}
    boxes = [[0, 0, 40, 80], [5, 5, 40, 80], [0, 0, 10, 10]]
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [person | {"bbox": box} for box in boxes],
        "categories": [{"id": 1, "keypoints": ["a", "b"], "skeleton": []}],
    }
    for part in ("train", "val"):
        (tmp_path / f"{part}.json").write_text(json.dumps(content))
    found = look_at(Request(str(tmp_path), 1.0, task="keypoints"))
    assert (found.image_shape, found.counts, found.tested) == ((3, 100, 50), (3,), 3)
    assert found.class_names == ("a", "b")


def test_a_function_s_data_is_looked_at_for_an_own_task() -> None:
    found = look_at(Request(f"{__name__}:grey", 1.0, task=OWN))
    assert (found.dataset, found.task) == (f"{__name__}:grey", OWN)
    assert (found.counts, found.tested, found.image_shape) == ((50,), 10, (1, 4, 4))
    assert not found.is_resized


@pytest.mark.parametrize(
    ("data", "task", "message"),
    [
        ("cifar10", "keypoints", "keypoints must be a folder .coco., coco with --data-dir or mod"),
        (".", "regression", "data of the task regression must be module:function .*'.' is a fol"),
        ("nowhere", "segmentation", "'nowhere' is no folder"),
        ("cocoa", "keypoints", "did you mean coco?"),
        (f"{__name__}:grey", "multilabel", "train_labels must be 0 or 1 for each class"),
    ],
)
def test_data_that_the_task_does_not_know_is_refused(data: str, task: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        look_at(Request(data, 1.0, task=task))


def test_a_wrong_task_and_too_few_images_are_refused() -> None:
    with pytest.raises(RequestError, match=r"task must be .* got 'keypoint'; did you mean keypo"):
        Request("x", 1.0, task="keypoint")
    with pytest.raises(RequestError, match="there are 5 training images, and a search needs 10"):
        make_plan(Request(f"{__name__}:few", 1.0, task=OWN))


def test_large_numbers_are_said() -> None:
    (note,) = find_task("regression").load_data(f"{__name__}:hundreds", None).notes
    assert "as large as 248, and nothing scales them" in note
    assert note.endswith("divide them by some 100")
    assert not find_task("regression").load_data(f"{__name__}:grey", None).notes


def test_an_earlier_request_was_for_classes() -> None:
    now = Request("digits", 1.0).to_json()
    earlier = {name: value for name, value in now.items() if name != "task"}
    assert difference(earlier, now) == ""
    other = difference(earlier, now | {"task": "keypoints"})
    assert other == "task was 'classification', now it is 'keypoints'"


@pytest.mark.parametrize("outline", OUTLINES, ids=lambda one: one.dataset)
def test_networks_of_every_tier_are_the_tasks(outline: Outline) -> None:
    task = find_task(outline.task)
    for tier in TIERS:
        size = tier_size(outline, tier)
        task.check_network(size.spec)
        assert comes_to_cost(size)
        assert size.spec.classes == outline.classes


def test_inputs_are_in_the_images_proportion() -> None:
    people, masks, numbers = (tier_size(one, "small").spec for one in OUTLINES)
    # of a side of 64, since the stem halves people twice, and of 32
    assert people.input_shape == (3, *smallest_input((3, 180, 120), KEY_POINTS)[1:]) == (3, 80, 52)
    assert people.stage_sizes[0] == (20, 13)
    assert masks.input_shape == (3, 28, 36)
    assert numbers.input_shape == (1, 12, 12)


def test_the_plan_names_the_task_and_its_measure() -> None:
    people, masks, numbers = ("\n".join(plan_lines(plan_of(one))) for one in OUTLINES)
    assert (
        "task: keypoints, judged by PCKh@0.5 (%)\ndata: coco, 14 key points, 600 images to"
        in people
    )
    assert "a class)" not in people
    assert "task: segmentation, judged by mean IoU (%)\n" in masks
    assert f"task: {OWN}, judged by mean error (levels), of which less is better\n" in numbers


def test_the_configuration_trains_for_the_task(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    written = yaml.safe_load(configuration(plan_of(OUTLINES[0])))
    command = written["trialCommand"]
    assert command.startswith("python -m nni_blockqnn.trial --task keypoints --dataset coco ")
    assert "--metric" not in command
    assert "trialCodeDirectory" not in written
    own = yaml.safe_load(configuration(plan_of(replace(OUTLINES[1], task=OWN))))
    assert own["trialCodeDirectory"] == str(tmp_path), "where the task's code lies"


def test_long_trainings_are_the_tasks() -> None:
    people, masks, numbers = OUTLINES
    assert final_options(people, (3, 80, 52)) == ["--recipe keypoints-final"]
    assert final_options(masks, (3, 28, 36))[0] == "--recipe final"
    assert final_options(masks, (3, 16, 16))[0] == "--recipe final-plain"
    assert final_options(numbers, (1, 48, 48))[0] == "--recipe final-plain", "it may spoil them"
    assert {metric_of(one) for one in OUTLINES} == {"accuracy"}


def test_finalists_and_winner_train_for_the_task(tmp_path: Path) -> None:
    command = CONFIG["trialCommand"].replace(
        "trial --dataset digits", "trial --task keypoints --dataset coco"
    )
    experiment(
        SearchFolder(tmp_path),
        "abcd1234",
        CONFIG | {"trialCommand": command},
        metric(0, FOUND, 60.0),
    )
    folder = SearchFolder(tmp_path / "found")
    folder.path.mkdir()
    results = read_results(find_experiment("abcd1234"))
    write_finals(folder, replace(REQUEST, task="keypoints"), OUTLINES[0], results)
    finals = yaml.safe_load(folder.finalists.with_suffix(".yml").read_text())
    arguments = winner_arguments(finals)
    assert (arguments.task, arguments.dataset) == ("keypoints", "coco")
    assert arguments.recipe == "keypoints-final"
