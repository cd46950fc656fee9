"""The trial outside NNI: its metrics, and one line for each failure."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from nni_blockqnn import Block, Cost, NetworkSpec, build_network, estimate_cost, reward
from nni_blockqnn.bridge import channel
from nni_blockqnn.exchange.parameters import TrialTask
from nni_blockqnn.model_space._block import BlockModule
from nni_blockqnn.training import Checkpoint, EpochResult, TrainingArguments, TrainingError
from nni_blockqnn.training.flops import measure_flops
from nni_blockqnn.training.memory import fitting_micro_batch
from nni_blockqnn.trials._files import TrialFiles
from nni_blockqnn.trials._tensorboard import TensorBoardLog
from nni_blockqnn.trials.arguments import TrialArguments
from nni_blockqnn.trials.run import _network_folder, _report_epoch, block_shape, run
from nni_blockqnn.trials.training import sample_of

CODES = "[[1,1,3,0,0],[2,1,1,1,0],[3,5,0,1,2]]"
QUICK = ["--dataset", "digits", "--epochs", "1", "--limit", "200", "--threads", "1"]


def test_the_metrics_outside_nni(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(None, [*QUICK, "--block", CODES, "--mu", "2", "--rho", "3", "--test"]) == 0
    metric = json.loads(capsys.readouterr().out.splitlines()[-1])
    block, spec = Block.parse(CODES), NetworkSpec("digits")
    cost = estimate_cost(block, spec)
    assert (metric["flops"], metric["params"]) == (cost.flops, cost.params)
    assert metric["density"] == block.density == 1.0  # 5 edges, 5 dots
    assert metric["default"] == reward(metric["accuracy"], cost.flops, 1.0, mu=2, rho=3)
    assert (metric["mu"], metric["rho"]) == (2, 3)
    assert "reward" not in metric
    assert metric["block"] == block.to_json()
    assert (metric["layers"], metric["convolutions"]) == (3, 2)
    assert metric["repeats"] == 1
    assert 0 <= metric["test_accuracy"] <= 100
    assert "episode" not in metric


def test_many_validation_images_wait_for_the_last_epoch() -> None:
    arguments = TrainingArguments("digits", limit=200, validation_images=1_200)
    data = arguments.load_data(NetworkSpec("digits"))
    assert (len(data.train), len(data.valid)) == (200, 1_200)
    sample = sample_of(data, arguments)
    assert sample is not None
    assert len(sample) == 1_000
    assert sample_of(data, replace(arguments, validation_images=None)) is None
    few = replace(arguments, validation_images=900)
    assert sample_of(few.load_data(NetworkSpec("digits")), few) is None


@pytest.mark.parametrize(
    ("codes", "shape"),
    [
        (CODES, "conv3, conv1, add"),
        ("[[1,1,3,0,0],[2,3,3,1,0],[3,1,3,2,0],[4,4,0,1,0]]", "2 conv3, avg_pool3, identity"),
    ],
)
def test_a_shape_says_the_layers_in_words(codes: str, shape: str) -> None:
    assert block_shape(Block.parse(codes)) == shape


def test_an_epoch_stands_at_its_own_place_in_the_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where a process that goes on with a trial would begin to count."""
    place, sent = 0, []

    def overwrite(value: int) -> None:
        nonlocal place
        place = value

    nni = SimpleNamespace(
        trial=SimpleNamespace(overwrite_intermediate_seq=overwrite),
        report_intermediate_result=lambda metric: sent.append((place, metric)),
    )
    monkeypatch.setattr(channel, "import_nni", lambda: nni)
    monkeypatch.setenv("NNI_PLATFORM", "local")
    for number, loss in ((1, math.nan), (1, 2.0), (7, 1.0)):  # a restart, and a resume
        epoch = EpochResult(number, loss, 50.0 + number, 0.1, 0, 1.0)
        _report_epoch("accuracy", TensorBoardLog(None), epoch)
    assert sent == [
        (0, {"default": 51.0, "epoch": 1}),
        (0, {"default": 51.0, "epoch": 1, "loss": 2.0}),
        (6, {"default": 57.0, "epoch": 7, "loss": 1.0}),
    ]


