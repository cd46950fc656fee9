"""One training by several processes: two of them on the CPU, started by torchrun."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import nn

import nni_blockqnn
from nni_blockqnn.data import ImageData, Split
from nni_blockqnn.export.trained import load
from nni_blockqnn.training import ALONE, Checkpoint, EpochResult, Recipe, World, joined, train
from nni_blockqnn.training.augment import random_crop_and_flip
from nni_blockqnn.training.batches import Batches, training_batches

CPU = torch.device("cpu")
SMALL = '{"preset": "digits", "filters": [16, 32]}'
RECIPE = Recipe(
    epochs=2, batch_size=8, optimizer="sgd", learning_rate=0.1, restarts=0, augment=True
)
IMAGES = 21
"""Batches of 8, 8 and 5: the last one's shares are of 3 and 2."""


def without_batch_norm() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 16, 4)
    )


def with_batch_norm() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 16, 4)
    )


def some_data() -> ImageData:
    generator = torch.Generator().manual_seed(5)
    split = Split(
        torch.randint(256, (IMAGES, 1, 6, 6), generator=generator, dtype=torch.uint8),
        torch.randint(4, (IMAGES,), generator=generator),
    )
    return ImageData(split, split, split, 4, tuple("abcd"), (0.5,), (0.25,))


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    return subprocess.run(
        [*launcher, "--master-port", str(port), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(Path(nni_blockqnn.__file__).parents[1]),
        },
    )


def interrupt_second_epoch(epoch: EpochResult) -> None:
    if epoch.epoch == 2:
        raise KeyboardInterrupt


def in_two_processes(folder: Path) -> None:
    """What each of torchrun's processes does below; keeps its results in the folder."""
    torch.set_num_threads(1)
    with joined("cpu") as (world, device):
        assert device == "cpu"
        plain = train(without_batch_norm, some_data(), RECIPE, device=CPU, world=world)
        split = train(  # each share of four in two parts
            without_batch_norm, some_data(), RECIPE, device=CPU, world=world, micro_batch=2
        )
        normed = train(with_batch_norm, some_data(), RECIPE, device=CPU, world=world)
        checkpoint = Checkpoint(folder / f"{world.rank}.checkpoint", "it", seconds_between=0)
        with suppress(KeyboardInterrupt):
            train(
                with_batch_norm,
                some_data(),
                RECIPE,
                device=CPU,
                world=world,
                on_epoch=interrupt_second_epoch,
                checkpoint=checkpoint,
            )
        resumed_epochs: list[int] = []
        resumed = train(
            with_batch_norm,
            some_data(),
            RECIPE,
            device=CPU,
            world=world,
            on_epoch=lambda epoch: resumed_epochs.append(epoch.epoch),
            checkpoint=checkpoint,
        )
        found = {"plain": plain, "split": split, "normed": normed, "resumed": resumed}
        torch.save(
            {
                "weights": {name: one.network.state_dict() for name, one in found.items()},
                "losses": {name: [e.loss for e in one.epochs] for name, one in found.items()},
                "accuracy": plain.accuracy,
                "resumed_epochs": resumed_epochs,
            },
            folder / f"{world.rank}.pt",
        )


@pytest.fixture(scope="module")
def of_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    folder = tmp_path_factory.mktemp("ranks")
    ran = torchrun(__file__, str(folder))
    assert ran.returncode == 0, ran.stderr
    assert not (folder / "1.checkpoint").exists()  # only the first one writes
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def test_all_processes_end_with_the_same_network(of_ranks: list[dict]) -> None:
    first, second = of_ranks
    assert set(first["weights"]["normed"]) == set(with_batch_norm().state_dict())  # no "module."
    for name, weights in first["weights"].items():
        for key, value in weights.items():
            assert torch.equal(value, second["weights"][name][key]), (name, key)
    assert first["losses"] == second["losses"]


@pytest.mark.parametrize("name", ["plain", "split"])
def test_two_processes_train_as_one_does(of_ranks: list[dict], name: str) -> None:
    """Six steps, two of them on an uneven batch, with the same augmentation."""
    alone = train(without_batch_norm, some_data(), RECIPE, device=CPU)
    for key, value in alone.network.state_dict().items():
        torch.testing.assert_close(of_ranks[0]["weights"][name][key], value, rtol=0, atol=1e-6)
    losses = [epoch.loss for epoch in alone.epochs]
    assert of_ranks[0]["losses"][name] == pytest.approx(losses, abs=1e-6)
    assert of_ranks[0]["accuracy"] == alone.accuracy


