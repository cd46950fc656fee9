"""Networks against a plain forward written down a second time, and what training relies on."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hand_made_blocks import EVERY_LAYER, EVERY_SEPARATE_LAYER, RESIDUAL, UNEQUAL_ADD
from kind_blocks import EVERY_KIND, block_with
from plain_block import unshare
from reference_network import Reference
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.kinds.separable import SEPARABLE
from nni_blockqnn.blocks.layer_kind import LayerKind
from nni_blockqnn.model_space import build_network
from nni_blockqnn.model_space._block import BlockModule
from nni_blockqnn.model_space._layers import Add
from nni_blockqnn.network.spec import FRAMES, PRESETS, NetworkSpec
from nni_blockqnn.network.widths import block_widths
from nni_blockqnn.space.search_space import SearchSpace


@pytest.mark.slow
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_and_frame_gives_logits(preset: str, frame: str) -> None:
    spec = NetworkSpec(preset, frame=frame)
    channels, *size = spec.input_shape
    images = torch.randn(2, channels, *(min(side, 64) for side in size))
    logits = build_network(RESIDUAL, spec)(images)
    if frame == "upsample":  # of the first stage's size
        expected = (side >> spec.stem_pools for side in images.shape[2:])
        assert logits.shape == (2, spec.classes, *expected)
    else:
        assert logits.shape == (2, spec.classes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoding", "extra_kinds", "blocks"),
    [
        ("pcc", (), [RESIDUAL, UNEQUAL_ADD, EVERY_LAYER]),
        ("separate", (), [EVERY_SEPARATE_LAYER]),
        ("pcc", ("separable",), [block_with(SEPARABLE, 3), block_with(SEPARABLE, 5)]),
    ],
)
@pytest.mark.parametrize("project_input", [True, False])
@pytest.mark.parametrize("frame", FRAMES)
def test_values_and_gradients_equal_the_references(
    frame: str,
    project_input: bool,
    encoding: str,
    extra_kinds: tuple[str, ...],
    blocks: list[Block],
) -> None:
    space = SearchSpace(encoding=encoding, extra_kinds=extra_kinds)
    rng = np.random.default_rng(FRAMES.index(frame) + 3 * project_input)
    blocks = [*blocks, *(space.random_block(rng) for _ in range(10))]
    for number, block in enumerate(blocks):
        convs = 1 + number % 3
        spec = NetworkSpec(
            input_shape=(3, 9, 8),
            classes=5,
            filters=(4, 6),
            repeats=2 if len(block.layers) <= 10 else 1,  # bare width grows from block to block
            stem_convs=convs,
            stem_pools=min(convs - 1, 1),
            project_input=project_input,
            frame=frame,
        )
        network = _with_all_weights_random(build_network(block, spec), seed=number)
        images = torch.randn(3, 3, 9, 8, dtype=torch.float64, requires_grad=True)
        weights = [images, *network.parameters()]
        values, gradients = _values_and_gradients(network(images), weights)
        reference = Reference(network, block, spec).logits(images)
        expected_values, expected_gradients = _values_and_gradients(reference, weights)
        where = f"{block} in {spec}"
        torch.testing.assert_close(values, expected_values, msg=where)
        torch.testing.assert_close(gradients, expected_gradients, rtol=1e-6, atol=1e-6, msg=where)


@pytest.mark.parametrize(
    ("rows", "encoding", "calls"),
    [
        # three PCCs read the input, one by the name of a pooling of kernel 1
        (
            [
                [1, 4, 0, 0, 0],
                [2, 1, 3, 1, 0],
                [3, 3, 1, 1, 0],
                [4, 1, 1, 3, 0],
                [5, 1, 5, 1, 0],
            ],
            "pcc",
            {"relu": 1, "cat": 1},
        ),
        # nobody but the second PCC reads the first one, so it is rectified where it lies
        ([[1, 1, 3, 0, 0], [2, 1, 1, 1, 0]], "pcc", {"relu": 1, "relu_": 1}),
        # a leaf and a pooling need it as it is
        ([[1, 1, 3, 0, 0], [2, 1, 1, 1, 0], [3, 2, 3, 1, 0]], "pcc", {"relu": 2, "cat": 1}),
        # concats of concats: no map is copied before the leaves are put side by side
        (
            [
                [1, 1, 3, 0, 0],
                [2, 2, 3, 1, 0],
                [3, 6, 0, 1, 2],
                [4, 3, 3, 1, 0],
                [5, 6, 0, 3, 4],
            ],
            "pcc",
            {"relu": 1, "cat": 1},
        ),
        # a concat that two PCCs read is put together and rectified once, and so are its parts for
        # the output
        (
            [
                [1, 1, 3, 0, 0],
                [2, 2, 3, 1, 0],
                [3, 6, 0, 1, 2],
                [4, 1, 3, 3, 0],
                [5, 1, 1, 3, 0],
            ],
            "pcc",
            {"relu": 1, "relu_": 1, "cat": 2},
        ),
        # a sum over the operand that only it reads; the input is not the block's own
        ([[1, 4, 0, 0, 0], [2, 3, 3, 1, 0], [3, 5, 0, 1, 2]], "pcc", {"add_": 1}),
        ([[1, 4, 0, 0, 0], [2, 4, 0, 1, 0], [3, 5, 0, 1, 2]], "pcc", {"add": 1}),
        # the gradient of a ReLU needs its output
        (
            [[1, 4, 0, 0, 0], [2, 8, 0, 1, 0], [3, 5, 0, 1, 2]],
            "separate",
            {"relu": 1, "add": 1},
        ),
    ],
)
def test_nothing_is_computed_or_copied_twice(
    rows: list[list[int]], encoding: str, calls: dict[str, int]
) -> None:
    block = Block.parse(rows, encoding=encoding)
    module = BlockModule(block, block_widths(block, channels=3, filters=3, project_input=False))
    x = torch.randn(2, 3, 4, 4)
    before = x.clone()
    with Calls() as counted:
        module(x)
    assert counted.of("relu", "relu_", "cat", "add", "add_") == calls
    assert torch.equal(x, before)


@pytest.mark.parametrize("block", [EVERY_LAYER, EVERY_SEPARATE_LAYER])
def test_the_benchmarks_unshared_block_is_the_same_function(block: Block) -> None:
    network = build_network(block, NetworkSpec("digits", repeats=2, project_input=False))
    images = torch.randn(4, 1, 8, 8)
    expected = network(images)
    with Calls() as shared:
        network(images)
    unshare(network, block)
    with Calls() as unshared:
        assert torch.equal(network(images), expected)
    assert shared.of("relu_")
    assert not unshared.of("relu_")


class Calls(TorchDispatchMode):
    """Counts PyTorch's operations on tensors of four dimensions by their names."""

    def __init__(self) -> None:
        super().__init__()
        self._count: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.dim() == 4:
            self._count[func.overloadpacket.__name__] += 1
        return result

    def of(self, *names: str) -> dict[str, int]:
        """How often those of these names were called that were called."""
        return {name: self._count[name] for name in names if self._count[name]}


