"""Pilots: real trainings on digits that a kill interrupts, and the command."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from drawn_shapes import NETWORK, write_shapes

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.cli import main
from nni_blockqnn.commands._pilot_folder import PilotFolder
from nni_blockqnn.commands._pilot_trainings import (
    PilotTraining,
    pilot_trainings,
    run_pilot,
)
from nni_blockqnn.data import load_dataset
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.tasks import SEGMENTATION
from nni_blockqnn.training import EARLY_STOP, FINAL, EpochResult

SPEC = NetworkSpec("digits", filters=(4, 4), repeats=1)
EARLY = replace(EARLY_STOP.shortened(1), batch_size=64, restarts=0)
LATE = replace(EARLY_STOP.shortened(2), batch_size=64, restarts=0)
BLOCKS = [Block.parse([[1, 1, kernel, 0, 0]]) for kernel in (1, 3, 5)]


class Pilot:
    """Runs a pilot of three blocks in a folder and notes which epochs it trains."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trainings = pilot_trainings(BLOCKS, SPEC, EARLY, LATE, seed=0)
        self.epochs: list[tuple[Block, str, int]] = []

    def run(self, stop: Callable[[], bool] = lambda: False) -> None:
        def on_epoch(training: PilotTraining, epoch: EpochResult) -> None:
            if stop():
                raise KeyboardInterrupt
            self.epochs.append((training.block, training.log, epoch.epoch))

        data = load_dataset("digits", None, limit=200)
        run_pilot(
            self.folder,
            self.trainings,
            data,
            torch.device("cpu"),
            on_epoch=on_epoch,
            on_end=lambda training, line: None,
        )

    def lines(self) -> dict[str, list[dict[str, Any]]]:
        """All but the times."""
        logs = {
            name: [json.loads(line) for line in (self.folder / name).read_text().splitlines()]
            for name in ("early-stop.jsonl", "final.jsonl")
        }
        for line in itertools.chain(*logs.values()):
            del line["training_seconds"]
        return logs


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Pilot:
    """One that nothing interrupted."""
    pilot = Pilot(tmp_path_factory.mktemp("whole"))
    pilot.run()
    return pilot


def test_each_block_is_trained_both_ways(whole: Pilot) -> None:
    expected = []
    for block in BLOCKS:
        expected.append((block, "early-stop.jsonl", 1))
        expected += [(block, "final.jsonl", epoch) for epoch in (1, 2)]
    assert whole.epochs == expected
    early, late = whole.lines().values()
    assert [line["block"] for line in early] == [block.to_json() for block in BLOCKS]
    assert early[0]["flops"] == estimate_cost(BLOCKS[0], SPEC).flops
    assert early[0]["repeats"] == 1
    assert (early[0]["seed"], late[0]["seed"]) == (0, 1)
    assert 0 <= early[0]["accuracy"] <= 100


def test_an_interrupted_pilot_goes_on_and_trains_nothing_twice(
    tmp_path: Path, whole: Pilot
) -> None:
    pilot = Pilot(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        pilot.run(stop=lambda: len(pilot.epochs) == 5)  # in the last epoch of the second block
    assert len((tmp_path / "final.jsonl").read_text().splitlines()) == 1
    first_run = pilot.epochs
    pilot.epochs = []
    pilot.run()
    assert pilot.epochs[0][:2] == (BLOCKS[1], "final.jsonl")
    assert not {one[:2] for one in first_run[:4]} & {one[:2] for one in pilot.epochs}
    assert pilot.lines() == whole.lines()
    pilot.epochs = []
    pilot.run()
    assert pilot.epochs == []


def test_a_torn_line_is_trained_again(tmp_path: Path, whole: Pilot) -> None:
    for log in ("early-stop.jsonl", "final.jsonl"):
        (tmp_path / log).write_bytes((whole.folder / log).read_bytes())
    torn = (tmp_path / "final.jsonl").read_bytes()[:-30]
    (tmp_path / "final.jsonl").write_bytes(torn)
    pilot = Pilot(tmp_path)
    pilot.run()
    assert [one[:2] for one in pilot.epochs] == [(BLOCKS[2], "final.jsonl")] * 2
    assert pilot.lines() == whole.lines()


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "final.jsonl").write_text('{"block": "[[1,9,0,0,0]]", "encoding": "pcc"}\n')
    with pytest.raises(ValueError, match=r"final\.jsonl, line 1 is damaged: expected"):
        Pilot(tmp_path).run()


def test_a_block_that_cannot_be_trained_is_noted(tmp_path: Path) -> None:
    pilot = Pilot(tmp_path)
    diverging = replace(FINAL.shortened(1), learning_rate=1e30)
    pilot.trainings = pilot_trainings(BLOCKS[:1], SPEC, EARLY, diverging, seed=0)
    pilot.run()
    line = json.loads((tmp_path / "final.jsonl").read_text())
    assert line["block"] == BLOCKS[0].to_json()
    assert line["failure"].startswith("loss became")
    pilot.epochs = []
    pilot.run()
    assert pilot.epochs == []


