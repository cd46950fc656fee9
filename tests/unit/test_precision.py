"""What runs in which arithmetic."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from nni_blockqnn import Block, NetworkSpec, build_network
from nni_blockqnn.data import ImageData, load_dataset
from nni_blockqnn.training import (
    PRECISIONS,
    Checkpoint,
    EpochResult,
    Recipe,
    TrainingResult,
    check_precision,
    evaluate,
    train,
)
from nni_blockqnn.training.device import kernels

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=2, batch_size=64, optimizer="adam", learning_rate=0.01)


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_dataset("digits", None, limit=600)


def network() -> nn.Module:
    return build_network(Block.parse([[1, 1, 3, 0, 0]]), NetworkSpec("digits", filters=(4, 8)))


def trained(data: ImageData, precision: str, **options: object) -> TrainingResult:
    return train(network, data, RECIPE, device=CPU, precision=precision, **options)


def weights(result: TrainingResult) -> Tensor:
    return torch.cat([value.flatten().double() for value in result.network.state_dict().values()])


def test_bf16_computes_in_bfloat16_and_keeps_floats(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: set[torch.dtype] = set()
    losses: set[torch.dtype] = set()
    loss_of = F.cross_entropy

    def recorded_loss(logits: Tensor, labels: Tensor, **options: str) -> Tensor:
        losses.add(logits.dtype)
        return loss_of(logits, labels, **options)

    def watched() -> nn.Module:
        made = network()
        for module in made.modules():
            if isinstance(module, (nn.Conv2d, nn.BatchNorm2d)):
                module.register_forward_hook(lambda _m, _i, output: computed.add(output.dtype))
        return made

    monkeypatch.setattr(F, "cross_entropy", recorded_loss)
    result = train(watched, digits, RECIPE, device=CPU, precision="bf16")
    assert computed == {torch.bfloat16}
    assert losses == {torch.float32}
    kept = {value.dtype for value in result.network.state_dict().values()}
    assert kept == {torch.float32, torch.int64}  # int64: batches counted by batch norm


def test_bf16_is_reproducible_and_not_fp32(digits: ImageData) -> None:
    first, again, floats = (weights(trained(digits, p)) for p in ("bf16", "bf16", "fp32"))
    assert torch.equal(first, again)
    assert 0 < (first - floats).abs().max() < 1


@pytest.mark.slow
def test_bf16_learns_and_is_evaluated_as_it_was_trained(digits: ImageData) -> None:
    recipe = Recipe(epochs=8, batch_size=32, optimizer="adam", learning_rate=0.01)
    result = train(network, digits, recipe, device=CPU, precision="bf16")
    assert result.accuracy > 70
    valid = evaluate(
        result.network, digits.valid, digits.mean, digits.std, device=CPU, precision="bf16"
    )
    assert valid == result.accuracy


def test_a_checkpoint_of_another_precision_is_left_alone(digits: ImageData, tmp_path: Path) -> None:
    def checkpoint() -> Checkpoint:
        return Checkpoint(tmp_path / "training.pt", "this", seconds_between=0)

    trained(digits, "bf16", checkpoint=checkpoint())
    seen: list[EpochResult] = []
    trained(digits, "fp32", checkpoint=checkpoint(), on_epoch=seen.append)
    assert [epoch.epoch for epoch in seen] == [1, 2]


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_kernels_of_a_gpu(precision: str, deterministic: bool) -> None:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul

    def settings() -> tuple[bool, ...]:
        return cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32

    before = settings()
    tf32 = precision == "tf32"
    with kernels(precision, deterministic=deterministic):
        assert settings() == (deterministic, not deterministic, tf32, tf32)
    assert settings() == before


@pytest.mark.parametrize(
    ("precision", "device", "message"),
    [
        ("fp16", "cpu", "precision must be fp32, tf32 or bf16, got 'fp16'"),
        ("tf32", "cpu", "tf32 needs an NVIDIA GPU .* the device is cpu: use fp32"),
        ("bf16", "mps", "bf16 is for cpu and cuda, and the device is mps: use fp32"),
    ],
)
def test_a_precision_that_the_device_has_not_is_refused(
    precision: str, device: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_precision(precision, torch.device(device))


def test_an_old_gpu_is_refused_by_its_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda:1")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    check_precision("fp32", device)
    for precision in ("tf32", "bf16"):
        with pytest.raises(ValueError, match=f"{precision} needs .* 8.0 .* cuda:1 has 7.5"):
            check_precision(precision, device)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))
    check_precision("tf32", device)
