"""What a network costs, from the structure codes alone: no PyTorch, no sampling, exact."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.costs import Cost, map_cost, total_cost
from nni_blockqnn.blocks.kinds.table1 import PCC, conv_bn_cost
from nni_blockqnn.blocks.layer_kind import LayerKind
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.network.widths import BlockWidths, StageWidths, network_widths, way_up

__all__ = ["Cost", "block_cost", "estimate_cost"]


def estimate_cost(block: Block, spec: NetworkSpec) -> Cost:
    """Cost of the whole network that `build_network(block, spec)` builds, equal to the unit."""
    stages = network_widths(block, spec)
    blocks = _blocks_cost(block, stages, spec)
    frame = _frame_costs(block, stages, spec)
    return total_cost(_stem_cost(spec), blocks, *frame, _head(block, stages, spec))


def block_cost(block: Block, spec: NetworkSpec) -> Cost:
    """The blocks' own share: all repetitions with their input projections.

    Left out are the stem, the poolings between stages, what the frame adds, and the head.
    """
    return _blocks_cost(block, network_widths(block, spec), spec)


def _blocks_cost(block: Block, stages: tuple[StageWidths, ...], spec: NetworkSpec) -> Cost:
    areas = _stage_areas(spec)
    upwards = ((up.stage, areas[number - 1]) for number, up in way_up(block, spec, stages))
    return total_cost(
        *(
            _stage_cost(block, stage.blocks, area)
            for stage, area in (*zip(stages, areas, strict=True), *upwards)
        )
    )


def _stage_cost(block: Block, blocks: tuple[BlockWidths, ...], area: int) -> Cost:
    costs = []
    inner: dict[int, Cost] = {}  # by the channels that the block's layers see
    for widths in blocks:
        if widths.input != widths.channels[0]:
            costs.append(_pcc(widths.input, widths.filters, 1, area))
        if widths.channels[0] not in inner:
            inner[widths.channels[0]] = _layers_cost(block, widths, area)
        costs.append(inner[widths.channels[0]])
    return total_cost(*costs)


def _layers_cost(block: Block, widths: BlockWidths, area: int) -> Cost:
    costs = []
    channels = widths.channels
    for layer, kind, projected in zip(block.layers, block.kinds, widths.projected, strict=True):
        for predecessor in projected:
            costs.append(_pcc(channels[predecessor], widths.filters, 1, area))
        if not kind.passes_on(layer.kernel):
            inputs, outputs = channels[layer.pred1], channels[layer.index]
            costs.append(_layer_cost(kind, inputs, outputs, layer.kernel, area))
    if len(block.leaves) > 1:
        costs.append(map_cost(widths.output, area))
    return total_cost(*costs)


@lru_cache(maxsize=16_384)
def _layer_cost(kind: LayerKind, inputs: int, outputs: int, kernel: int, area: int) -> Cost:
    """Cached, since a network has hundreds of layers but a few different ones."""
    return kind.cost(inputs, outputs, kernel, area)


def _pcc(inputs: int, outputs: int, kernel: int, area: int) -> Cost:
    return _layer_cost(PCC, inputs, outputs, kernel, area)


def _stem_cost(spec: NetworkSpec) -> Cost:
    channels, height, width = spec.input_shape
    filters = spec.filters[0]
    costs = [conv_bn_cost(channels, filters, 3, height * width)]
    for number in range(1, spec.stem_convs):
        halvings = min(number, spec.stem_pools)
        area = (height >> halvings) * (width >> halvings)
        costs.append(_pcc(filters, filters, 3, area))
    for halvings in range(1, spec.stem_pools + 1):
        costs.append(map_cost(filters, (height >> halvings) * (width >> halvings)))
    return total_cost(*costs)


def _frame_costs(
    block: Block, stages: tuple[StageWidths, ...], spec: NetworkSpec
) -> Iterator[Cost]:
    areas = _stage_areas(spec)
    for stage, pooled_area in zip(stages, areas[1:], strict=False):  # none follows the last stage
        yield map_cost(stage.output, pooled_area)
    for stage, area in zip(stages, areas, strict=True):
        if spec.frame == "nin":
            yield _pcc(stage.blocks[-1].output, stage.filters, 1, area)
            yield _pcc(stage.filters, stage.filters, 1, area)
        elif spec.frame == "residual":
            for widths in stage.blocks:
                yield map_cost(widths.output, area)  # the sum with the short-cut
                if widths.input != widths.output:
                    yield _pcc(widths.input, widths.output, 1, area)

    for number, up in way_up(block, spec, stages):
        filters, area = up.stage.filters, areas[number - 1]
        if up.deep != filters:
            yield _pcc(up.deep, filters, 1, areas[number])
        if up.skip != filters:
            yield _pcc(up.skip, filters, 1, area)
        yield map_cost(2 * filters, area)  # the doubled map, and the sum


def _head(block: Block, stages: tuple[StageWidths, ...], spec: NetworkSpec) -> Cost:
    channels, classes = stages[-1].output, spec.classes
    area = _stage_areas(spec)[-1]
    if spec.frame == "upsample":
        for _, up in way_up(block, spec, stages):
            channels = up.stage.output
        area = _stage_areas(spec)[0]
    params = (channels + 1) * classes  # of the 1x1 convolution or the linear layer, with bias
    if spec.frame == "upsample":
        return Cost(params * area, params, channels * area + classes * area)
    if spec.frame == "nin":
        return Cost(params * area, params, channels * area + classes * area + classes)
    return Cost(params, params, channels * area + channels + classes)


def _stage_areas(spec: NetworkSpec) -> list[int]:
    return [height * width for height, width in spec.stage_sizes]