def test_a_copy_of_a_killed_trial_reports_the_whole_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_at, save = 3, Checkpoint.save
    reported: list[tuple[int, int]] = []

    def report(metric: dict[str, Any], number: int) -> None:
        if metric["epoch"] == kill_at:
            raise KeyboardInterrupt
        reported.append((number, metric["epoch"]))

    def save_at_once(checkpoint: Checkpoint, state: dict[str, Any]) -> None:
        checkpoint.seconds_between = 0
        save(checkpoint, state)

    monkeypatch.setattr(Checkpoint, "save", save_at_once)
    monkeypatch.setattr(channel, "report_intermediate", report)
    monkeypatch.setattr(channel, "report_final", lambda metric: None)
    monkeypatch.setenv("NNI_PLATFORM", "local")
    parameters = {"block": CODES, "repeats": 1, "network": "digits"}
    command = ["--dataset", "digits", "--epochs", "4", "--limit", "200", "--threads", "1"]
    for trial in ("killed", "copy"):
        (tmp_path / trial).mkdir()
    monkeypatch.setenv("NNI_OUTPUT_DIR", str(tmp_path / "killed"))
    with pytest.raises(KeyboardInterrupt):
        run(parameters, command)
    kill_at = 0
    reported.clear()
    monkeypatch.setenv("NNI_OUTPUT_DIR", str(tmp_path / "copy"))
    assert run(parameters, command) == 0
    assert reported == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_repeats_and_network_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    network = '{"preset": "digits", "filters": [4, 4]}'
    assert run(None, [*QUICK, "--block", CODES, "--network", network, "--repeats", "2"]) == 0
    metric = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (
        metric["params"]
        == estimate_cost(
            Block.parse(CODES), NetworkSpec("digits", filters=(4, 4), repeats=2)
        ).params
    )


