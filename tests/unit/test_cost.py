"""Costs: worked out by hand, and against ptflops and real forward passes to the unit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from kind_blocks import EVERY_KIND, block_with
from plain_block import unshare
from ptflops import get_model_complexity_info
from torch.utils._python_dispatch import TorchDispatchMode

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer import Layer, LayerType
from nni_blockqnn.blocks.layer_kind import LayerKind
from nni_blockqnn.model_space import build_network
from nni_blockqnn.network.cost import Cost, block_cost, estimate_cost
from nni_blockqnn.network.spec import FRAMES, NetworkSpec
from nni_blockqnn.space.search_space import SearchSpace

RESIDUAL = Block.parse([[1, 4, 0, 0, 0], [2, 1, 3, 1, 0], [3, 1, 3, 2, 0], [4, 5, 0, 1, 3]])
"""The right block of the paper's Fig. 2."""
DOUBLING = Block.parse([[1, 4, 0, 0, 0], [2, 4, 0, 1, 0], [3, 6, 0, 1, 2]])
"""x next to itself: no weights, twice the width."""
UNEQUAL_ADD = Block.parse([[1, 1, 1, 0, 0], [2, 2, 3, 1, 0], [3, 6, 0, 1, 2], [4, 5, 0, 2, 3]])
"""A convolution (F), a max pooling of it (F), both concatenated (2F), and pooling + concat."""


def test_residual_block_in_two_stages_by_hand() -> None:
    spec = NetworkSpec(input_shape=(1, 4, 4), classes=3, filters=(2, 4), repeats=1)
    # a PCC writes ReLU + convolution + batch norm; its params are weights + 2 a filter
    stem = Cost(
        flops=1 * 2 * 9 * 16,
        params=1 * 2 * 9 + 2 * 2,
        activations=(2 + 2) * 16,  # no ReLU before it
    )
    stage1 = Cost(  # two 3x3 PCCs of width 2 on 4x4, and an add
        flops=2 * (2 * 2 * 9 * 16),
        params=2 * (2 * 2 * 9 + 2 * 2),
        activations=2 * (3 * 2 * 16) + 2 * 16,
    )
    stage2 = Cost(  # a 1x1 PCC from 2 to 4 on 2x2, two 3x3 PCCs of width 4, and an add
        flops=2 * 4 * 4 + 2 * (4 * 4 * 9 * 4),
        params=2 * 4 + 2 * 4 + 2 * (4 * 4 * 9 + 2 * 4),
        activations=(2 + 4 + 4) * 4 + 2 * (3 * 4 * 4) + 4 * 4,
    )
    pool = Cost(0, 0, activations=2 * 4)
    head = Cost(
        flops=4 * 3 + 3,
        params=4 * 3 + 3,
        activations=4 * 4 + 4 + 3,  # ReLU, global average, logits
    )
    assert _sum(stem, stage1, pool, stage2, head) == (2639, 437, 471)
    assert estimate_cost(RESIDUAL, spec) == (2639, 437, 471)
    assert block_cost(RESIDUAL, spec) == _sum(stage1, stage2) == (2336, 400, 376)


def test_an_add_projects_the_operand_whose_width_is_not_the_stages_filters() -> None:
    spec = NetworkSpec(input_shape=(1, 2, 2), classes=1, filters=(3,), repeats=1)
    conv = Cost(3 * 3 * 4, 3 * 3 + 6, (3 + 3 + 3) * 4)
    max_pool = Cost(0, 0, 3 * 4)
    concat = Cost(0, 0, 6 * 4)
    projection = Cost(6 * 3 * 4, 6 * 3 + 6, (6 + 3 + 3) * 4)
    add = Cost(0, 0, 3 * 4)
    assert block_cost(UNEQUAL_ADD, spec) == _sum(conv, max_pool, concat, projection, add)


