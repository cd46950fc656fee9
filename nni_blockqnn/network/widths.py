"""How many channels each layer has: the one place that decides where 1x1 projections go.

The paper does not say what happens where channel counts differ (Section 3.1). Our reading: a
block's input is projected to the stage's filters (if `NetworkSpec.project_input`). An add of
operands with unequal channel counts projects those whose count differs from the stage's filters. A
projection is a 1x1 PCC to the stage's filters, also around blocks of the encoding
"separate", so that nothing but the searched layers differs.

`cost` counts and `model_space` builds what this module lays out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer import Layer
from nni_blockqnn.blocks.layer_kind import LayerKind
from nni_blockqnn.network.spec import NetworkSpec


class BlockWidths(NamedTuple):
    """Channels within one block of the network.

    Attributes:
        input: channels that enter the block; projected if they differ from ``channels[0]``.
        filters: output channels of the stage's convolutions and projections.
        channels: ``channels[0]`` is the block's input as its layers see it, ``channels[t]`` the
            output of layer t.
        projected: for each layer, the predecessors that pass a 1x1 PCC of their own on the way in;
            only adds have any.
        output: channels of all leaves together.
    """

    input: int
    filters: int
    channels: tuple[int, ...]
    projected: tuple[tuple[int, ...], ...]
    output: int


class StageWidths(NamedTuple):
    """Channels within one stage: its filters, its blocks in sequence, and what leaves the stage."""

    filters: int
    blocks: tuple[BlockWidths, ...]
    output: int


class UpWidths(NamedTuple):
    """Channels within one stage back up of the frame "upsample".

    Attributes:
        deep: channels of the smaller map, which is projected to the stage's filters (if they
            differ) and doubled.
        skip: channels of the downward stage's map, which is projected likewise and added.
    """

    deep: int
    skip: int
    stage: StageWidths


def network_widths(block: Block, spec: NetworkSpec) -> tuple[StageWidths, ...]:
    """The stages of the network, downwards; the stem hands ``spec.filters[0]`` to the first one."""
    stages = []
    channels = spec.filters[0]
    for filters in spec.filters:
        stages.append(_stage_widths(block, channels, filters, spec))
        channels = stages[-1].output
    return tuple(stages)


def way_up(
    block: Block, spec: NetworkSpec, stages: Sequence[StageWidths]
) -> Iterator[tuple[int, UpWidths]]:
    """The stages back up of the frame "upsample", with their numbers, from the last but one to 1;
    nothing in other frames.

    Args:
        stages: those downwards, as :func:`network_widths` has them.
    """
    if spec.frame != "upsample":
        return
    deep = stages[-1].output
    for number in range(len(stages) - 1, 0, -1):
        down = stages[number - 1]
        stage = _stage_widths(block, down.filters, down.filters, spec)
        yield number, UpWidths(deep, down.output, stage)
        deep = stage.output


def _stage_widths(block: Block, channels: int, filters: int, spec: NetworkSpec) -> StageWidths:
    """A stage that `channels` enter."""
    blocks: list[BlockWidths] = []
    for _ in range(spec.repeats):
        if blocks and spec.project_input:
            widths = blocks[-1]._replace(input=channels)
        elif not blocks or blocks[-1].input != channels:
            widths = block_widths(block, channels, filters, spec.project_input)
        blocks.append(widths)
        channels = widths.output
    return StageWidths(filters, tuple(blocks), filters if spec.frame == "nin" else channels)


def block_widths(block: Block, channels: int, filters: int, project_input: bool) -> BlockWidths:
    """Channels of the block's layers where `channels` enter a stage of `filters`."""
    outputs = [filters if project_input else channels]
    projected = []
    for layer, kind in zip(block.layers, block.kinds, strict=True):
        output, projections = _layer_widths(layer, kind, outputs, filters)
        outputs.append(output)
        projected.append(projections)
    leaves = sum(outputs[leaf] for leaf in block.leaves)
    return BlockWidths(channels, filters, tuple(outputs), tuple(projected), leaves)


def _layer_widths(
    layer: Layer, kind: LayerKind, outputs: Sequence[int], filters: int
) -> tuple[int, tuple[int, ...]]:
    """The layer's output channels, and which of its predecessors it projects."""
    first = outputs[layer.pred1]
    if kind.joins == "concat":
        return first + outputs[layer.pred2], ()
    if kind.joins == "add" and first != outputs[layer.pred2]:
        return filters, tuple(pred for pred in layer.predecessors if outputs[pred] != filters)
    return (filters if kind.outputs == "filters" else first), ()
