"""A training that runs out of memory goes on with smaller parts of its batches."""

from __future__ import annotations

import gc
import re
import weakref
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nni_blockqnn.data import ImageData, load_dataset
from nni_blockqnn.training import (
    Checkpoint,
    EpochResult,
    Recipe,
    TrainingError,
    TrainingResult,
    train,
)
from nni_blockqnn.training.errors import ran_out_of_memory, too_large
from nni_blockqnn.training.memory import halved

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=2, batch_size=64, optimizer="sgd", learning_rate=0.1)
pytestmark = pytest.mark.filterwarnings("ignore:out of memory")


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_dataset("digits", None, limit=300)


class Limited(nn.Module):
    """A stand-in for a small GPU: raises what a GPU raises for more than so many images."""

    def __init__(self, limit: int, batch_norm: bool = False) -> None:
        super().__init__()
        self.limit = limit
        self.seen: list[int] = []
        conv = nn.Conv2d(1, 4, 3)
        self.layers = nn.Sequential(
            *[conv, nn.BatchNorm2d(4)] if batch_norm else [conv],
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(3),
            nn.Flatten(),
            nn.Linear(36, 10),
        ).double()

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.seen.append(len(images))
        if len(images) > self.limit:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return self.layers(images.double())


def trained(limit: int, data: ImageData, **options: object) -> TrainingResult:
    return train(lambda: Limited(limit), data, RECIPE, device=CPU, seed=5, **options)


def weights(result: TrainingResult) -> Tensor:
    return nn.utils.parameters_to_vector(result.network.parameters())


@pytest.mark.slow
def test_micro_batches_give_the_step_of_the_whole_batch(digits: ImageData) -> None:
    whole, parts = trained(64, digits), trained(20, digits)
    assert (whole.micro_batch, parts.micro_batch) == (64, 16)
    torch.testing.assert_close(weights(parts), weights(whole), rtol=0, atol=1e-6)
    assert [e.accuracy for e in parts.epochs] == [e.accuracy for e in whole.epochs]
    assert [e.loss for e in parts.epochs] == pytest.approx([e.loss for e in whole.epochs])


def test_parts_are_of_nearly_equal_size(digits: ImageData) -> None:
    recipe = Recipe(epochs=1, batch_size=100, optimizer="sgd", learning_rate=0.1)
    result = train(lambda: Limited(70), digits, recipe, device=CPU)
    assert len(digits.train) == 270
    assert result.network.seen == [50, 50, 50, 50, 35, 35]  # not 50 and a rest of 20


def test_batch_norm_sees_micro_batches(digits: ImageData) -> None:
    def run(limit: int) -> Tensor:
        made = train(lambda: Limited(limit, batch_norm=True), digits, RECIPE, device=CPU, seed=5)
        return weights(made)

    assert (run(64) - run(32)).abs().max() > 1e-4


def test_what_failed_is_gone_before_the_next_attempt(digits: ImageData) -> None:
    failed: list[weakref.ref[Limited]] = []
    alive: list[int] = []

    def make() -> nn.Module:
        alive.append(sum(network() is not None for network in failed))
        network = Limited(16)
        network.__dict__["itself"] = network  # a cycle, which only the garbage collector finds
        failed.append(weakref.ref(network))
        return network

    gc.disable()
    try:
        result = train(make, digits, RECIPE, device=CPU)
    finally:
        gc.enable()
    assert alive == [0, 0, 0]
    assert result.micro_batch == 16


def test_each_attempt_is_told_and_the_smallest_is_the_last(digits: ImageData) -> None:
    with (
        pytest.warns(UserWarning, match="out of memory") as told,
        pytest.raises(TrainingError, match="at batch 64, even in micro-batches of 16: out of mem"),
    ):
        trained(15, digits)
    numbers = [re.findall(r"\d+", str(warning.message)) for warning in told]
    assert numbers == [["64", "32"], ["32", "16"]]
    assert [halved(size) for size in (256, 100, 33, 32, 31, 1)] == [128, 50, 16, 16, None, None]


def test_other_errors_are_not_tried_again(digits: ImageData) -> None:
    made: list[nn.Module] = []

    class Broken(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise RuntimeError("shapes differ")

    def make() -> nn.Module:
        made.append(Broken())
        made[-1].weight = nn.Parameter(torch.zeros(1))
        return made[-1]

    with pytest.raises(RuntimeError, match="shapes differ"):
        train(make, digits, RECIPE, device=CPU)
    assert len(made) == 1


def test_what_pytorch_says_on_the_cpu_is_understood() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**46)  # 256 TiB
    assert ran_out_of_memory(caught.value)
    assert ran_out_of_memory(RuntimeError("std::bad_alloc"))
    assert ran_out_of_memory(MemoryError())
    assert not ran_out_of_memory(ValueError("out of memory"))


GIB = 2**30


@pytest.mark.parametrize(
    ("free", "own", "of_block"),
    [(0, 78, True), (0, 72, True), (0, 60, False), (0, 1, False), (70, 1, True), (40, 30, False)],
)
def test_memory_that_neighbours_on_the_gpu_hold_is_not_the_blocks_fault(
    monkeypatch: pytest.MonkeyPatch, free: int, own: int, of_block: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free * GIB, 80 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: own * GIB)
    error = too_large(64, torch.device("cuda:0"), 16)
    assert error.of_block is of_block
    assert ("other processes hold" in str(error)) is not of_block
    assert "(cuda:0) at batch 64, even in micro-batches of 16" in str(error)
    assert too_large(64, CPU).of_block


@pytest.mark.slow
def test_a_checkpoint_goes_on_in_its_micro_batches(digits: ImageData, tmp_path: Path) -> None:
    class Killed(BaseException):
        """Stands for the process's end."""

    def kill(epoch: EpochResult) -> None:
        if epoch.epoch == 2:
            raise Killed

    def checkpoint() -> Checkpoint:
        return Checkpoint(tmp_path / "training.pt", "this", seconds_between=0)

    whole = trained(20, digits)
    with pytest.raises(Killed):
        trained(20, digits, on_epoch=kill, checkpoint=checkpoint())
    resumed = trained(64, digits, checkpoint=checkpoint())  # there is room now
    assert resumed.micro_batch == 16
    assert torch.equal(weights(resumed), weights(whole))
