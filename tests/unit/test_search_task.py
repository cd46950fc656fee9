"""``blockqnn search`` of other tasks than classification: its look, its plan and its answer."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from drawn_shapes import write_shapes
from found_searches import ANSWER, CONFIG, FOUND, REQUEST, ROW, experiment, metric
from PIL import Image
from test_tasks import Brightness

from nni_blockqnn.automl._chosen import Winner, read_winners, write_winners
from nni_blockqnn.automl._finals import write_finals
from nni_blockqnn.automl._folder import SearchFolder
from nni_blockqnn.automl._machine import Machine
from nni_blockqnn.automl._outlines import look_at
from nni_blockqnn.automl._outputs import export_winner, write_outputs
from nni_blockqnn.automl._progress import SearchProgress
from nni_blockqnn.automl._recipes import final_options, metric_of
from nni_blockqnn.automl._schedule import Data, schedule
from nni_blockqnn.automl._sizing import comes_to_cost, smallest_input, tier_size
from nni_blockqnn.automl._winners import train_winner, winner_arguments
from nni_blockqnn.automl.answer import Answer, answer_lines, row_of
from nni_blockqnn.automl.configuration import configuration, plan_lines
from nni_blockqnn.automl.found import Found
from nni_blockqnn.automl.plan import Plan, make_plan
from nni_blockqnn.automl.request import TIERS, Request, RequestError, difference
from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.cli import main
from nni_blockqnn.data import DataError, ImageArrays
from nni_blockqnn.data.outline import Outline
from nni_blockqnn.exchange.parameters import read_task
from nni_blockqnn.network.measure import Measure
from nni_blockqnn.results.experiment import Results, find_experiment, read_results
from nni_blockqnn.tasks import KEY_POINTS, SEGMENTATION, find_task
from nni_blockqnn.training.evaluation import score_interval

OWN = f"{__name__}:Brightness"
ERROR = Measure("grey_error", "mean error", "levels", "minimize")
PEOPLE = Outline(
    "coco", Path("/people"), KEY_POINTS.outputs, (600,), 0, 300, (3, 180, 120), (), "",
    task="keypoints", is_resized=True,
)  # fmt: skip
MASKS = replace(PEOPLE, dataset="mask-folder", task="segmentation", image_shape=(3, 300, 400))
NUMBERS = replace(
    PEOPLE,
    dataset=f"{__name__}:grey",
    task=OWN,
    class_names=("0",),
    image_shape=(1, 12, 12),
    is_resized=False,
)
OUTLINES = [
    replace(PEOPLE, class_names=tuple("abcdefghijklmn")),
    replace(MASKS, class_names=("a", "b")),
    NUMBERS,
]


def grey(data_dir: Path) -> ImageArrays:
    levels = np.random.default_rng(0).integers(0, 256, 60)
    images = np.broadcast_to(levels[:, None, None], (60, 4, 4)).astype(np.uint8)
    return ImageArrays(images[:50], levels[:50] / 255, images[50:], levels[50:] / 255)


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


class Shown:
    """A display that keeps what it is to show."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def say(self, line: str) -> None:
        pass

    def show(
        self, stage: str, done: int, total: int, unit: str, text: str = "", *more: Any
    ) -> None:
        self.texts.append(text)


def test_progress_names_the_measure(tmp_path: Path) -> None:
    error = metric(0, FOUND, -3.256) | {"measure": ERROR.to_json()}
    for name, one in (("abcd1234", metric(0, FOUND, 96.0)), ("efgh5678", error)):
        experiment(SearchFolder(tmp_path), name, CONFIG, one)
        shown = Shown()
        SearchProgress(shown, REQUEST, None)(read_results(find_experiment(name)), "url")  # type: ignore[arg-type]
        (text,) = shown.texts
        value = "96.00 %" if name == "abcd1234" else "mean error 3.256 levels"
        assert text == f"best: {value} on validation images"


