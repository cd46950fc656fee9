"""A killed training goes on from its last epoch and ends in the same weights."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nni_blockqnn import Block, NetworkSpec, build_network
from nni_blockqnn.data import load_dataset
from nni_blockqnn.training import EARLY_STOP, Checkpoint, EpochResult, TrainingResult, train
from nni_blockqnn.trials._files import TrialFiles

CPU = torch.device("cpu")
RECIPE = replace(EARLY_STOP, epochs=4, milestones=(1, 3), batch_size=64, augment=True)


class Killed(BaseException):
    """Stands for the process's end."""


def network() -> nn.Module:
    return build_network(Block.parse([[1, 1, 3, 0, 0]]), NetworkSpec("digits", filters=(4, 8)))


def run(checkpoint: Checkpoint | None, kill_after: int | None = None) -> TrainingResult:
    def on_epoch(epoch: EpochResult) -> None:
        if epoch.epoch == kill_after:
            raise Killed

    data = load_dataset("digits", None, limit=300)
    return train(
        network, data, RECIPE, device=CPU, seed=3, on_epoch=on_epoch, checkpoint=checkpoint
    )


def weights(result: TrainingResult) -> list[torch.Tensor]:
    return list(result.network.state_dict().values())


@pytest.mark.slow
@pytest.mark.parametrize("kill_after", [2, 4])
def test_a_killed_training_ends_as_an_uninterrupted_one(tmp_path: Path, kill_after: int) -> None:
    whole = run(None)
    path = tmp_path / "training.pt"
    with pytest.raises(Killed):
        run(Checkpoint(path, "this", seconds_between=0), kill_after)
    seen: list[int] = []
    data = load_dataset("digits", None, limit=300)
    resumed = train(
        network,
        data,
        RECIPE,
        device=CPU,
        seed=3,
        on_epoch=lambda epoch: seen.append(epoch.epoch),
        checkpoint=Checkpoint(path, "this", seconds_between=0),
    )
    assert seen == list(range(kill_after, 5))  # the killed epoch was not written yet
    assert [e.accuracy for e in resumed.epochs] == [e.accuracy for e in whole.epochs]
    for ours, theirs in zip(weights(resumed), weights(whole), strict=True):
        assert torch.equal(ours, theirs)


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    Checkpoint(path, "that", seconds_between=0).save({"restarts": 0})
    assert Checkpoint(path, "that").load() == {"restarts": 0}
    assert Checkpoint(path, "this").load() is None
    path.write_bytes(path.read_bytes()[:40])
    with pytest.warns(UserWarning, match="damaged"):
        assert Checkpoint(path, "that").load() is None


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(marker),)

    path = tmp_path / "training.pt"
    torch.save({"fingerprint": "this", "state": Evil()}, path)
    with pytest.warns(UserWarning, match="damaged"):
        assert Checkpoint(path, "this").load() is None
    assert not marker.exists()


def test_writes_no_more_often_than_asked(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "training.pt", "this", seconds_between=3600)
    checkpoint.save({"restarts": 0})
    assert not checkpoint.path.exists()


def test_a_result_counts_for_its_own_task_only(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path, {"block": "a", "episode": 1}, {"dataset": "digits"})
    assert files.read_result() is None
    files.write_result({"default": 1.5})
    again = TrialFiles(tmp_path, {"episode": 1, "block": "a"}, {"dataset": "digits"})
    assert again.read_result() == {"default": 1.5}
    other_block = TrialFiles(tmp_path, {"block": "b", "episode": 1}, {"dataset": "digits"})
    assert other_block.read_result() is None
    other_arguments = TrialFiles(tmp_path, {"block": "a", "episode": 1}, {"dataset": "cifar10"})
    assert other_arguments.read_result() is None
    next(tmp_path.glob("*.json")).write_text('{"fingerprint": ')
    assert again.read_result() is None
