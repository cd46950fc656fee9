"""The folder of a final training: what makes it another one, whose it is, what is left of it."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

from nni_blockqnn.cli import main
from nni_blockqnn.commands import train as train_module
from nni_blockqnn.commands._training_display import TrainingDisplay
from nni_blockqnn.training import Checkpoint, EpochResult
from nni_blockqnn.trials import training_folder

SMALL = '{"preset": "digits", "filters": [4, 8]}'
DATA = ("--dataset", "digits", "--limit", "300", "--network", SMALL, "--threads", "1")


def train(output: Path, *arguments: str) -> int:
    return main(["train", "residual", *DATA, "--epochs", "3", "--output", str(output), *arguments])


def described(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "network.json").read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training, of which tests take copies."""
    folder = tmp_path_factory.mktemp("trained") / "network"
    assert train(folder) == 0
    return folder


@pytest.fixture
def finished(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "network"))


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ctrl-C at the beginning of the third epoch, with a checkpoint after each."""
    monkeypatch.setattr(training_folder, "Checkpoint", partial(Checkpoint, seconds_between=0))
    update = TrainingDisplay.update

    def interrupted(display: TrainingDisplay, epoch: EpochResult) -> None:
        update(display, epoch)
        if epoch.epoch == 3:
            raise KeyboardInterrupt

    def stop(output: Path, *arguments: str) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(TrainingDisplay, "update", interrupted)
            assert train(output, *arguments) == 130

    return stop


def as_an_earlier_version_wrote(file: Path) -> None:
    """With what does not matter to the weights, and without the data."""
    identity = json.loads(file.read_text()) | {
        "device": "auto",
        "test": False,
        "data_dir": "~/.cache/nni-blockqnn/data",
    }
    del identity["data"]
    file.write_text(json.dumps(identity, indent=1, sort_keys=True))


def test_the_test_set_can_be_read_later(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = described(finished)
    assert before["test_accuracy"] is None
    capsys.readouterr()
    assert train(finished, "--test") == 0
    printed = capsys.readouterr().out
    assert "reads the test set, 359 images, cpu" in printed
    assert "epoch 1/3" not in printed
    after = described(finished)
    assert f"test accuracy        {after['test_accuracy']:6.2f} %" in printed
    names = ("test_accuracy", "test_balanced_accuracy", "test_class_accuracies")
    assert after == before | {name: after[name] for name in names}

    assert train(tmp_path / "at once", "--test") == 0
    assert described(tmp_path / "at once") == after
    assert train(finished, "--test") == 0
    assert capsys.readouterr().out.count("reads the test set") == 0  # nor a second time


def test_what_does_not_matter_to_the_weights_makes_no_other_training(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = ("--data-dir", str(tmp_path / "moved"), "--device", "cpu")
    assert train(finished, *elsewhere) == 0
    as_an_earlier_version_wrote(finished / "training.json")
    assert train(finished, *elsewhere) == 0
    assert train(finished, "--seed", "1") == 1
    assert "its seed is 0, not 1" in capsys.readouterr().err


@pytest.mark.parametrize("earlier", [False, True])
def test_a_training_goes_on_with_other_options_of_the_run(
    trained: Path, tmp_path: Path, interrupt: Any, capsys: pytest.CaptureFixture[str], earlier: bool
) -> None:
    folder = tmp_path / "network"
    interrupt(folder)
    assert "goes on from the last checkpoint" in capsys.readouterr().out
    if earlier:
        file, checkpoint = folder / "training.json", folder / "blockqnn-training.pt"
        as_an_earlier_version_wrote(file)
        own = training_folder.TrainingFolder(folder, json.loads(file.read_text())).checkpoint
        saved = torch.load(checkpoint)
        torch.save(saved | {"fingerprint": own.fingerprint}, checkpoint)
    assert train(folder, "--test", "--device", "cpu") == 0
    printed = capsys.readouterr().out
    assert "goes on from its checkpoint" in printed
    assert "epoch 2/3" not in printed
    facts = described(folder)
    assert facts["weights_sha256"] == described(trained)["weights_sha256"]
    assert facts["test_accuracy"] is not None


def test_the_fingerprint_of_an_earlier_version_is_its_texts(tmp_path: Path) -> None:
    """SHA-256 of the file, worked out with sha256sum."""
    identity = {"block": "[[1,1,3,0,0]]", "device": "auto", "seed": 0, "test": False}
    (tmp_path / "training.json").write_text(json.dumps(identity, indent=1, sort_keys=True))
    folder = training_folder.TrainingFolder(tmp_path, {"block": "[[1,1,3,0,0]]", "seed": 0})
    assert folder.checkpoint.fingerprint == (
        "03eb2bf311dd2d75ed3deb67b89dc9976be2fb9cb99f3d89ed14a4aa7211ebf2"
    )


def test_a_checkpoint_of_another_kind_of_device_is_gone_on_from(
    tmp_path: Path, interrupt: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A GPU's generator has a state of 16 bytes."""
    weights = []
    for name in ("one", "two"):
        folder = tmp_path / name
        interrupt(folder)
        saved = torch.load(folder / "blockqnn-training.pt")
        saved["state"]["generator"] = torch.zeros(16, dtype=torch.uint8)
        torch.save(saved, folder / "blockqnn-training.pt")
        capsys.readouterr()
        assert train(folder) == 0
        assert "epoch 2/3" not in capsys.readouterr().out
        weights.append(described(folder)["weights_sha256"])
    assert weights[0] == weights[1]


