"""What a GPU is told by default, as far as a CPU can tell, and passes that are replayed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nni_blockqnn import Block, NetworkSpec, build_network
from nni_blockqnn.data import ImageData, load_dataset
from nni_blockqnn.training import Recipe, World, default_precision, loop, train
from nni_blockqnn.training._graphs import check_graphs, record_passes
from nni_blockqnn.trials.arguments import trial_arguments, trial_parser

CPU = torch.device("cpu")
GPU = torch.device("cuda")
RECIPE = Recipe(epochs=2, batch_size=64, optimizer="adam", learning_rate=0.01)


def with_gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)


def chosen(*words: str) -> str:
    namespace = trial_parser(under_nni=True).parse_args(["--dataset", "digits", *words])
    return trial_arguments(namespace).training.precision


@pytest.mark.parametrize(
    ("words", "ampere", "turing"),
    [
        ([], "bf16", "fp32"),
        (["--precision", "auto"], "bf16", "fp32"),
        (["--recipe", "final"], "tf32", "fp32"),
        (["--recipe", "own:recipe"], "tf32", "fp32"),
        (["--precision", "fp32"], "fp32", "fp32"),
        (["--precision", "tf32"], "tf32", "tf32"),  # refused later, by its capability
        (["--device", "cpu"], "fp32", "fp32"),
        (["--device", "cuda:7"], "fp32", "fp32"),  # refused later: there is none
    ],
)
def test_the_precision_that_suits_the_device_and_the_recipe(
    monkeypatch: pytest.MonkeyPatch, words: list[str], ampere: str, turing: str
) -> None:
    with_gpu(monkeypatch, (8, 0))
    assert chosen(*words) == ampere
    with_gpu(monkeypatch, (7, 5))
    assert chosen(*words) == turing


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_without_a_cuda_gpu_it_is_fp32(device: str, final: bool) -> None:
    assert default_precision(torch.device(device), final=final) == "fp32"


@pytest.mark.parametrize(
    ("device", "world", "message"),
    [
        (CPU, World(0, 1), "cuda_graphs needs a CUDA GPU, and the device is cpu: leave it out"),
        (GPU, World(1, 2), "cuda_graphs is for one process, and 2 share this training"),
    ],
)
def test_where_passes_cannot_be_replayed(device: torch.device, world: World, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_graphs(device, world)


def network() -> nn.Module:
    return build_network(Block.parse([[1, 1, 3, 0, 0]]), NetworkSpec("digits", filters=(4, 8)))


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The batches that were replayed; a stand-in for PyTorch's recorder, which needs a GPU."""
    sizes: list[int] = []

    def recorded(module: nn.Module, samples: tuple[Tensor, ...]) -> nn.Module:
        assert module.training
        ordinary: Callable[[Tensor], Tensor] = module.forward
        ordinary(*samples).sum().backward()  # it warms up, which changes statistics and gradients

        def forward(images: Tensor) -> Tensor:
            sizes.append(len(images))
            return ordinary(images)

        module.forward = forward
        return module

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", recorded)
    return sizes


def test_only_training_batches_of_the_recorded_shape_are_replayed(replays: list[int]) -> None:
    made = network().train()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    record_passes(made, torch.randn(8, 1, 8, 8), "fp32")
    for name, value in made.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in made.parameters())
    for count in (8, 5, 8):
        made(torch.randn(count, 1, 8, 8))
    made.eval()(torch.randn(8, 1, 8, 8))
    assert replays == [8, 8]


@pytest.mark.parametrize(("micro_batch", "replayed"), [(None, [64, 64] * 2), (32, [])])
def test_a_training_that_replays_ends_as_an_ordinary_one(
    monkeypatch: pytest.MonkeyPatch,
    replays: list[int],
    micro_batch: int | None,
    replayed: list[int],
) -> None:
    """Two whole batches an epoch and a smaller one; none of those that are cut in two."""
    monkeypatch.setattr(loop, "check_graphs", lambda *_: None)
    data: ImageData = load_dataset("digits", None, limit=180)
    assert len(data.train) == 162
    weights = [
        train(
            network, data, RECIPE, device=CPU, cuda_graphs=graphs, micro_batch=micro_batch
        ).network.state_dict()
        for graphs in (False, True)
    ]
    assert replays == replayed
    for name, value in weights[0].items():
        assert torch.equal(weights[1][name], value), name
