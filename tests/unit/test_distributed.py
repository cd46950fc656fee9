"""One training by several processes: two of them on the CPU, started by torchrun."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import launched_trainings as trainings
import pytest
import torch
from jpegs import write_tree
from launched_trainings import CPU, IMAGES, RECIPE, some_data
from launching import ended, start, two_processes

from nni_blockqnn.common import cores
from nni_blockqnn.network.cost import Cost
from nni_blockqnn.training import ALONE, TrainingArguments, TrainingResult, World, joined, train
from nni_blockqnn.training._augment import random_crop_and_flip
from nni_blockqnn.training._batches import Batches, training_batches
from nni_blockqnn.training.memory import fitting_micro_batch


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """27 of three classes, of which 24 are trained on."""
    root = tmp_path_factory.mktemp("ranks") / "images"
    write_tree(root, {"train": 9, "val": 2}, ["ant", "bee", "cat"])
    return root


@pytest.fixture(scope="module")
def of_ranks(images: Path) -> list[dict]:
    folder = images.parent
    ran = ended(start(*two_processes(trainings.__file__, str(folder))))
    assert ran.returncode == 0, ran.stderr
    assert "deprecated" not in ran.stderr  # as PyTorch says of an old argument
    assert not (folder / "1.checkpoint").exists()  # only the first one writes
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def assert_as_alone(of_ranks: list[dict], name: str, alone: TrainingResult) -> None:
    weights = of_ranks[0]["weights"][name]
    for key, value in alone.network.state_dict().items():
        torch.testing.assert_close(weights[key], value, rtol=0, atol=1e-6)
    losses = [epoch.loss for epoch in alone.epochs]
    assert of_ranks[0]["losses"][name] == pytest.approx(losses, abs=1e-6)
    assert of_ranks[0]["accuracies"][name] == [epoch.accuracy for epoch in alone.epochs]


@pytest.mark.slow
def test_all_processes_end_with_the_same_network(of_ranks: list[dict]) -> None:
    first, second = of_ranks
    names = set(trainings.with_batch_norm().state_dict())
    assert set(first["weights"]["normed"]) == names  # no "module."
    for name, weights in first["weights"].items():
        for key, value in weights.items():
            assert torch.equal(value, second["weights"][name][key]), (name, key)
    assert first["losses"] == second["losses"]


@pytest.mark.parametrize("name", ["plain", "split"])
def test_two_processes_train_as_one_does(of_ranks: list[dict], name: str) -> None:
    """Six steps, two of them on an uneven batch, with the same augmentation."""
    assert_as_alone(of_ranks, name, trainings.plain())


def test_two_processes_that_stream_train_as_one_does(of_ranks: list[dict], images: Path) -> None:
    assert_as_alone(of_ranks, "streamed", trainings.streamed(images))


def test_two_processes_start_anew_and_keep_the_best_epoch_as_one_does(of_ranks: list[dict]) -> None:
    alone = trainings.restarted()
    assert (alone.restarts, len(alone.epochs)) == (1, 6)
    assert alone.kept_epoch < 6, "this test needs a training whose last epoch is not the best one"
    for found in of_ranks:
        assert (found["restarts"], found["kept_epoch"]) == (1, alone.kept_epoch)
    assert_as_alone(of_ranks, "restarted", alone)


def test_each_process_normalises_its_share(of_ranks: list[dict]) -> None:
    """As one process does with micro-batches of that size, but for the running statistics."""
    alone = trainings.normed(micro_batch=4)
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


def test_the_order_of_an_epoch_is_the_first_ones(of_ranks: list[dict]) -> None:
    """Else generators that differ would leave images out, and see others twice."""
    assert sorted(of_ranks[0]["order"] + of_ranks[1]["order"]) == [*range(IMAGES)]


def test_processes_compare_what_they_are_to_do(of_ranks: list[dict]) -> None:
    assert [found["least"] for found in of_ranks] == [6, 6]
    assert of_ranks[0]["difference"] == ""
    assert of_ranks[1]["difference"].startswith("epochs is 6 here, but 5 in process 0: start")


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "4")  # of something else, a cluster's scheduler, say
    with joined("auto") as (world, device):
        assert (world, device) == (ALONE, "auto")


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    places = {"RANK": 6, "WORLD_SIZE": 8, "LOCAL_RANK": 2, "LOCAL_WORLD_SIZE": 4}
    for name, value in ({"TORCHELASTIC_RUN_ID": "test"} | places).items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(ValueError, match="--nproc-per-node must be at most 2"), joined("auto"):
        pass


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
        train(trainings.without_batch_norm, some_data(), RECIPE, device=CPU, world=World(0, 5))


def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    monkeypatch.setattr(cores, "_quota", lambda _: None)
    default = TrainingArguments("digits")
    given = replace(default, threads=7)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as torchrun does
    assert (default.chosen_threads(4), default.chosen_threads(20)) == (3, 1)
    assert (default.chosen_threads(1), given.chosen_threads(4)) == (None, 7)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # as only a user does
    assert default.chosen_threads(4) is None


def test_processes_share_the_memory_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: argparse.Namespace(total=4 * 64 * 1000))
    cost = Cost(flops=1, params=0, activations=1000)
    assert fitting_micro_batch(cost, 64, CPU, "fp32", processes=1) == 64
    assert fitting_micro_batch(cost, 64, CPU, "fp32", processes=2) == 32
