"""`torchrun ... -m nni_blockqnn train`: on machines that share no folder, stopped, wrong."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from jpegs import write_tree
from launching import HERE, ended, free_port, start, two_processes
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from nni_blockqnn.cli import main
from nni_blockqnn.export.trained import load

SCRIPT = str(HERE / "launched_command.py")
SMALL = '{"preset": "digits", "filters": [16, 32]}'
TRAIN = (
    *("train", "[[1,1,3,0,0],[2,7,0,0,0]]", "--dataset", "digits", "--network", SMALL, "--test"),
    *("--epochs", "6", "--batch-size", "16", "--device", "cpu", "--threads", "1"),
)


def described(folder: Path) -> dict:
    return json.loads((folder / "network.json").read_text())


def said(errors: str) -> list[str]:
    return [line for line in errors.splitlines() if line.startswith("blockqnn")]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Ctrl-C in the second epoch left: a folder for each process's machine."""
    folder = tmp_path_factory.mktemp("stopped")
    process = start(*two_processes(SCRIPT, str(folder), *TRAIN, "--output", "network"))
    assert process.stdout is not None
    seen = ""
    while "epoch 2/6" not in seen:
        line = process.stdout.readline()
        assert line, ended(process).stderr
        seen += line
    process.send_signal(signal.SIGINT)
    ran = ended(process)
    assert seen.count("2 processes on cpu") == 1
    assert ran.stdout.count("stopped; the same command goes on from the last checkpoint") == 1
    assert str(Path(SCRIPT)) not in ran.stderr, "no traceback but torchrun's own"
    return folder


@pytest.mark.slow
def test_a_training_goes_on_in_one_process(
    stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(stopped / "0" / "network", tmp_path / "network")
    assert main([*TRAIN, "--output", str(tmp_path / "network")]) == 0
    printed = capsys.readouterr().out
    assert "goes on from its checkpoint" in printed
    assert "epoch 1/6" not in printed
    facts = described(tmp_path / "network")
    assert (facts["processes"], facts["micro_batch"]) == (1, 8)
    assert facts["best_accuracy"] > 30  # chance is 10


@pytest.mark.slow
def test_two_machines_go_on_and_only_the_first_one_has_the_folder(
    stopped: Path, tmp_path: Path
) -> None:
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    first = ("--master-addr", "127.0.0.1", "--master-port", str(free_port()))
    machine = ("--nnodes", "2", "--nproc-per-node", "1", *first, "--node-rank")
    command = (SCRIPT, str(tmp_path), *TRAIN, "--output", "network")
    ran = [ended(one) for one in [start(*machine, rank, *command) for rank in ("0", "1")]]
    assert [one.returncode for one in ran] == [0, 0], [one.stderr for one in ran]
    silent, printed = sorted(one.stdout for one in ran)
    assert silent == ""
    assert "2 processes on cpu, goes on from its checkpoint" in printed
    assert printed.count("epoch 6/6") == printed.count("kept in") == 1
    network = tmp_path / "0" / "network"
    names = {path.name for path in network.iterdir()}
    assert names == {"training.json", "network.json", "weights.safetensors"}
    assert list((tmp_path / "1").iterdir()) == []
    facts = described(network)
    assert (facts["processes"], facts["micro_batch"]) == (2, 8)
    assert facts["best_accuracy"] > 30  # chance is 10
    assert facts["test_accuracy"] > 30
    load(network)
    card = tmp_path / "exported" / "README.md"
    assert main(["export", str(network), "-o", str(card.parent), "--formats", "python"]) == 0
    assert "| processes that shared the training | `2` |" in card.read_text()

    # over, and the second process sees nothing of it
    again = ended(start(*two_processes(*command)))
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("kept in") == 1
    assert "epoch" not in again.stdout.replace("weights of epoch", "")


@pytest.mark.slow
def test_a_broken_image_ends_all_processes_and_is_named_once(tmp_path: Path) -> None:
    """And at the end of torchrun's summary, where one looks."""
    write_tree(tmp_path, {"train": 8, "val": 1}, ["ant", "bee"])
    broken = tmp_path / "train" / "bee" / "bee_2.JPEG"
    broken.write_bytes(broken.read_bytes()[:300])
    network = '{"preset": "imagenet", "input_shape": [3, 16, 16], "classes": 2, "filters": [4]}'
    data = ("--dataset", "imagenet", "--data-dir", str(tmp_path), "--validation", "test")
    options = ("--epochs", "1", "--batch-size", "8", "--device", "cpu", "--output", "network")
    command = ("train", "[[1,1,3,0,0]]", *data, "--network", network, *options, "--workers", "1")
    ran = ended(start(*two_processes(SCRIPT, str(tmp_path / "ranks"), *command)))
    assert ran.returncode != 0
    (line,) = said(ran.stderr)
    assert f"imagenet: {broken} is not an image" in line
    *_, last = ran.stderr.split("Root Cause")
    assert f"{broken} is not an image" in last


@pytest.fixture
def as_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[int], list[float]]:
    """Makes this process the one of that rank among two of this machine; gives its waits."""

    def become(rank: int) -> list[float]:
        places = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 2}
        for name, value in places.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / f"{rank}.json"))
        waits: list[float] = []
        monkeypatch.setattr("time.sleep", waits.append)
        return waits

    return become


@pytest.mark.parametrize(("rank", "speaker", "waits"), [(0, "", []), (1, ", process 1", [3.0])])
def test_what_all_processes_meet_is_said_by_the_first(
    as_process: Callable[[int], list[float]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    rank: int,
    speaker: str,
    waits: list[float],
) -> None:
    """The second one waits for its end first; what it left for the summary is torchrun's form."""
    waited = as_process(rank)
    assert main(["train", "residual", "--dataset", "digits", "--device", "cuda:0"]) == 1
    (line,) = said(capsys.readouterr().err)
    assert line.startswith(f"blockqnn{speaker}: device must be auto, cpu or cuda under torchrun")
    assert waited == waits
    failure = ProcessFailure(rank, 1, 1, str(tmp_path / f"{rank}.json"))
    assert "device must be auto" in ChildFailedError("it", {rank: failure}).format_msg()

    with pytest.raises(SystemExit):
        main(["train", "residual", "--dataset", "nothing"])
    assert "--dataset: must be digits, fashion_mnist, cifar10" in capsys.readouterr().err
    assert waited == 2 * waits