def test_a_block_of_separate_layers_by_hand() -> None:
    rows = [[1, 1, 3, 0, 0], [2, 8, 0, 1, 0], [3, 9, 0, 1, 0], [4, 6, 0, 2, 3], [5, 9, 0, 4, 0]]
    spec = NetworkSpec(input_shape=(1, 4, 4), classes=3, filters=(2, 4), repeats=1)
    stage1 = Cost(  # convolution, ReLU and batch norm of it, both concatenated, batch norm of 4
        flops=2 * 2 * 9 * 16,
        params=2 * 2 * 9 + 2 * 2 + 2 * 4,
        activations=(2 + 2 + 2 + 4 + 4) * 16,
    )
    stage2 = Cost(  # the same of width 4: 4 channels enter, so none are projected
        flops=4 * 4 * 9 * 4,
        params=4 * 4 * 9 + 2 * 4 + 2 * 8,
        activations=(4 + 4 + 4 + 8 + 8) * 4,
    )
    block = Block.parse(rows, encoding="separate")
    assert block_cost(block, spec) == _sum(stage1, stage2) == (1152, 216, 336)
    assert estimate_cost(block, spec) == _measured(block, spec)


@pytest.mark.parametrize("project_input", [True, False])
def test_relu_convolution_and_batch_norm_cost_a_pcc(project_input: bool) -> None:
    rows = [[1, 8, 0, 0, 0], [2, 1, 5, 1, 0], [3, 9, 0, 2, 0]]
    spec = NetworkSpec("cifar10", project_input=project_input)
    pcc = Block.parse([[1, 1, 5, 0, 0]])
    assert estimate_cost(Block.parse(rows, encoding="separate"), spec) == estimate_cost(pcc, spec)


def test_frames_by_hand() -> None:
    fields = {"input_shape": (1, 1, 1), "classes": 1, "filters": (2,), "repeats": 1}
    stem = Cost(18, 22, 4)
    block = Cost(0, 0, 4)  # the concat
    shortcut = Cost(8, 16, 2 + 4 + 4)  # 1x1 PCC from 2 to 4
    total = Cost(0, 0, 4)
    linear = Cost(5, 5, 4 + 4 + 1)  # ReLU, global average, logits
    residual = _sum(stem, block, shortcut, total, linear)
    assert estimate_cost(DOUBLING, NetworkSpec(**fields, frame="residual")) == residual

    pccs = _sum(Cost(8, 12, 4 + 2 + 2), Cost(4, 8, 2 + 2 + 2))  # 1x1 from 4 to 2, from 2 to 2
    conv = Cost(3, 3, 2 + 1 + 1)  # ReLU, convolution, global average
    nin = _sum(stem, block, pccs, conv)
    assert estimate_cost(DOUBLING, NetworkSpec(**fields, frame="nin")) == nin

    for frame in FRAMES:  # what a frame adds is not the block's
        assert block_cost(DOUBLING, NetworkSpec(**fields, frame=frame)) == block


def test_width_that_doubles_a_hundred_times_does_not_overflow() -> None:
    spec = NetworkSpec(
        input_shape=(1, 1, 1), classes=1, filters=(1,), repeats=100, project_input=False
    )
    assert estimate_cost(DOUBLING, spec) == Cost(
        flops=9 + 2**100 + 1,
        params=9 + 2 + 2**100 + 1,
        activations=2 + sum(2**n for n in range(1, 101)) + 2 * 2**100 + 1,
    )


def test_stage_maps_of_odd_size_are_rounded_down() -> None:
    odd, even = (
        NetworkSpec(input_shape=(1, size, size), classes=2, filters=(2, 2), repeats=1)
        for size in (5, 4)
    )
    larger_map = 25 - 16  # only the stem and the first stage see the fifth row and column
    flops = larger_map * (1 * 2 * 9 + 2 * (2 * 2 * 9))
    assert estimate_cost(RESIDUAL, odd).flops == estimate_cost(RESIDUAL, even).flops + flops


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoding", "extra_kinds", "count"),
    [("pcc", (), 28), ("separate", (), 14), ("pcc", ("separable",), 14)],
)
@pytest.mark.parametrize("project_input", [True, False])
@pytest.mark.parametrize("frame", FRAMES)
def test_equals_ptflops_and_a_forward_pass(
    frame: str, project_input: bool, encoding: str, extra_kinds: tuple[str, ...], count: int
) -> None:
    specs = [
        NetworkSpec(
            input_shape=(3, 8, 8),
            classes=10,
            filters=(4, 8),
            repeats=1,
            stem_convs=convs,
            stem_pools=pools,
            project_input=project_input,
            frame=frame,
        )
        for convs, pools in itertools.product((1, 2, 3), (0, 1))
    ]
    space = SearchSpace(encoding=encoding, extra_kinds=extra_kinds)
    blocks = _random_blocks(space, count, seed=FRAMES.index(frame) + 3 * project_input)
    for block, spec in zip(blocks, itertools.cycle(specs), strict=False):
        assert estimate_cost(block, spec) == _measured(block, spec), f"{block} in {spec}"