ERRORS = Answer(
    **{
        **vars(ANSWER),
        "task": OWN,
        "measure": ERROR.to_json(),
        "rows": (
            replace(
                ROW, accuracy=-3.2, low=-3.5, high=-2.9, balanced_accuracy=None,
                measured={"grey_error": 3.2, "near": 99.0},
            ),
            replace(
                ROW, name="residual", accuracy=-4.4, low=-4.9, high=-4.0, balanced_accuracy=None,
                measured={"grey_error": 4.4, "near": 97.0},
            ),
        ),
    }
)  # fmt: skip


def test_the_answer_is_in_the_measures_own_direction() -> None:
    assert Answer.from_json(ERRORS.to_json()) == ERRORS
    first, head, winner, residual, *rest = answer_lines(ERRORS, Path("found"))
    assert first == "Mean error 3.2 levels on 359 test images, by a found block, trained 30 epochs"
    assert "test mean error   95 % interval" in head
    assert winner.split()[1:6] == ["3.2", "levels", "2.9", "to", "3.5"]
    assert residual.split()[1:6] == ["4.4", "levels", "4", "to", "4.9"]
    text = "\n".join(rest)
    assert "intervals: by a bootstrap over the test images" in text
    assert "1.2 levels better than residual at equal cost\n" in text
    assert f"predict found photo.jpg photos/ --task {OWN} > answers.jsonl" in text
    near = replace(ERRORS, rows=(ERRORS.rows[0], replace(ERRORS.rows[1], high=-3.4)))
    assert "so this may be chance" in "\n".join(answer_lines(near, Path("found")))
    assert "%" not in text.replace("95 %", "")


def test_its_table_has_a_column_for_each_measure() -> None:
    winner, residual = csv.DictReader(io.StringIO(ERRORS.to_csv()))
    assert (winner["test_grey_error"], residual["test_near"]) == ("3.2", "97.0")
    assert (winner["accuracy"], winner["balanced_accuracy"]) == ("-3.2", "")
    assert winner["block"] == FOUND


def test_a_row_has_the_measures_and_the_bootstraps_interval(tmp_path: Path) -> None:
    facts = {
        "task": OWN,
        "measure": ERROR.to_json(),
        "test_accuracy": -0.0123456,
        "test_grey_error": 0.0123456,
        "test_near": 99.0,
        "test_class_accuracies": {"0": 3.0},
        "test_interval": [-0.02, -0.01],
    }
    row = row_of(_winner(), facts, 300)
    assert (row.low, row.high, row.balanced_accuracy) == (-0.02, -0.01, None)
    assert row.measured == {"grey_error": 0.012346, "near": 99.0}
    assert row.accuracy == -0.012346


def _winner() -> Winner:
    task = read_task({"block": FOUND, "repeats": 1, "network": "digits", "episode": 0})
    return Winner("winner", "winner", Block.parse(FOUND), task, -0.02, None)


def test_the_bootstrap_is_that_of_the_mean() -> None:
    """Of a mean, the normal distribution's interval is nearly the bootstrap's."""
    errors = torch.from_numpy(np.random.default_rng(3).exponential(2.0, (400, 1))).float()
    low, high = score_interval(Brightness(), errors, errors[:, 0])
    half = 1.96 * errors.std().item() / 20
    assert (low, high) == score_interval(Brightness(), errors, errors[:, 0])
    assert low == pytest.approx(-errors.mean().item() - half, abs=0.1 * half)
    assert high == pytest.approx(-errors.mean().item() + half, abs=0.1 * half)


def test_the_score_of_key_points_is_their_first_measure() -> None:
    rng = torch.Generator().manual_seed(0)
    targets = torch.rand(20, 16, 3, generator=rng) * 40
    targets[:, 14] = torch.tensor([400.0, 30.0, 0.0])
    targets[:, 15] = torch.tensor([0.0, 0.0, 1.0])
    judged = (targets[:, :14] + 20 * torch.rand(20, 14, 3, generator=rng)).flatten(1)
    score = KEY_POINTS.score_of(judged, targets)
    assert 5 < score < 95
    assert score == KEY_POINTS.score(KEY_POINTS.measure(judged, targets))