def test_each_process_normalises_its_share(of_ranks: list[dict]) -> None:
    """As one process does with micro-batches of that size, but for the running statistics."""
    alone = train(with_batch_norm, some_data(), RECIPE, device=CPU, micro_batch=4)
    weights = of_ranks[0]["weights"]["normed"]
    for key, value in alone.network.named_parameters():
        torch.testing.assert_close(weights[key], value.detach(), rtol=0, atol=1e-5)
    losses = [epoch.loss for epoch in alone.epochs]
    assert of_ranks[0]["losses"]["normed"] == pytest.approx(losses, abs=1e-5)


def test_a_resumed_training_ends_as_an_uninterrupted_one(of_ranks: list[dict]) -> None:
    for found in of_ranks:
        assert found["resumed_epochs"] == [2]
        for key, value in found["weights"]["normed"].items():
            assert torch.equal(value, found["weights"]["resumed"][key]), key


def test_the_command_under_torchrun(tmp_path: Path) -> None:
    output = tmp_path / "network"
    data = ("--dataset", "digits", "--network", SMALL, "--test")
    arguments = ("train", "[[1,1,3,0,0],[2,7,0,0,0]]", *data, "--epochs", "6", "--batch-size", "16")
    command = ("-m", "nni_blockqnn", *arguments, "--device", "cpu", "--output", str(output))
    ran = torchrun(*command)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("epoch 6/6") == ran.stdout.count("2 processes on cpu") == 1
    names = {path.name for path in output.iterdir()}
    assert names == {"training.json", "network.json", "weights.safetensors"}
    facts = json.loads((output / "network.json").read_text())
    assert facts["micro_batch"] == 8
    assert facts["best_accuracy"] > 30  # chance is 10
    assert facts["test_accuracy"] > 30
    load(output)


def test_wrong_arguments_end_all_processes() -> None:
    ran = torchrun(
        *("-m", "nni_blockqnn", "train", "residual", "--dataset", "digits", "--device", "cuda:0")
    )
    assert ran.returncode != 0
    assert "device must be auto, cpu or cuda under torchrun" in ran.stderr


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "4")  # of something else, a cluster's scheduler, say
    with joined("auto") as (world, device):
        assert (world, device) == (ALONE, "auto")


def test_shares_make_up_the_batch() -> None:
    batch = torch.arange(8)
    shares = [World(rank, 3).share(batch).tolist() for rank in range(3)]
    assert shares == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert World(0, 3).largest_share(8) == 3


@pytest.mark.parametrize(("count", "sizes"), [(19, [8, 8]), (20, [8, 8, 4]), (3, [3])])
def test_no_share_is_of_a_single_image(count: int, sizes: list[int]) -> None:
    assert [len(some) for some in training_batches(torch.arange(count), 8, 2)] == sizes


def test_augmentation_does_not_depend_on_the_processes() -> None:
    images = torch.randint(256, (5, 1, 6, 6), generator=torch.Generator().manual_seed(0))

    def moved(world: World) -> torch.Tensor:
        return random_crop_and_flip(images, torch.Generator().manual_seed(1), world=world)

    assert torch.equal(torch.cat([moved(World(0, 2)), moved(World(1, 2))]), moved(ALONE))


def test_each_image_is_evaluated_once() -> None:
    data = some_data()
    labels = [
        answers
        for rank in range(2)
        for _, answers in Batches(data.valid, (0.5,), (0.25,), CPU, World(rank, 2)).in_order(4)
    ]
    assert torch.equal(torch.cat(labels), data.valid.labels)


def test_too_many_processes_are_refused() -> None:
    with pytest.raises(ValueError, match="5 processes need batches of at least 10 images"):
        train(without_batch_norm, some_data(), RECIPE, device=CPU, world=World(0, 5))


if __name__ == "__main__":
    in_two_processes(Path(sys.argv[1]))