def test_a_folder_is_one_pilots(tmp_path: Path) -> None:
    settings = {"seed": 1, "limit": None, "network": {"filters": [4, 4], "classes": 10}}
    path = tmp_path / "runs" / "pilot"
    folder = PilotFolder(path, settings)
    assert not path.parent.exists()
    with folder.claimed(["a", "b"]):
        pass
    assert PilotFolder(path, settings).blocks == ["a", "b"]
    for change, message in (
        ({"seed": 2}, "holds another pilot: its seed is 1, not 2; name another folder"),
        ({"limit": 150}, "its limit is unset, not 150;"),
        ({"network": {"filters": [4, 4], "classes": 9}}, "its network.classes is 10, not 9;"),
    ):
        with pytest.raises(ValueError, match=message):
            PilotFolder(path, settings | change)
    (path / "pilot.json").write_text("{")
    with pytest.raises(ValueError, match=r"pilot\.json is damaged or of another version"):
        PilotFolder(path, settings)


def test_a_setting_at_its_default_may_be_left_out(tmp_path: Path) -> None:
    """As by a version of this package that does not know it."""
    path, defaults = tmp_path / "pilot", {"precision": "fp32", "final-milestones": ()}
    with PilotFolder(path, {"seed": 1, "precision": "fp32", "final-milestones": []}).claimed([]):
        pass
    PilotFolder(path, {"seed": 1}, defaults)
    with pytest.raises(ValueError, match="its precision is fp32, not bf16;"):
        PilotFolder(path, {"seed": 1, "precision": "bf16"}, defaults)
    with PilotFolder(tmp_path / "later", {"seed": 1}, defaults).claimed([]):
        pass
    PilotFolder(tmp_path / "later", {"seed": 1, "precision": "fp32"}, defaults)
    with pytest.raises(ValueError, match=r"its final-milestones is \[\], not \[5\];"):
        PilotFolder(tmp_path / "later", {"seed": 1, "final-milestones": [5]}, defaults)


def test_what_is_no_folder_for_a_pilot(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.touch()
    with pytest.raises(ValueError, match="is no folder of a pilot and not empty"):
        PilotFolder(tmp_path, {})
    with pytest.raises(ValueError, match=r"notes\.txt is no folder; name another one"):
        PilotFolder(notes, {})
    with pytest.raises(ValueError, match=r"notes\.txt is no folder, so that .*x cannot be made"):
        PilotFolder(notes / "x", {})


def test_one_pilot_at_a_time_works_in_a_folder(tmp_path: Path) -> None:
    first, second = (PilotFolder(tmp_path / "pilot", {}) for _ in range(2))
    with (
        first.claimed(["a"]),
        pytest.raises(ValueError, match="another pilot is at work in"),
        second.claimed(["a"]),
    ):
        pass
    with pytest.raises(ValueError, match="other blocks meanwhile"), second.claimed(["b"]):
        pass
    with second.claimed(["a", "b"]):
        assert PilotFolder(tmp_path / "pilot", {}).blocks == ["a", "b"]


def test_a_kill_before_the_claim_leaves_the_folder_free(tmp_path: Path) -> None:
    for name in ("pilot.lock", "pilot.json.tmp"):
        (tmp_path / name).touch()
    assert PilotFolder(tmp_path, {"seed": 1}).blocks == []


COMMAND = [
    *("pilot", "--dataset", "digits", "--limit", "150", "--max-layers", "4", "--threads", "1"),
    *("--network", '{"preset": "digits", "filters": [4, 4]}', "--blocks", "4", "--batch-size"),
    *("64", "--early-epochs", "1", "--final-recipe", "early-stop", "--final-epochs", "2"),
]


@pytest.mark.slow
def test_the_command_trains_once_and_calibrates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*COMMAND, "--output", str(tmp_path / "pilot"), "--format", "json"]
    assert main(command) == 0
    output, errors = capsys.readouterr()
    said = json.loads(output)
    assert said["pairs"] == 4
    assert said["recommended"] == {"mu": 0, "rho": 0}
    assert "4 blocks on digits, 135 images, cpu: 1 and 2 epochs each" in errors
    assert "training 8/8, final: " in errors

    assert main(command) == 0
    output, errors = capsys.readouterr()
    assert json.loads(output) == said
    assert "training" not in errors
    for change, difference in (
        (("--seed", "5"), "its seed is 0, not 5;"),
        (("--final-epochs", "3"), "its final-epochs is 2, not 3;"),
        (("--final-recipe", "final"), "its final-recipe is early-stop, not final;"),
        (("--max-layers", "5"), "its max-layers is 4, not 5;"),
        (("--limit", "160"), "its limit is 150, not 160;"),
    ):
        assert main([*command, *change]) == 1
        assert f"holds another pilot: {difference} name" in capsys.readouterr().err

    file = tmp_path / "pilot" / "pilot.json"
    plan = json.loads(file.read_text())
    assert not plan["settings"].keys() & {"seed", "precision", "early-betas", "final-momentum"}
    recipes = {"early": EARLY_STOP.shortened(1), "final": EARLY_STOP.shortened(2)}
    written_out = {
        f"{kind}-{name.replace('_', '-')}": value
        for kind, recipe in recipes.items()
        for name, value in asdict(replace(recipe, batch_size=64)).items()
    }
    written_out |= {"validation": "holdout", "seed": 0, "precision": "fp32"}  # as once they were
    file.write_text(json.dumps(plan | {"settings": plan["settings"] | written_out}))

    elsewhere = ["--data-dir", str(tmp_path), "--device", "cpu", "--threads", "2", "--workers", "0"]
    assert main([*command, *elsewhere]) == 0
    assert json.loads(capsys.readouterr().out) == said