SMALL = '{"input_shape": [1, 4, 4], "classes": 1, "filters": [8], "repeats": 1}'


def finals_of_grey(folder: SearchFolder, request: Request) -> tuple[Results, Results]:
    """A search and its finalists' trainings, as NNI would have left them."""
    space = CONFIG["searchSpace"] | {"network": {"_type": "choice", "_value": [SMALL]}}
    command = f"python -m nni_blockqnn.trial --task {OWN} --dataset {__name__}:grey --device cpu"
    tuner = {"className": "nni_blockqnn.tuner.BlockQNNTuner"}
    config = CONFIG | {"searchSpace": space, "trialCommand": command, "tuner": tuner}
    residual = NAMED_BLOCKS["residual"].to_json()
    errors = [
        metric(number, block, score) | {"measure": ERROR.to_json(), "task": OWN}
        for number, (block, score) in enumerate(((FOUND, -3.0), (residual, -5.0)))
    ]
    experiment(folder, "abcd1234", config, *errors)
    searched = read_results(find_experiment("abcd1234"))
    write_finals(folder, request, NUMBERS, searched)
    written = yaml.safe_load(folder.finalists.with_suffix(".yml").read_text())
    space = json.loads(folder.finalists.read_text())
    experiment(folder, "efgh5678", written | {"searchSpace": space}, *errors)
    return searched, read_results(find_experiment("efgh5678"))


def test_what_a_search_leaves_is_in_the_tasks_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = SearchFolder(tmp_path / "found")
    folder.path.mkdir()
    (folder.path / "search.json").write_text("{}")
    request = Request(f"{__name__}:grey", 1.0, task=OWN, final_epochs=2)
    searched, finals = finals_of_grey(folder, request)
    write_winners(folder, finals)
    arguments = winner_arguments(finals.experiment.config)
    rows = []
    for winner in read_winners(folder):
        facts = train_winner(folder, winner, arguments, lambda epoch, epochs: None)
        assert facts["test_interval"][0] <= facts["test_accuracy"] <= facts["test_interval"][1]
        rows.append(row_of(winner, facts, 10))
        export_winner(folder, winner)
    assert [row.name for row in rows] == ["winner", "residual"]
    answer = replace(ERRORS, rows=tuple(rows), tested=10)
    write_outputs(folder, request, answer, searched, finals)
    error = f"{rows[0].measured['grey_error']:.4g} levels"
    assert f"| test mean error | {error} |" in (folder.path / "network" / "README.md").read_text()
    report = (folder.path / "report.html").read_text()
    assert "Test mean error, winner" in report
    assert error in report
    assert f"--task {OWN}" in (folder.path / "reproduce.sh").read_text()

    found = Found(folder.path, answer)
    assert found.measured == rows[0].measured
    assert found.accuracy == -found.measured["grey_error"]
    images = grey(Path()).test_images[:, None]
    outputs = found.predict(images)
    assert isinstance(outputs, np.ndarray)
    assert outputs.shape == (10, 1)
    Image.fromarray(images[0, 0]).save(tmp_path / "a.png")
    (said,) = found.predict(tmp_path / "a.png")
    assert said.says["outputs"] == pytest.approx(outputs[0].tolist(), abs=1e-5)  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r"must be of shape \(N, 1, 4, 4\), got \(3, 4\)"):
        found.predict(np.zeros((3, 4)))

    command = ["predict", str(folder.path), str(tmp_path / "a.png")]
    assert main(command) == 1
    assert f"name it: --task {OWN}" in capsys.readouterr().err
    assert main([*command, "--task", OWN]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == pytest.approx(
        outputs[0].tolist(), abs=1e-5
    )
