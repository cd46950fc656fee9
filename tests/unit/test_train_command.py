"""Final trainings: which weights they keep, what they write, how they go on, where they begin."""

from __future__ import annotations

import hashlib
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nni_blockqnn import Block, NetworkSpec, build_network
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.cli import main
from nni_blockqnn.commands._training_display import TrainingDisplay
from nni_blockqnn.data import load_dataset
from nni_blockqnn.exchange.finalists import finalists_space, write_finalists
from nni_blockqnn.export.trained import load
from nni_blockqnn.training import FINAL, Checkpoint, EpochResult, TrainingResult, evaluate, train
from nni_blockqnn.training.weights import carry_over, save_network
from nni_blockqnn.trials import training_folder
from nni_blockqnn.trials.run import run

CPU = torch.device("cpu")
SMALL = '{"preset": "digits", "filters": [4, 8]}'
ONE_CONV = "[[1,1,3,0,0],[2,7,0,0,0]]"
DATA = ("--dataset", "digits", "--limit", "300", "--network", SMALL, "--threads", "1")


class Killed(BaseException):
    """Stands for the process's end."""


class Final:
    """The final recipe at the size of a test, with each epoch's weights noted."""

    def __init__(self) -> None:
        self.network: nn.Module | None = None
        self.states: dict[int, dict[str, Tensor]] = {}

    def make_network(self) -> nn.Module:
        self.network = build_network(Block.parse(ONE_CONV), NetworkSpec.from_parameter(SMALL))
        return self.network

    def run(
        self, *, kill_after: int = 0, checkpoint: Checkpoint | None = None, keep_best: bool = True
    ) -> TrainingResult:
        def on_epoch(epoch: EpochResult) -> None:
            assert self.network is not None
            state = self.network.state_dict()
            self.states[epoch.epoch] = {name: value.clone() for name, value in state.items()}
            if epoch.epoch == kill_after:
                raise Killed

        return train(
            self.make_network,
            load_dataset("digits", None, limit=300),
            FINAL.shortened(6),
            device=CPU,
            seed=1,
            on_epoch=on_epoch,
            checkpoint=checkpoint,
            keep_best=keep_best,
        )


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def train_command(output: Path, *arguments: str) -> int:
    return main(["train", "residual", *DATA, "--epochs", "3", "--output", str(output), *arguments])


def described(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "network.json").read_text())


def exported_card(folder: Path, output: Path) -> str:
    assert main(["export", str(folder), "-o", str(output), "--formats", "python"]) == 0
    return (output / "README.md").read_text()


def test_the_best_epochs_weights_are_kept_or_the_last_ones() -> None:
    best, last = Final(), Final()
    with_best, with_last = best.run(), last.run(keep_best=False)
    accuracies = [epoch.accuracy for epoch in with_best.epochs]
    expected = max(range(6), key=lambda n: (accuracies[n], n)) + 1
    assert expected < 6, "this test needs a training whose last epoch is not the best one"
    assert with_best.kept_epoch == expected
    assert with_best.accuracy == accuracies[-1] < with_best.best_accuracy
    assert_same(with_best.network.state_dict(), best.states[expected])
    assert with_last.kept_epoch == 6
    assert_same(with_last.network.state_dict(), best.states[6])


@pytest.mark.slow
@pytest.mark.parametrize("kill_after", [2, 6])
def test_a_killed_final_training_ends_in_the_same_weights(tmp_path: Path, kill_after: int) -> None:
    whole = Final().run()
    checkpoint = Checkpoint(tmp_path / "training.pt", "this", seconds_between=0)
    with pytest.raises(Killed):
        Final().run(kill_after=kill_after, checkpoint=checkpoint)
    resuming = Final()
    resumed = resuming.run(checkpoint=checkpoint)
    assert min(resuming.states) == kill_after
    assert resumed.kept_epoch == whole.kept_epoch
    assert_same(resumed.network.state_dict(), whole.network.state_dict())