def test_stopped_before_the_first_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(display: TrainingDisplay, epoch: EpochResult) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainingDisplay, "update", stopped)
    assert train(tmp_path / "network") == 130
    printed = capsys.readouterr().out
    assert "stopped before the first checkpoint; the same command starts anew" in printed


def test_a_kill_before_the_claim_leaves_the_folder_free(tmp_path: Path) -> None:
    folder = training_folder.TrainingFolder(tmp_path, {"epochs": 1})
    for name in ("training.lock", "training.json.tmp"):
        (tmp_path / name).touch()
    assert training_folder.TrainingFolder(tmp_path, {"epochs": 1}).result is None
    folder.claim({"classes": 10})
    folder.release()
    assert not (tmp_path / "training.json.tmp").exists()
    (tmp_path / "training.json").unlink()
    (tmp_path / "notes.tmp").touch()
    with pytest.raises(ValueError, match="is no folder of a training and not empty"):
        training_folder.TrainingFolder(tmp_path, {"epochs": 1})


def test_a_network_that_is_not_whole_is_no_success(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = finished / "weights.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert train(finished) == 1
    error = capsys.readouterr().err
    assert "is over, but its network is not whole any more" in error
    assert "has the SHA-256" in error
    weights.unlink()
    assert train(finished) == 1
    assert "holds no weights.safetensors" in capsys.readouterr().err
    assert not weights.exists()


def test_two_trainings_do_not_share_a_folder(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "network"
    folder.mkdir()
    with FileLock(folder / "training.lock"):
        assert train(folder) == 1
        assert capsys.readouterr().err == f"blockqnn: another training is at work in {folder}\n"
        assert [path.name for path in folder.iterdir()] == ["training.lock"]
    assert train(folder) == 0
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        path.name for path in trained.iterdir()
    )


def test_a_training_that_ended_meanwhile_is_not_repeated(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """It ends while this one reads its data."""
    folder = tmp_path / "another"
    run_training = train_module.run_training

    def slow(*arguments: Any, **options: Any) -> Any:
        shutil.copytree(finished, folder)
        return run_training(*arguments, **options)

    monkeypatch.setattr(train_module, "run_training", slow)
    assert train(folder) == 1
    assert "another training has just ended in" in capsys.readouterr().err
    assert described(folder) == described(finished)


def test_other_data_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = '{"preset": "digits", "input_shape": [1, 4, 4], "classes": 2, "filters": [2]}'
    for root, names in (("data", ("ant", "bee")), ("moved", ("ant", "bee")), ("new", ("a", "b"))):
        for split in ("train", "val"):
            for name in names:
                (tmp_path / root / split / name).mkdir(parents=True)
                for number in range(2):
                    image = Image.fromarray(np.full((4, 4), 100 * number, np.uint8))
                    image.save(tmp_path / root / split / name / f"{number}.png")

    def command(root: str, *more: str) -> int:
        data = ("--dataset", "image-folder", "--data-dir", str(tmp_path / root))
        options = ("--epochs", "1", "--threads", "1", "--output", str(tmp_path / "network"))
        return main(["train", "[[1,1,1,0,0]]", *data, "--network", network, *options, *more])

    assert command("data") == 0
    assert command("new", "--test") == 1
    error = capsys.readouterr().err
    assert "the list of classes was ['ant', 'bee'], now it is ['a', 'b']" in error
    assert described(tmp_path / "network")["test_accuracy"] is None
    assert command("moved", "--test") == 0
    assert described(tmp_path / "network")["test_accuracy"] is not None
