"""Networks of equal cost: the width is the one that trying all of them finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kind_blocks import EVERY_KIND, block_with

from nni_blockqnn.blocks import kind_table
from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.costs import convolution_cost
from nni_blockqnn.blocks.layer import Layer
from nni_blockqnn.blocks.layer_kind import LayerKind
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.equal_cost import CostTarget, equal_cost
from nni_blockqnn.network.spec import FRAMES, PRESETS, NetworkSpec
from nni_blockqnn.space.match import Match
from nni_blockqnn.space.search_space import SearchSpace

SMALL = NetworkSpec(input_shape=(3, 8, 8), classes=10, filters=(4, 8), repeats=1)
POOLING = Block.parse([[1, 2, 3, 0, 0]])


def _tried(block: Block, spec: NetworkSpec, target: CostTarget) -> NetworkSpec | None:
    """The definition, word for word."""
    fitting = None
    for width in range(1, 4 * spec.filters[0] + 1):
        scaled = spec.with_width(width)
        if target.of_network(block, scaled) <= 1.05 * target.value:
            fitting = scaled
    if fitting is None or target.of_network(block, fitting) < 0.85 * target.value:
        return None
    return fitting


def _blocks(count: int) -> list[Block]:
    rng = np.random.default_rng(1)
    return [*NAMED_BLOCKS.values(), *(SearchSpace().random_block(rng) for _ in range(count))]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("project_input", [True, False])
@pytest.mark.parametrize(("filters", "repeats"), [((4, 8), 3), ((5, 7, 12), 1), ((6, 4), 2)])
def test_the_width_is_what_trying_all_finds(
    frame: str, project_input: bool, filters: tuple[int, ...], repeats: int
) -> None:
    spec = NetworkSpec(
        input_shape=(3, 8, 8),
        classes=10,
        filters=filters,
        repeats=repeats,
        frame=frame,
        project_input=project_input,
    )
    found = []
    for block in _blocks(1):
        own = estimate_cost(block, spec)
        for target in (CostTarget("flops", 3 * own.flops), CostTarget("params", own.params)):
            matched = equal_cost(block, spec, target)
            assert matched == _tried(block, spec, target)
            found.append(matched)
    assert any(found)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_at_its_own_cost_keeps_its_filters_or_widens_within_five_percent(
    preset: str,
) -> None:
    spec = NetworkSpec(preset)
    own = estimate_cost(NAMED_BLOCKS["residual"], spec).flops
    matched = equal_cost(NAMED_BLOCKS["residual"], spec, CostTarget("flops", own))
    assert matched is not None
    assert matched.filters[0] >= spec.filters[0]
    assert [n * spec.filters[0] for n in matched.filters] == [
        n * matched.filters[0] for n in spec.filters
    ]
    cost = estimate_cost(NAMED_BLOCKS["residual"], matched).flops
    wider = estimate_cost(NAMED_BLOCKS["residual"], spec.with_width(matched.filters[0] + 1)).flops
    assert own <= cost <= 1.05 * own < wider


def _name(value: Any) -> str | None:
    return getattr(value, "name", None)


@pytest.mark.parametrize(("kind", "kernel"), EVERY_KIND, ids=_name)
def test_every_layer_kind_is_matched(kind: LayerKind, kernel: int) -> None:
    block = block_with(kind, kernel)
    target = CostTarget("flops", 4 * estimate_cost(block, SMALL).flops)
    assert equal_cost(block, SMALL, target) == _tried(block, SMALL, target)


def test_a_kind_whose_cost_falls_with_its_channels_is_matched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four groups where they divide the channels: 8 filters cost less than 7."""

    def cost(inputs: int, outputs: int, kernel: int, area: int) -> Any:
        groups = 4 if inputs % 4 == 0 and outputs % 4 == 0 else 1
        return convolution_cost(inputs, outputs, kernel, area, groups)

    kind = LayerKind(
        type=197, name="grouped", label="g", colour="#ffffff", outputs="filters", cost=cost
    )
    monkeypatch.setitem(kind_table._TABLES["pcc"], kind.type, kind)
    monkeypatch.setitem(kind_table.PREDECESSORS, kind.type, 1)
    block = Block((Layer(1, kind.type, 3, 0, 0),))
    found = []
    for flops in range(5_000, 60_000, 2_500):
        matched = equal_cost(block, SMALL, CostTarget("flops", flops))
        assert matched == _tried(block, SMALL, CostTarget("flops", flops))
        found.append(matched)
    assert any(found)


def test_the_target_is_met_from_85_to_105_percent() -> None:
    block = NAMED_BLOCKS["residual"]
    cost = estimate_cost(block, SMALL.with_width(16)).flops  # the widest
    for percent, reached in ((84, True), (95, True), (106, True), (117, True), (118, False)):
        matched = equal_cost(block, SMALL, CostTarget("flops", cost * percent // 100))
        assert (matched is not None) == reached, percent


def test_exactly_105_percent_is_within() -> None:
    block, width = NAMED_BLOCKS["residual"], 7
    cost = estimate_cost(block, SMALL.with_width(width)).flops
    least = -(-100 * cost // 105)
    matched, below = (
        equal_cost(block, SMALL, CostTarget("flops", value)) for value in (least, least - 1)
    )
    assert matched is not None
    assert matched.filters[0] == width
    assert below is None or below.filters[0] < width


def test_a_block_of_poolings_is_not_widened_without_end() -> None:
    target = CostTarget("flops", estimate_cost(NAMED_BLOCKS["residual"], SMALL).flops * 50)
    assert equal_cost(POOLING, SMALL, target) is None


def test_a_target_below_the_narrowest_network_has_no_width() -> None:
    assert equal_cost(NAMED_BLOCKS["residual"], SMALL, CostTarget("flops", 10)) is None


def test_widths_end_where_a_stage_would_have_too_many_filters() -> None:
    spec = NetworkSpec(input_shape=(3, 8, 8), classes=10, filters=(1, 30_000), repeats=1)
    target = CostTarget("params", estimate_cost(POOLING, spec.with_width(2)).params)
    matched = equal_cost(POOLING, spec, target)
    assert matched is not None
    assert matched.filters == (2, 60_000)


def test_ratios_are_rounded_halves_up_and_to_one_filter_at_least() -> None:
    spec = NetworkSpec(input_shape=(3, 8, 8), classes=10, filters=(4, 6, 1))
    assert [spec.with_width(n).filters for n in (1, 3, 4, 5)] == [
        (1, 2, 1),
        (3, 5, 1),
        (4, 6, 1),
        (5, 8, 1),
    ]


@pytest.mark.parametrize(
    "given",
    [
        None,
        40,
        "residual",
        {},
        {"flops": 1, "params": 1},
        {"activations": 5},
        {"flops": 0},
        {"flops": -5},
        {"flops": 1.5},
        {"flops": True},
        {"params": "many"},
        {"flops": 2**63},
    ],
)
def test_what_is_no_target_is_refused_with_its_value(given: Any) -> None:
    value = next(iter(given.values())) if isinstance(given, dict) and len(given) == 1 else given
    with pytest.raises(ValueError, match="match") as caught:
        Match.of(given)
    assert repr(value) in str(caught.value) or repr(given) in str(caught.value)