def test_a_block_of_the_separate_encoding(capsys: pytest.CaptureFixture[str]) -> None:
    codes = "[[1,1,3,0,0],[2,8,0,1,0],[3,9,0,2,0],[4,7,0,0,0]]"
    assert run(None, [*QUICK, "--block", codes, "--encoding", "separate"]) == 0
    metric = json.loads(capsys.readouterr().out.splitlines()[-1])
    cost = estimate_cost(Block.parse(codes, encoding="separate"), NetworkSpec("digits"))
    assert (metric["flops"], metric["params"]) == (cost.flops, cost.params)
    assert metric["encoding"] == "separate"
    assert Block.parse(metric["block"]) == Block.parse(codes, encoding="separate")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--block", "[[1,1,8,0,0]]"], "conv must be an odd number from 1 to 99, got kernel=8"),
        (["--block", "[[1,5,0,0,0]]"], "row 1"),
        (["--block", CODES, "--network", "cifar10"], "set network to digits"),
        (["--block", CODES, "--network", "cifar11"], "cifar11"),
        (["--block", CODES, "--device", "gpu"], "device must be auto"),
        (["--block", CODES, "--precision", "tf32"], "precision tf32 needs an NVIDIA GPU"),
        (["--block", CODES, "--recipe", "no_such_module:recipe"], "there is no module no_such"),
        (["--block", CODES, "--reward", "no_such_module:reward"], "there is no module no_such"),
        (["--block", CODES, "--mu", "2", "--reward", "a:b"], "mu and rho belong to the paper's"),
        (["--block", CODES, "--momentum", "0.5"], "momentum is of the optimizer sgd"),
        (
            ["--block", CODES, "--network", '{"preset": "digits", "filters": [60000, 60000]}'],
            "too large for this device",
        ),
    ],
)
def test_a_failure_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(None, [*QUICK, *arguments]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert errors[0].startswith("trial failed: ")
    assert message in errors[0]


def test_a_failing_reward_costs_no_training(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(None, [*QUICK, "--block", CODES, "--reward", "json:nothing"]) == 1
    printed = capsys.readouterr()
    assert "epoch 1" not in printed.out
    assert "has no nothing" in printed.err


def test_the_optimizer_and_its_schedule_can_be_set(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    # the final recipe knows no restart, after which the learning rate would be another one
    options = ["--recipe", "final", "--optimizer", "adam", "--learning-rate", "0.002"]
    options += ["--milestones", "1", "--factor", "0.5", "--weight-decay", "0.001"]
    arguments = [*QUICK, "--block", CODES, "--epochs", "2", "--save-dir", str(tmp_path), *options]
    assert run(None, arguments) == 0
    printed = capsys.readouterr().out
    assert "learning rate 0.002," in printed
    assert "learning rate 0.001," in printed
    recipe = json.loads((tmp_path / "network.json").read_text())["recipe"]
    assert (recipe["optimizer"], recipe["weight_decay"]) == ("adam", 0.001)
    assert (recipe["milestones"], recipe["factor"]) == ([1], 0.5)


def test_missing_data_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = str(tmp_path / "nowhere")
    arguments = ["--dataset", "image-folder", "--data-dir", folder, "--block", CODES]
    assert run(None, arguments) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert folder in error


@pytest.mark.slow
def test_a_trial_without_a_block_is_refused_by_the_command_line() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "nni_blockqnn.trial", "--dataset", "digits"],
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 2
    assert "--block" in finished.stderr


def test_flops_are_measured_on_a_copy() -> None:
    block, spec = Block.parse(CODES), NetworkSpec("digits")
    network = build_network(block, spec).train()
    assert measure_flops(network, spec.input_shape) == estimate_cost(block, spec).flops
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())


def test_memory_is_checked_before_a_network_is_built() -> None:
    cpu = torch.device("cpu")
    assert fitting_micro_batch(Cost(flops=1, params=1_000, activations=1_000), 256, cpu) == 256
    with pytest.raises(TrainingError, match=r"needs some 3\.73e\+03 GiB at batch 1,"):
        fitting_micro_batch(Cost(flops=1, params=10**12 // 4, activations=0), 1, cpu)
    assert math.isclose(4 * 10**12 / 2**30, 3.73e3, rel_tol=1e-2)  # worked out by hand


def test_a_batch_that_memory_does_not_hold_is_halved_until_it_does() -> None:
    cpu = torch.device("cpu")
    activations = psutil.virtual_memory().total // (4 * 100)  # 100 images fill all memory
    cost = Cost(flops=1, params=0, activations=activations)
    assert fitting_micro_batch(cost, 256, cpu) == 64
    assert fitting_micro_batch(cost, 256, cpu, "bf16") == 128
    assert fitting_micro_batch(cost, 90, cpu) == 90
    with pytest.raises(TrainingError, match="at batch 31,"):  # 15 images would be too few
        fitting_micro_batch(Cost(1, 0, 5 * activations), 31, cpu)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_metric_names_the_precision(capsys: pytest.CaptureFixture[str], precision: str) -> None:
    assert run(None, [*QUICK, "--block", CODES, "--precision", precision]) == 0
    metric = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert metric["precision"] == precision
    assert "micro_batch" not in metric  # it is the batch


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:out of memory")
def test_the_metric_names_a_micro_batch(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for a small GPU: more than 50 images at once are too many."""
    forward = BlockModule.forward

    def limited(self: BlockModule, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 50:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return forward(self, x)

    monkeypatch.setattr(BlockModule, "forward", limited)
    assert run(None, [*QUICK, "--block", CODES, "--test"]) == 0
    metric = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert metric["micro_batch"] == 32  # 256, 128 and 64 failed
    assert 0 <= metric["test_accuracy"] <= 100


def test_a_trial_that_runs_again_under_nni_reports_what_it_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With other threads and another order of its options too, but not with another seed."""
    reported: list[dict[str, Any]] = []
    monkeypatch.setattr(channel, "report_final", reported.append)
    monkeypatch.setenv("NNI_OUTPUT_DIR", str(tmp_path))
    parameters = {"block": CODES, "repeats": 1, "network": "digits", "episode": 7}
    assert run(parameters, QUICK) == 0
    assert reported[0]["episode"] == 7
    trained = "epoch 1:"
    assert trained in capsys.readouterr().out

    data, value, epochs, one, *rest = QUICK
    assert run(parameters, [*rest, "--threads", "2", epochs, one, data, value]) == 0
    assert trained not in capsys.readouterr().out
    assert run(parameters, [*QUICK, "--seed", "1"]) == 0
    assert trained in capsys.readouterr().out
    assert run(parameters | {"episode": 8}, [*QUICK, "--seed", "1"]) == 0
    assert trained in capsys.readouterr().out
    assert reported[1] == reported[0]
    assert [metric["episode"] for metric in reported] == [7, 7, 7, 8]

    assert run({"episode": 9}, QUICK) == 1
    assert 'must be an object with a "block"' in capsys.readouterr().err
    assert (reported[4]["failure_of_block"], reported[4]["episode"]) == (False, 9)


@pytest.mark.parametrize(
    ("recipe", "episode", "kept"),
    [
        ("early-stop", None, False),
        ("final", 3, True),
        ("recipes:short", None, True),
        ("recipes:short", 3, False),
    ],
)
def test_the_networks_of_finalists_are_kept_and_those_of_short_trainings_not(
    recipe: str, episode: int | None, kept: bool, tmp_path: Path
) -> None:
    arguments = TrialArguments(TrainingArguments("digits", recipe=recipe))
    task = TrialTask(Block.parse([[1, 1, 3, 0, 0]]), NetworkSpec("digits"), episode)
    files = TrialFiles(tmp_path, {}, {})
    expected = files.network_folder if kept else None
    assert _network_folder(task, arguments, files) == expected
