"""Tasks other than classification: the seam, with one of the user's own, from trial to export."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_experiments import final, make_experiment
from other_tasks import Brightness

from nni_blockqnn.cli import main
from nni_blockqnn.commands._console import TableConsole
from nni_blockqnn.commands._top_display import show_table
from nni_blockqnn.data import DataError, ImageArrays, load_dataset
from nni_blockqnn.data.targets import load_targets
from nni_blockqnn.network.measure import ACCURACY, Measure, measure_of
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.reports._stages import accuracy_text, axis_name
from nni_blockqnn.reports.report import write_report
from nni_blockqnn.results.experiment import TrialResult, find_experiment, read_results
from nni_blockqnn.tasks import CLASSIFICATION, Measured, Task, find_task
from nni_blockqnn.training import TrainingArguments
from nni_blockqnn.trials.arguments import TrialArguments
from nni_blockqnn.trials.run import run

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_task"
NETWORK = json.dumps({"input_shape": [1, 4, 4], "classes": 1, "filters": [8], "repeats": 1})
OWN = ["--task", f"{__name__}:Brightness", "--dataset", f"{__name__}:grey", "--network", NETWORK]
SHORT = ["--epochs", "3", "--batch-size", "32", "--learning-rate", "0.03", "--threads", "1"]


def grey(data_dir: Path) -> ImageArrays:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, 200)
    noisy = levels[:, None, None] + rng.normal(0, 20, (200, 4, 4))
    images = noisy.clip(0, 255).astype(np.uint8)
    return ImageArrays(images[:160], levels[:160] / 255, images[160:], levels[160:] / 255)


def test_a_trial_reports_the_tasks_measures(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--block", "[[1,1,3,0,0]]", "--mu", "0", "--rho", "0", "--test"]
    assert run(None, [*OWN, *SHORT, *options]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    metric = json.loads(last)
    assert metric["default"] == metric["accuracy"] == -metric["grey_error"]
    assert metric["best_accuracy"] == -metric["best_grey_error"] >= metric["accuracy"]
    assert 0 < metric["best_grey_error"] < 64, "which is what the mean of all images would have"
    assert 0 <= metric["near"] <= 100
    assert metric["test_accuracy"] == -metric["test_grey_error"]
    assert metric["validation_images"] == 16
    assert "class_accuracies" not in metric
    assert metric["task"] == f"{__name__}:Brightness"
    assert measure_of(metric) == Brightness.measures[0]
    assert f"mean error {metric['grey_error']:.2f} levels, loss" in lines[-1]


def test_a_reward_takes_another_measure(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--block", "[[1,1,3,0,0]]", "--mu", "0", "--rho", "0", "--metric", "near"]
    assert run(None, [*OWN, *SHORT, *options]) == 0
    metric = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert metric["default"] == metric["near"] != metric["accuracy"]
    with pytest.raises(ValueError, match="metric must be accuracy or near, got 'grey_error'"):
        TrialArguments(_arguments(), metric="grey_error")


def test_the_best_epoch_and_the_exported_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "net"
    options = ["--recipe", "early-stop", "--test", "--output", str(folder)]
    assert main(["train", "[[1,1,3,0,0]]", *OWN, *SHORT, *options]) == 0
    printed = capsys.readouterr().out
    facts = json.loads((folder / "network.json").read_text())
    assert facts["task"] == f"{__name__}:Brightness"
    assert facts["class_names"] == ["0"]
    assert f"validation mean error {facts['best_grey_error']:7.2f} levels" in printed
    assert f"test, within 16 levels  {facts['test_near']:6.2f} %" in printed

    assert main(["export", str(folder), "-o", str(tmp_path / "out"), "--formats", "python"]) == 0
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"{facts['test_grey_error']:.2f} levels" in card
    assert "accuracy" not in card


def test_the_example_learns_angles(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len((EXAMPLE / "angles.py").read_text().splitlines()) < 80
    monkeypatch.chdir(EXAMPLE)
    monkeypatch.syspath_prepend(EXAMPLE)
    network = '{"preset": "digits", "classes": 2}'
    options = ["--task", "angles:Angles", "--dataset", "angles:turned_digits", "--epochs", "4"]
    sizes = ["--network", network, "--block", "residual", "--batch-size", "64", "--threads", "1"]
    assert run(None, [*options, *sizes, "--mu", "0", "--rho", "0"]) == 0
    metric = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert metric["angle_error"] < 35, "the mean angle's error is 45 degrees"
    assert metric["default"] == -metric["angle_error"]


def test_classification_is_the_task_that_is_not_named() -> None:
    assert find_task("classification") is CLASSIFICATION
    data = load_dataset("digits", None)
    assert CLASSIFICATION.chance(data) == 10
    assert measure_of({"accuracy": 3.0}) == ACCURACY
    assert Brightness().chance(data) == -math.inf


@pytest.mark.parametrize("said", ["mean_iou", {"name": 3}, {}, None])
def test_what_is_no_measure_is_accuracy(said: Any) -> None:
    assert measure_of({"measure": said}) == ACCURACY


def test_what_is_no_task_is_refused() -> None:
    with pytest.raises(ValueError, match=r"task must be .*or module:function, got 'clas"):
        TrainingArguments("digits", task="clasification")
    with pytest.raises(ValueError, match=r"must return a nni_blockqnn\.tasks\.Task, got 3"):
        TrainingArguments("own:images", task=f"{__name__}:no_task")
    with pytest.raises(ValueError, match="failed: TypeError: Can't instantiate abstract class"):
        TrainingArguments("own:images", task=f"{__name__}:Incomplete")
    with pytest.raises(ValueError, match="dataset must be module:function, got 'digits'"):
        TrainingArguments("digits", task=f"{__name__}:Brightness")


def test_the_first_measure_must_be_there() -> None:
    with pytest.raises(ValueError, match=r"must measure grey_error, its first .*, got {'near': 3}"):
        Brightness().score(Measured({"near": 3}))


def no_task() -> int:
    return 3


class Incomplete(Task):
    measures = (ACCURACY,)


def _arguments() -> TrainingArguments:
    return TrainingArguments(f"{__name__}:grey", task=f"{__name__}:Brightness")


def test_a_tenth_is_held_out_and_the_limit_counts_it() -> None:
    def load(**options: Any) -> Any:
        return load_targets(f"{__name__}:grey", None, **options)

    data = load()
    assert (len(data.train), len(data.valid), len(data.test)) == (144, 16, 40)
    assert data.train.labels.dtype == torch.float32
    assert data.classes == 1
    seen = torch.cat([data.train.images, data.valid.images]).double()
    assert data.train.images.double().mean().item() / 255 == pytest.approx(data.mean[0])
    assert len(seen.flatten(1).unique(dim=0)) == len(grey(Path()).train_images)
    few = load(limit=20)
    assert (len(few.train), len(few.valid)) == (18, 2)
    apart = load(limit=20, validation_images=30)
    assert (len(apart.train), len(apart.valid)) == (20, 30)
    either = torch.cat([apart.train.images, apart.valid.images])
    assert len(either.flatten(1).unique(dim=0)) == 50
    other = load(seed=1)
    assert not torch.equal(other.valid.labels, data.valid.labels)
    on_test = load(validation="test")
    assert (len(on_test.train), on_test.valid) == (160, on_test.test)
    with pytest.raises(DataError, match=r"the network has classes=3 but the data .* has 1"):
        load(classes=3)


@pytest.mark.parametrize("labels", [np.zeros(5), np.array(["a"] * 6), np.zeros(())])
def test_targets_are_a_row_for_each_image(
    monkeypatch: pytest.MonkeyPatch, labels: np.ndarray
) -> None:
    images = np.zeros((6, 2, 2), np.uint8)
    arrays = ImageArrays(images, labels, images, labels)
    monkeypatch.setattr(f"{__name__}.grey", lambda data_dir: arrays)
    with pytest.raises(DataError, match="train_labels must be numbers, a row for each of 6 images"):
        load_targets(f"{__name__}:grey", None)


ERROR = Measure("grey_error", "mean error", "levels", "minimize")


def _searched(tmp_path: Path) -> list[TrialResult]:
    values = ((1, -3.25), (2, -7.5))
    finals = [
        (f"t{n}", final(episode=n, accuracy=score, default=score, measure=ERROR.to_json()))
        for n, score in values
    ]
    make_experiment(tmp_path, finals=finals)
    return list(read_results(find_experiment("abcd1234", tmp_path)).trials)


def test_tables_and_charts_name_the_measure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    trials = _searched(tmp_path)
    show_table(trials, TableConsole())
    table = capsys.readouterr().out
    assert "mean error levels" in table
    assert "3.25" in table
    assert "accuracy" not in table
    assert axis_name("accuracy", trials) == "early-stop negative mean error (levels)"
    assert axis_name("accuracy", []) == "early-stop accuracy (%)"
    assert accuracy_text(trials[0]) == "3.25 levels"


def test_a_report_names_the_measure(tmp_path: Path) -> None:
    _searched(tmp_path)
    results = read_results(find_experiment("abcd1234", tmp_path))
    write_report(results, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<b>3.25 levels</b><span>best early-stop mean error</span>" in page
    assert "Every mean error here is an" in page


def brightness_and_size(data_dir: Path) -> ImageArrays:
    """Two numbers, and by their signs two labels."""
    rng = np.random.default_rng(1)
    levels, widths = rng.uniform(0, 1, 300), rng.integers(1, 8, 300)
    images = np.zeros((300, 8, 8), np.uint8)
    for image, level, width in zip(images, levels, widths, strict=True):
        image[:, :width] = 40 + round(200 * level)
    targets = np.stack([levels - 0.5, widths / 4 - 1], axis=1)
    return ImageArrays(images[60:], targets[60:], images[:60], targets[:60], ["level", "width"])


def bright_or_wide(data_dir: Path) -> ImageArrays:
    arrays = brightness_and_size(data_dir)
    return arrays._replace(
        train_labels=(arrays.train_labels > 0).astype(int),
        test_labels=(arrays.test_labels > 0).astype(int),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "data", "main_measure", "least"),
    [
        # a constant answer has an RMSE of 0.43
        ("regression", "brightness_and_size", "rmse", -0.3),
        # all that is always answered has an F1 of 66
        ("multilabel", "bright_or_wide", "macro_f1", 80),
    ],
)
def test_tasks_of_a_few_numbers(
    capsys: pytest.CaptureFixture[str], task: str, data: str, main_measure: str, least: float
) -> None:
    network = '{"input_shape": [1, 8, 8], "classes": 2, "filters": [8, 12], "repeats": 1}'
    options = ["--task", task, "--dataset", f"{__name__}:{data}", "--network", network, "--test"]
    sizes = ["--epochs", "10", "--batch-size", "16", "--learning-rate", "0.01", "--threads", "1"]
    assert run(None, [*options, *sizes, "--block", "residual", "--mu", "0", "--rho", "0"]) == 0
    metric = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert metric["test_accuracy"] > least
    assert abs(metric["test_accuracy"]) == metric[f"test_{main_measure}"]
    assert list(metric["class_accuracies"]) == ["level", "width"]


def test_their_measures_by_hand() -> None:
    errors = torch.tensor([[3.0, 0.0], [-3.0, 1.0]])
    found = find_task("regression").measure(errors, errors)
    assert found.values["rmse"] == pytest.approx(math.sqrt(19 / 4))
    assert found.values["mean_absolute_error"] == 7 / 4
    assert found.of_outputs == pytest.approx((3, math.sqrt(0.5)))
    said = torch.tensor([[1, 0, 0], [1, 1, 0]])
    there = torch.tensor([[1, 1, 0], [0, 1, 0]])
    found = find_task("multilabel").measure(said, there)
    # two of three; of the second class one was missed
    assert found.of_outputs == (pytest.approx(200 / 3), pytest.approx(200 / 3), None)
    assert found.values["exact_match"] == 0


def test_labels_are_zeros_and_ones() -> None:
    arguments = TrainingArguments(f"{__name__}:brightness_and_size", task="multilabel")
    with pytest.raises(DataError, match="train_labels must be 0 or 1 for each class"):
        arguments.load_data(NetworkSpec(input_shape=(1, 8, 8), classes=2))