@pytest.mark.slow
def test_a_larger_pilot_adds_blocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pilot"
    command = [*COMMAND, "--output", str(folder), "--format", "json"]
    assert main(command) == 0
    logs = ("early-stop.jsonl", "final.jsonl")
    before = {log: (folder / log).read_text() for log in logs}
    capsys.readouterr()
    assert main([*command, "--blocks", "6"]) == 0
    output, errors = capsys.readouterr()
    assert json.loads(output)["pairs"] == 6
    assert "6 blocks (2 more than before) on digits" in errors
    trained = [line for line in errors.splitlines() if line.startswith("training ")]
    assert [line.split(":")[0] for line in trained] == [
        f"training {place}/12, {kind}"
        for place, kind in zip(range(9, 13), ("early-stop", "final") * 2, strict=True)
    ]
    for log in logs:
        text = (folder / log).read_text()
        assert text.startswith(before[log])
        assert len({json.loads(line)["block"] for line in text.splitlines()}) == 6

    assert main([*command, "--blocks", "6"]) == 0
    assert "training" not in capsys.readouterr().err
    assert main([*command, "--blocks", "5"]) == 1
    assert "has 6 blocks, and --blocks is 5: give as many or more" in capsys.readouterr().err


def test_a_mistake_does_not_claim_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pilot"
    command = [*COMMAND, "--output", str(folder)]
    nowhere = ["--dataset", "image-folder", "--data-dir", str(tmp_path / "nowhere")]
    for mistake, message in (
        (("--network", "cifar10"), "the network has input_shape"),
        (nowhere, "nowhere"),
        (("--device", "cuda:99"), "device cuda:99"),
        (("--final-epochs", "0"), "epochs must be at least 1, got 0"),
        (("--max-params", "1"), "admit no block"),
    ):
        assert main([*command, *mistake]) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
        assert not folder.exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--blocks", "3", "argument --blocks: must be an integer from 4, got '3'"),
        ("--mu", "nan", "argument --mu: must be a number from -1000000 to 1000000, got 'nan'"),
        ("--rho", "inf", "argument --rho: must be a number from -1000000 to 1000000, got 'inf'"),
        ("--seed", "-1", "argument --seed: must be an integer from 0 to 4294967295, got '-1'"),
    ],
)
def test_numbers_are_refused_before_anything_is_trained(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    option: str,
    value: str,
    message: str,
) -> None:
    with pytest.raises(SystemExit):
        main([*COMMAND, "--output", str(tmp_path / "pilot"), option, value])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "pilot").exists()


def test_a_training_of_another_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNI_BLOCKQNN_CACHE", str(tmp_path / "cache"))
    write_shapes(tmp_path / "shapes", 20)
    spec = NetworkSpec.from_parameter(NETWORK)
    data = SEGMENTATION.load_data("mask-folder", tmp_path / "shapes", image_shape=spec.input_shape)
    recipe = replace(EARLY, batch_size=8)
    trainings = pilot_trainings(BLOCKS[:1], spec, recipe, recipe, 0)
    values: list[float] = []
    run_pilot(
        tmp_path,
        trainings,
        data,
        torch.device("cpu"),
        task=SEGMENTATION,
        on_epoch=lambda training, epoch: values.append(epoch.measured["mean_iou"]),
        on_end=lambda training, line: None,
    )
    for name, value in zip(("early-stop.jsonl", "final.jsonl"), values, strict=True):
        line = json.loads((tmp_path / name).read_text())
        assert (line["task"], line["measure"]["name"]) == ("segmentation", "mean_iou")
        assert line["accuracy"] == value


def test_an_error_cannot_be_weighed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = ["--task", "regression", "--dataset", "own:numbers", "--output", str(tmp_path / "pilot")]
    assert main([*COMMAND[:1], *task, "--network", "digits"]) == 1
    assert "the task regression is judged by RMSE: search it without" in capsys.readouterr().err
    assert not (tmp_path / "pilot").exists()
