"""What only a CUDA GPU can show; ``benchmarks/on_gpu.py`` runs these, too."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nni_blockqnn import Block, NetworkSpec, build_network
from nni_blockqnn.data import ImageData, load_dataset
from nni_blockqnn.training import (
    Recipe,
    TrainingError,
    TrainingResult,
    check_precision,
    evaluate,
    train,
)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]

GPU = torch.device("cuda")
RECIPE = Recipe(epochs=4, batch_size=64, optimizer="adam", learning_rate=0.01, augment=True)
MODERN = [("fp32", 1e-3), ("tf32", 2e-2), ("bf16", 2e-1)]
"""Precisions, with how far losses may differ."""


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_dataset("digits", None, limit=720)


def network() -> nn.Module:
    return build_network(
        Block.parse([[1, 1, 3, 0, 0], [2, 2, 3, 1, 0], [3, 6, 0, 1, 2]]),
        NetworkSpec("digits", filters=(4, 8)),
    )


def trained(data: ImageData, **options: Any) -> TrainingResult:
    return train(network, data, RECIPE, **({"device": GPU} | options))


def weights(result: TrainingResult) -> Tensor:
    return torch.cat([value.flatten().double().cpu() for value in result.network.parameters()])


def skip_unless(precision: str) -> None:
    try:
        check_precision(precision, GPU)
    except ValueError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_it_learns_in_each_precision(digits: ImageData, precision: str) -> None:
    skip_unless(precision)
    result = trained(digits, precision=precision)
    assert result.accuracy > 50  # chance is 10
    found = evaluate(
        result.network, digits.valid, digits.mean, digits.std, device=GPU, precision=precision
    )
    assert found == pytest.approx(result.accuracy, abs=3)


def test_deterministic_kernels_give_the_same_weights(digits: ImageData) -> None:
    first, again = (weights(trained(digits, deterministic=True)) for _ in range(2))
    assert torch.equal(first, again)


@pytest.mark.parametrize(("precision", "tolerance"), MODERN)
def test_replayed_passes_train_as_ordinary_ones(
    digits: ImageData, precision: str, tolerance: float
) -> None:
    """Ten whole batches an epoch and a smaller one, which is not replayed."""
    skip_unless(precision)
    options: dict[str, Any] = {"precision": precision, "deterministic": True}
    ordinary, replayed = (trained(digits, cuda_graphs=on, **options) for on in (False, True))
    for one, other in zip(ordinary.epochs[:2], replayed.epochs[:2], strict=True):
        assert other.loss == pytest.approx(one.loss, rel=tolerance)
    assert replayed.accuracy > 50


def test_memory_that_runs_out_halves_the_micro_batch(digits: ImageData) -> None:
    class Greedy(nn.Module):
        """Asks for more than any GPU has, for more than 32 images at once."""

        def __init__(self) -> None:
            super().__init__()
            self.within = network()

        def forward(self, images: Tensor) -> Tensor:
            if self.training and len(images) > 32:
                torch.empty(2**45, dtype=torch.uint8, device=images.device)
            return self.within(images)

    with pytest.warns(UserWarning, match="out of memory with 64 images at once"):
        result = train(Greedy, digits, RECIPE, device=GPU)
    assert result.micro_batch == 32
    with pytest.raises(TrainingError):
        train(lambda: _never_fits(), digits, RECIPE, device=GPU)


def _never_fits() -> nn.Module:
    class Endless(nn.Linear):
        def forward(self, images: Tensor) -> Tensor:
            torch.empty(2**45, dtype=torch.uint8, device=images.device)
            return images

    return Endless(1, 1)