@pytest.mark.parametrize(("kind", "kernel"), EVERY_KIND)
@pytest.mark.parametrize("project_input", [True, False])
def test_every_kind_in_a_block_is_the_same_shared_or_layer_by_layer(
    project_input: bool, kind: LayerKind, kernel: int
) -> None:
    """Nothing that a layer or its gradient needs is overwritten."""
    block = block_with(kind, kernel)
    network = build_network(block, NetworkSpec("digits", project_input=project_input)).double()
    images = torch.randn(4, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    weights = [images, *network.parameters()]
    found = _values_and_gradients(network(images), weights)
    unshare(network, block)
    torch.testing.assert_close(found, _values_and_gradients(network(images), weights))


@pytest.mark.parametrize(("kind", "kernel"), EVERY_KIND)
def test_every_kind_keeps_its_input_and_the_maps_size(kind: LayerKind, kernel: int) -> None:
    if kind.passes_on(kernel):
        return
    outputs = 6 if kind.outputs == "filters" else 4
    x = torch.randn(2, 4, 7, 5)
    before = x.clone()
    assert kind(4, outputs, kernel)(x).shape == (2, outputs, 7, 5)
    assert torch.equal(x, before)


def test_relu_convolution_and_batch_norm_are_a_pcc() -> None:
    rows = [[1, 8, 0, 0, 0], [2, 1, 3, 1, 0], [3, 9, 0, 2, 0]]
    spec = NetworkSpec("digits", repeats=2)
    three_layers = build_network(Block.parse(rows, encoding="separate"), spec)
    pcc = build_network(Block.parse([[1, 1, 3, 0, 0]]), spec)
    pairs = zip(three_layers.parameters(), pcc.parameters(), strict=True)
    with torch.no_grad():
        for mine, other in pairs:
            mine.copy_(other)
    images = torch.randn(4, 1, 8, 8)
    assert torch.equal(three_layers(images), pcc(images))


@pytest.mark.parametrize(
    ("channels", "project_input", "projected"),
    [
        (3, False, (None, 6)),  # x has the filters, x next to its pooling has not
        (5, True, (None, 6)),  # nor after the entry's projection
        (6, False, (6, 12)),  # neither has
    ],
)
def test_add_projects_the_operands_whose_width_is_not_the_filters(
    channels: int, project_input: bool, projected: tuple[int | None, int | None]
) -> None:
    block = Block.parse([[1, 4, 0, 0, 0], [2, 3, 3, 1, 0], [3, 6, 0, 1, 2], [4, 5, 0, 1, 3]])
    module = BlockModule(block, block_widths(block, channels, 3, project_input))
    assert _projections(module.layers["4"]) == projected
    assert module(torch.randn(2, channels, 4, 4)).shape == (2, 3, 4, 4)


def test_add_of_equal_widths_adds_them_as_they_are() -> None:
    block = Block.parse([[1, 4, 0, 0, 0], [2, 2, 3, 1, 0], [3, 5, 0, 1, 2]])
    module = BlockModule(block, block_widths(block, channels=5, filters=3, project_input=False))
    assert not list(module.parameters())
    negative = -torch.ones(1, 5, 4, 4)  # no padding zero may win the maximum
    assert torch.equal(module(negative), 2 * negative)


def test_average_pooling_leaves_the_padding_out() -> None:
    block = Block.parse([[1, 3, 3, 0, 0]])
    module = BlockModule(block, block_widths(block, channels=1, filters=1, project_input=True))
    images = torch.arange(9.0).reshape(1, 1, 3, 3)
    pooled = module(images)[0, 0]
    assert pooled[0, 0] == (0 + 1 + 3 + 4) / 4
    assert pooled[1, 2] == (1 + 2 + 4 + 5 + 7 + 8) / 6
    assert pooled[1, 1] == 4


@pytest.mark.parametrize("pooling", [2, 3])
def test_pooling_of_kernel_1_and_identity_return_their_input(pooling: int) -> None:
    block = Block.parse([[1, 4, 0, 0, 0], [2, pooling, 1, 1, 0]])
    module = BlockModule(block, block_widths(block, channels=2, filters=2, project_input=True))
    images = torch.randn(1, 2, 3, 3)
    assert module(images) is images


@pytest.mark.parametrize("block", [EVERY_LAYER, EVERY_SEPARATE_LAYER])
@pytest.mark.parametrize("frame", FRAMES)
def test_gradient_flows_to_every_parameter(frame: str, block: Block) -> None:
    torch.manual_seed(0)
    spec = NetworkSpec("digits", repeats=2, stem_convs=2, project_input=False, frame=frame)
    network = build_network(block, spec)
    logits = network(torch.randn(8, 1, 8, 8))
    logits = logits.flatten(2).mean(2) if frame == "upsample" else logits
    F.cross_entropy(logits, torch.arange(8)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_channels_last_gives_the_same_logits() -> None:
    network, images = _of_every_layer()
    logits = network(images)
    network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(images.to(memory_format=torch.channels_last)), logits)


@pytest.mark.skipif(not hasattr(torch.export, "Dim"), reason="needs PyTorch 2.2")
def test_an_exported_program_gives_the_same_logits() -> None:
    network, images = _of_every_layer()
    batch = torch.export.Dim("batch")
    exported = torch.export.export(network, (images[:2],), dynamic_shapes=({0: batch},))
    torch.testing.assert_close(exported.module()(images), network(images))


def _of_every_layer() -> tuple[nn.Module, Tensor]:
    """A network with random weights, and images for it."""
    network = build_network(EVERY_LAYER, NetworkSpec("digits", frame="residual"))
    images = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    return _with_all_weights_random(network, seed=0).eval(), images


def _values_and_gradients(
    logits: Tensor, weights: list[Tensor]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The logits, and the gradients of a loss that treats no two of them alike."""
    wanted = torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view_as(logits)
    loss = (logits - wanted).square().mean()
    return logits.detach(), torch.autograd.grad(loss, weights)


def _projections(add: Add) -> tuple[int | None, ...]:
    """Input channels of the projection of each operand, None where there is none."""
    convs = [getattr(operand, "conv", None) for operand in (add.pred1, add.pred2)]
    return tuple(conv.in_channels if conv is not None else None for conv in convs)


def _with_all_weights_random(network: nn.Module, seed: int) -> nn.Module:
    """Biases and batch norm weights too, which start at 0 and 1; double precision."""
    torch.manual_seed(seed)
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    return network.double()