def test_a_trial_keeps_its_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a" / "kept"
    arguments = ("--recipe", "final", "--epochs", "2", "--block", "residual", "--test")
    assert run(None, [*DATA, *arguments, "--seed", "5", "--save-dir", str(folder)]) == 0
    metric = json.loads(capsys.readouterr().out.splitlines()[-1])

    weights = (folder / "weights.safetensors").read_bytes()
    facts = described(folder)
    assert facts["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert metric["weights_sha256"] == facts["weights_sha256"]
    assert metric["network_folder"] == str(folder)
    assert facts["block"] == NAMED_BLOCKS["residual"].to_json()
    assert (facts["encoding"], facts["repeats"]) == ("pcc", 1)
    assert NetworkSpec.from_parameter(facts["network"]) == NetworkSpec.from_parameter(SMALL)
    assert (facts["dataset"], facts["seed"]) == ("digits", 5)
    assert (facts["recipe"]["epochs"], facts["recipe"]["optimizer"]) == (2, "sgd")
    for name in ("accuracy", "best_accuracy", "test_accuracy"):
        assert facts[name] == metric[name]
    assert facts["versions"]["torch"] == torch.__version__

    data = load_dataset("digits", None, limit=300, seed=5)
    assert (tuple(facts["mean"]), tuple(facts["std"])) == (data.mean, data.std)
    assert facts["class_names"] == [*data.class_names]
    network = load(folder)
    for split, name in ((data.valid, "best_accuracy"), (data.test, "test_accuracy")):
        assert evaluate(network, split, data.mean, data.std, device=CPU) == facts[name]


def test_a_trial_does_not_replace_another_blocks_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "kept"
    arguments = [*DATA, "--epochs", "1", "--save-dir", str(folder)]
    assert run(None, [*arguments, "--block", "residual"]) == 0
    first = described(folder)
    assert run(None, [*arguments, "--block", ONE_CONV]) == 1
    assert "kept holds the network of another block, '[[1,4," in capsys.readouterr().err
    assert described(folder) == first
    assert run(None, [*arguments, "--block", "residual", "--seed", "1"]) == 0
    assert described(folder)["seed"] == 1


def test_a_full_disk_costs_the_weights_but_not_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "kept"  # a folder that cannot be made
    assert (
        run(None, [*DATA, "--epochs", "1", "--block", "residual", "--save-dir", str(folder)]) == 0
    )
    printed = capsys.readouterr()
    assert "weights_sha256" not in json.loads(printed.out.splitlines()[-1])
    assert "the network is not kept" in printed.err


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = nn.Linear(2, 2)
    save_network(tmp_path, network, {})
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    nn.init.zeros_(network.weight)
    with pytest.raises(OSError, match="No space"):
        save_network(tmp_path, network, {})
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_command_trains_and_says_so_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "network"
    assert train_command(folder) == 0
    first = capsys.readouterr().out
    assert "epoch 3/3" in first
    assert sorted(path.name for path in folder.iterdir()) == [
        "network.json",
        "training.json",
        "weights.safetensors",
    ]
    facts = described(folder)
    assert facts["test_accuracy"] is None
    assert f"{facts['best_accuracy']:.2f} %" in first

    assert train_command(folder) == 0
    again = capsys.readouterr().out
    assert "epoch" not in again.splitlines()[0]
    assert f"{facts['best_accuracy']:.2f} %" in again


def test_the_winner_is_trained_on_all_data_and_reads_the_test_set_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_command(tmp_path / "winner", "--validation", "test") == 0
    printed = capsys.readouterr().out
    assert "300 images" in printed  # nothing is held out
    assert re.search(r"epoch 3/3  training \d", printed)
    facts = described(tmp_path / "winner")
    assert facts["epoch"] == 3  # nothing is selected on the test set
    data = load_dataset("digits", None, limit=300, validation="test")
    network = load(tmp_path / "winner")
    test_accuracy = evaluate(network, data.test, data.mean, data.std, device=CPU)
    assert facts["test_accuracy"] == test_accuracy
    assert facts["accuracy"] is facts["best_accuracy"] is None  # nothing was validated
    assert "top5_accuracy" not in facts
    assert printed.count("test accuracy") == 1
    assert "validation" not in printed

    card = exported_card(tmp_path / "winner", tmp_path / "exported")
    assert f"| test accuracy | {test_accuracy:.2f} % |" in card
    assert "It was trained on all training images" in card
    assert "validat" not in card


def test_an_interrupted_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    eager = partial(Checkpoint, seconds_between=0)
    monkeypatch.setattr(training_folder, "Checkpoint", eager)
    assert train_command(tmp_path / "whole") == 0

    update = TrainingDisplay.update

    def interrupted(display: TrainingDisplay, epoch: EpochResult) -> None:
        update(display, epoch)
        if epoch.epoch == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(TrainingDisplay, "update", interrupted)
        assert train_command(tmp_path / "stopped") == 130
    assert "the same command goes on" in capsys.readouterr().out
    assert not (tmp_path / "stopped" / "network.json").exists()

    assert train_command(tmp_path / "stopped", "--seed", "1") == 1
    assert "holds another training: its seed is 0, not 1" in capsys.readouterr().err
    assert train_command(tmp_path / "stopped") == 0
    printed = capsys.readouterr().out
    assert "goes on from its checkpoint" in printed
    assert "epoch 2/3" not in printed
    whole, resumed = described(tmp_path / "whole"), described(tmp_path / "stopped")
    assert resumed["weights_sha256"] == whole["weights_sha256"]


def test_a_folder_of_something_else_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").touch()
    assert train_command(tmp_path) == 1
    assert "no folder of a training" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--network", "cifar10"), "set network to digits"),
        (("--encoding", "separate"), 'encoding "pcc"'),
        (("--rank", "2"), "file of finalists"),
        (("--init-from", "nowhere"), "nowhere"),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert train_command(tmp_path / "network", *arguments) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert message in error
    assert not (tmp_path / "network").exists(), "put right, the command may have its folder"


def test_weights_are_carried_over_where_they_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_command(tmp_path / "first") == 0
    begun_there = ("--init-from", str(tmp_path / "first"))
    assert train_command(tmp_path / "second", "--repeats", "2", *begun_there) == 0
    # A PCC has 5 tensors that count: convolution, weight, bias, mean and variance. The block has
    # two of them, in stage 2 a third at its entry; with the stem's 5 and the head's 2 that makes
    # 32. N = 2 adds a block of 10 to each stage, which the first network has not
    assert "32 of 52 weights" in capsys.readouterr().out
    first, second = described(tmp_path / "first"), described(tmp_path / "second")
    assert first["init_from"] is None
    assert second["init_from"] == {
        "weights_sha256": first["weights_sha256"],
        "block": NAMED_BLOCKS["residual"].to_json(),
        "dataset": "digits",
    }
    card = exported_card(tmp_path / "second", tmp_path / "exported")
    assert f"| began with the weights of SHA-256 | `{first['weights_sha256']}` |" in card
    assert "| those had learnt | `digits` |" in card
    assert "| precision of the arithmetic | `fp32` |" in card
    assert "| images at a time (micro-batch) | `128` |" in card
    other = ("--network", '{"preset": "digits", "filters": [5], "frame": "nin"}')
    assert train_command(tmp_path / "third", *other, *begun_there) == 1
    error = capsys.readouterr().err
    assert "none of the weights fits" in error
    assert "same shape: stem.conv1.conv.weight is 4x1x3x3 there and 5x1x3x3 here" in error


def test_carrying_over_changes_what_fits_and_nothing_else() -> None:
    source = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 10))
    target = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))
    source[1].running_mean.fill_(7.0)
    linear = target[3].weight.clone()
    # convolution 2; batch norm 4 without its counter; the linear layer's 2 do not fit
    assert carry_over(source.state_dict(), target) == (6, 8)
    assert torch.equal(target[0].weight, source[0].weight)
    assert target[1].running_mean.tolist() == [7.0] * 4
    assert torch.equal(target[3].weight, linear)


