"""Accuracies of the classes and their mean: in evaluations, metrics, rewards and networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nni_blockqnn.cli import main
from nni_blockqnn.data import ImageArrays, Split
from nni_blockqnn.tasks import CLASSIFICATION, Measured
from nni_blockqnn.training import ALONE, World
from nni_blockqnn.training._batches import Batches
from nni_blockqnn.training.evaluation import measured
from nni_blockqnn.trials.arguments import trial_arguments, trial_parser
from nni_blockqnn.trials.run import run

CPU = torch.device("cpu")
NETWORK = '{"input_shape": [1, 4, 4], "classes": 2, "filters": [2], "repeats": 1}'
TRIAL = (
    *("--dataset", f"{__name__}:imbalanced", "--network", NETWORK, "--block", "[[1,1,1,0,0]]"),
    *("--epochs", "1", "--batch-size", "16", "--mu", "0", "--rho", "0"),
)


def imbalanced(data_dir: Path) -> ImageArrays:
    """Nothing to be learnt, 9 to 1."""
    labels = np.repeat([0, 1], [90, 10])
    images = np.random.default_rng(0).integers(0, 256, (100, 4, 4), np.uint8)
    return ImageArrays(images, labels, images, labels, ["well", "ill"])


class Answers(nn.Module):
    """Answers what an image's first pixel says, of four classes."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.one_hot(images[:, 0, 0, 0].round().long(), 4).float()


def found_for(answers: list[int], labels: list[int], world: World = ALONE) -> Measured:
    images = torch.tensor(answers, dtype=torch.uint8).view(-1, 1, 1, 1)
    batches = Batches(Split(images, torch.tensor(labels)), (0.0,), (1 / 255,), CPU, world)
    return measured(CLASSIFICATION, Answers(), batches, 3, "fp32")


def test_accuracies_of_classes() -> None:
    # class 0: 3 of 4; 1 has no images; 2: 1 of 2
    found = found_for([0, 0, 0, 3, 2, 1], [0, 0, 0, 0, 2, 2])
    assert found.values["accuracy"] == pytest.approx(100 * 4 / 6)
    assert found.of_outputs == (75.0, None, 50.0)
    assert found.values["balanced_accuracy"] == 62.5


def test_a_constant_answer_gets_chance() -> None:
    found = found_for([0] * 20, [0] * 19 + [1])
    assert found.values["accuracy"] == 95.0
    assert found.values["balanced_accuracy"] == 50.0


def test_processes_add_their_shares_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each says which of its own images are right, in a tensor with a row for all of them."""
    summed: list[list[list[int]]] = []
    monkeypatch.setattr(World, "sum_", lambda self, tensor: summed.append(tensor.tolist()))
    for rank in range(2):
        found_for([0, 0, 1, 2], [0, 0, 1, 2], World(rank, 2))
    assert summed == [[[1], [1], [0], [0]], [[0], [0], [1], [1]]]


def final_metric(capsys: pytest.CaptureFixture[str], *options: str) -> dict:
    assert run(None, [*TRIAL, *options]) == 0
    output = capsys.readouterr().out
    assert "note: the classes are imbalanced: 'well' has 81 training images" in output
    return json.loads(output.splitlines()[-1])


def test_the_metric_has_them_and_the_reward_takes_either(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = final_metric(capsys, "--test")
    assert plain["default"] == plain["accuracy"]
    assert "metric" not in plain
    of_classes = plain["class_accuracies"]
    assert list(of_classes) == ["well", "ill"]
    assert plain["balanced_accuracy"] == pytest.approx(sum(of_classes.values()) / 2, abs=0.01)
    assert plain["accuracy"] == pytest.approx(
        (9 * of_classes["well"] + of_classes["ill"]) / 10, abs=0.01
    )
    assert set(plain["test_class_accuracies"]) == {"well", "ill"}
    found = final_metric(capsys, "--metric", "balanced_accuracy")
    assert found["default"] == found["balanced_accuracy"] != found["accuracy"]
    assert found["accuracy"] == plain["accuracy"], "which stays what it is"
    assert found["metric"] == "balanced_accuracy"


def test_another_metric_is_another_trial() -> None:
    options = ["--dataset", "digits"]
    plain, other = (
        trial_arguments(trial_parser(True).parse_args([*options, *more])).identity
        for more in ([], ["--metric", "balanced_accuracy"])
    )
    assert "metric" not in plain
    assert other == plain | {"metric": "balanced_accuracy"}


def test_of_many_classes_the_metric_has_only_the_mean(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nni_blockqnn.trials.run._MOST_CLASSES", 1)
    metric = final_metric(capsys, "--test")
    assert not [name for name in metric if name.endswith("class_accuracies")]
    assert "test_balanced_accuracy" in metric


def test_a_trained_network_says_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [*TRIAL[:4], *TRIAL[6:10], "--output", str(tmp_path / "net"), "--test"]
    assert main(["train", "[[1,1,1,0,0]]", *options]) == 0
    facts = json.loads((tmp_path / "net" / "network.json").read_text())
    assert set(facts["class_accuracies"]) == {"well", "ill"}
    assert 0 <= facts["best_balanced_accuracy"] <= 100
    output = capsys.readouterr().out
    assert "note: the classes are imbalanced" in output
    assert f"test, balanced       {facts['test_balanced_accuracy']:6.2f} %" in output


@pytest.mark.parametrize("shape", [[1, 1, 1], [1, 4, 4]])
def test_a_batch_of_one_on_a_single_pixel_is_refused(
    capsys: pytest.CaptureFixture[str], shape: list[int]
) -> None:
    filters = [2] if shape == [1, 1, 1] else [2, 2, 2]
    network = json.dumps({"input_shape": shape, "classes": 2, "filters": filters, "repeats": 1})
    source = "single_pixels" if shape == [1, 1, 1] else "imbalanced"
    options = [*TRIAL[:1], f"{__name__}:{source}", "--network", network, *TRIAL[4:7]]
    assert run(None, [*options, "1", "--batch-size", "1"]) == 1
    error = capsys.readouterr().err
    assert "batch_size must be at least 2 for this network, got 1" in error
    assert "1x1" in error


def single_pixels(data_dir: Path) -> ImageArrays:
    labels = np.repeat([0, 1], 10)
    images = np.zeros((20, 1, 1), np.uint8)
    return ImageArrays(images, labels, images, labels)