@pytest.mark.parametrize("project_input", [True, False])
@pytest.mark.parametrize("frame", FRAMES)
def test_equals_them_with_repeats_and_a_deep_stem(frame: str, project_input: bool) -> None:
    spec = NetworkSpec(
        input_shape=(1, 16, 16),
        classes=10,
        filters=(4, 8),
        repeats=3,
        stem_convs=3,
        stem_pools=2,
        project_input=project_input,
        frame=frame,
    )
    assert estimate_cost(UNEQUAL_ADD, spec) == _measured(UNEQUAL_ADD, spec)


@pytest.mark.parametrize(("kind", "kernel"), EVERY_KIND)
@pytest.mark.parametrize("project_input", [True, False])
@pytest.mark.parametrize("frame", FRAMES)
def test_every_kind_costs_what_its_module_does(
    frame: str, project_input: bool, kind: LayerKind, kernel: int
) -> None:
    spec = NetworkSpec("digits", repeats=2, project_input=project_input, frame=frame)
    block = block_with(kind, kernel)
    assert estimate_cost(block, spec) == _measured(block, spec)


def test_a_separable_convolution_by_hand() -> None:
    spec = NetworkSpec(input_shape=(1, 4, 4), classes=3, filters=(2,), repeats=1)
    block = Block.parse([[1, 11, 5, 0, 0]], extra_kinds=["separable"])
    assert block_cost(block, spec) == Cost(
        flops=(2 * 25 + 2 * 2) * 16,  # a 5x5 kernel a channel, then 1x1 from 2 to 2
        params=2 * 25 + 2 * 2 + 2 * 2,
        activations=(2 + 2 + 2 + 2) * 16,  # ReLU, depthwise, pointwise, batch norm
    )


def _measured(block: Block, spec: NetworkSpec) -> Cost:
    """Each layer by itself; the network as it is writes no more."""
    network = build_network(block, spec)
    image = torch.zeros(1, *spec.input_shape)
    with ElementCounter() as shared:
        network(image)
    unshare(network, block)
    with ElementCounter() as counter:
        network(image)
    assert shared.elements <= counter.elements
    flops, _ = get_model_complexity_info(
        network,
        spec.input_shape,
        backend="aten",
        as_strings=False,
        print_per_layer_stat=False,
    )
    params = sum(parameter.numel() for parameter in network.parameters())
    return Cost(flops, params, counter.elements)


class ElementCounter(TorchDispatchMode):
    """Counts the elements of the first output of each operation that writes floating numbers.

    The others are views, the indices of max pooling and the statistics of batch norm.
    """

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        output = func(*args, **(kwargs or {}))
        first = output[0] if isinstance(output, (tuple, list)) else output
        if not func.is_view and first.is_floating_point():
            self.elements += first.numel()
        return output


def _random_blocks(space: SearchSpace, count: int, seed: int) -> Iterator[Block]:
    """Half as the search draws them, half uniform over rows: most of these have 22 layers."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield _long_block(space, rng) if rng.random() < 0.5 else space.random_block(rng)


def _long_block(space: SearchSpace, rng: np.random.Generator) -> Block:
    layers: list[Layer] = []
    rows = space.successors(None)
    while (layer := rows[rng.integers(len(rows))]).type != LayerType.TERMINAL:
        layers.append(layer)
        rows = space.successors(layer)
    return Block(tuple(layers), space.encoding)


def _sum(*costs: Cost) -> Cost:
    return Cost(*map(sum, zip(*costs, strict=True)))