def test_finalists_bring_their_network(tmp_path: Path) -> None:
    block = Block.parse("[[1,1,7,0,0],[2,8,0,1,0]]", encoding="separate")
    path = tmp_path / "finalists.json"
    write_finalists(path, finalists_space([block], 2, SMALL))
    arguments = ("--dataset", "digits", "--limit", "100", "--epochs", "1", "--threads", "1")
    assert main(["train", str(path), *arguments, "--output", str(tmp_path / "network")]) == 0
    facts = described(tmp_path / "network")
    assert (facts["block"], facts["encoding"]) == (block.to_json(), "separate")
    assert NetworkSpec.from_parameter(facts["network"]) == NetworkSpec.from_parameter(SMALL, 2)


def test_weights_of_other_names_are_refused_with_names() -> None:
    weights = {"a.weight": torch.zeros(2), "bn.num_batches_tracked": torch.zeros(())}
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(3))
    with pytest.raises(ValueError, match=r"no name is in both; theirs begin with \['a\.weight'"):
        carry_over(weights, network)
    with pytest.raises(ValueError, match=r"1 names are in both.*0\.weight is 2 there and 3 here"):
        carry_over({"0.weight": torch.zeros(2)}, network)


def test_the_folder_of_a_trained_network_is_no_block(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "best").mkdir()
    assert main(["train", str(tmp_path / "best"), "--dataset", "digits"]) == 1
    assert "best is a folder; a block must be" in capsys.readouterr().err
    (tmp_path / "best" / "network.json").write_text("{}")
    assert main(["train", str(tmp_path / "best"), "--dataset", "digits"]) == 1
    error = capsys.readouterr().err
    assert "best is the folder of a trained network, not a block" in error
    assert f"--init-from {tmp_path / 'best'}" in error
