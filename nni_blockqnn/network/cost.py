"""What a network costs, from the structure codes alone: no PyTorch, no sampling, exact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer import Layer, LayerType
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.network.widths import BlockWidths, StageWidths, network_widths

_WRITING = (LayerType.ADD, LayerType.CONCAT, LayerType.RELU)


class Cost(NamedTuple):
    """Cost of a network or a part of it: Python integers, which a growing width cannot overflow.

    Attributes:
        flops: multiply-accumulates of the convolution and linear layers for one image, plus one
            for each output of a layer with bias: what ptflops counts with its aten backend.
        params: weights and biases that are trained.
        activations: elements of all feature maps that the layers write for one image, each layer by
            itself: the outputs of every ReLU, convolution, batch normalisation, pooling, add and
            concat, the global average pooling and the logits. Identities, poolings of kernel 1 and
            the "concat" of a single leaf write nothing. `build_network` writes no more, and less
            where PCCs read the same map or concats read each other.
    """

    flops: int
    params: int
    activations: int


_NOTHING = Cost(0, 0, 0)


def estimate_cost(block: Block, spec: NetworkSpec) -> Cost:
    """Cost of the whole network that `build_network(block, spec)` builds, equal to the unit."""
    stages = network_widths(block, spec)
    frame = _total(_frame_costs(stages, spec))
    return _total((_stem_cost(spec), _blocks_cost(block, stages, spec), frame, _head(stages, spec)))


def block_cost(block: Block, spec: NetworkSpec) -> Cost:
    """The blocks' own share: all repetitions with their input projections.

    Left out are the stem, the poolings between stages, what the frame adds, and the head.
    """
    return _blocks_cost(block, network_widths(block, spec), spec)


def _blocks_cost(block: Block, stages: tuple[StageWidths, ...], spec: NetworkSpec) -> Cost:
    return _total(
        _stage_cost(block, stage.blocks, area)
        for stage, area in zip(stages, _stage_areas(spec), strict=True)
    )


def _stage_cost(block: Block, blocks: tuple[BlockWidths, ...], area: int) -> Cost:
    """Blocks that differ in their input's channels alone are worked out once."""
    costs = []
    inner = {}
    for widths in blocks:
        if widths.input != widths.channels[0]:
            costs.append(_pcc(widths.input, widths.filters, 1, area))
        if widths.channels[0] not in inner:
            inner[widths.channels[0]] = _layers_cost(block, widths, area)
        costs.append(inner[widths.channels[0]])
    return _total(costs)


def _layers_cost(block: Block, widths: BlockWidths, area: int) -> Cost:
    costs = []
    for layer, projected in zip(block.layers, widths.projected, strict=True):
        for predecessor in projected:
            costs.append(_pcc(widths.channels[predecessor], widths.filters, 1, area))
        costs.append(_layer(layer, block.encoding, widths, area))
    if len(block.leaves) > 1:
        costs.append(_written(widths.output, area))
    return _total(costs)


@lru_cache(maxsize=16_384)
def _pcc(inputs: int, outputs: int, kernel: int, area: int) -> Cost:
    """ReLU, convolution, batch normalisation. Cached, since a network has hundreds of a few."""
    flops, params, activations = _conv_bn(inputs, outputs, kernel, area)
    return Cost(flops, params, activations + inputs * area)


def _layer(layer: Layer, encoding: str, widths: BlockWidths, area: int) -> Cost:
    channels = widths.channels[layer.index]
    if layer.type == LayerType.CONV:
        convolution = _pcc if encoding == "pcc" else _conv
        return convolution(widths.channels[layer.pred1], channels, layer.kernel, area)
    if layer.type == LayerType.BN:
        return _batch_norm(channels, area)
    if layer.type in _WRITING or layer.kernel > 1:  # a real pooling
        return _written(channels, area)
    return _NOTHING


def _stem_cost(spec: NetworkSpec) -> Cost:
    channels, height, width = spec.input_shape
    filters = spec.filters[0]
    costs = [_conv_bn(channels, filters, 3, height * width)]
    for number in range(1, spec.stem_convs):
        halvings = min(number, spec.stem_pools)
        area = (height >> halvings) * (width >> halvings)
        costs.append(_pcc(filters, filters, 3, area))
    for halvings in range(1, spec.stem_pools + 1):
        costs.append(_written(filters, (height >> halvings) * (width >> halvings)))
    return _total(costs)


def _frame_costs(stages: tuple[StageWidths, ...], spec: NetworkSpec) -> Iterator[Cost]:
    areas = _stage_areas(spec)
    for stage, pooled_area in zip(stages, areas[1:], strict=False):  # none follows the last stage
        yield _written(stage.output, pooled_area)
    for stage, area in zip(stages, areas, strict=True):
        if spec.frame == "nin":
            yield _pcc(stage.blocks[-1].output, stage.filters, 1, area)
            yield _pcc(stage.filters, stage.filters, 1, area)
        elif spec.frame == "residual":
            for widths in stage.blocks:
                yield _written(widths.output, area)  # the sum with the short-cut
                if widths.input != widths.output:
                    yield _pcc(widths.input, widths.output, 1, area)


def _head(stages: tuple[StageWidths, ...], spec: NetworkSpec) -> Cost:
    channels, classes = stages[-1].output, spec.classes
    area = _stage_areas(spec)[-1]
    params = (channels + 1) * classes  # of the 1x1 convolution or the linear layer, with bias
    if spec.frame == "nin":
        return Cost(params * area, params, channels * area + classes * area + classes)
    return Cost(params, params, channels * area + channels + classes)


def _conv(inputs: int, outputs: int, kernel: int, area: int) -> Cost:
    """Without a bias."""
    weights = inputs * outputs * kernel * kernel
    return Cost(weights * area, weights, outputs * area)


def _batch_norm(channels: int, area: int) -> Cost:
    return Cost(0, 2 * channels, channels * area)


def _conv_bn(inputs: int, outputs: int, kernel: int, area: int) -> Cost:
    return _total((_conv(inputs, outputs, kernel, area), _batch_norm(outputs, area)))


def _written(channels: int, area: int) -> Cost:
    return Cost(0, 0, channels * area)


def _stage_areas(spec: NetworkSpec) -> list[int]:
    return [height * width for height, width in spec.stage_sizes]


def _total(costs: Iterable[Cost]) -> Cost:
    return Cost(*map(sum, zip(_NOTHING, *costs, strict=True)))
