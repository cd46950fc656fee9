"""The network around the block: stem, stages of repeated blocks, head (paper, Section 3.1)."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.kinds.table1 import conv_bn
from nni_blockqnn.model_space._block import BlockModule
from nni_blockqnn.model_space._hourglass import Hourglass, Up
from nni_blockqnn.model_space._layers import PCC, Residual, initialise, projection
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.network.widths import StageWidths, network_widths, way_up

_HEAD_DEVIATION = 0.01
"""Of the last convolution's weights where it gives maps: with MSRA's, heat maps begin far from what
they are to be; with 0.001 (Xiao et al., arXiv 1804.06208), classes of pixels take long to differ.
"""


def build_network(block: Block, spec: NetworkSpec) -> nn.Module:
    """The network of `spec` around `block`, with fresh weights: (B, C, H, W) -> (B, classes).

    In the frame "upsample" it gives maps (B, classes, h, w) of the first stage's size.

    Weights have the MSRA initialisation (the last ones of maps a small one), drawn from PyTorch's
    global generator: `torch.manual_seed` makes them reproducible. Submodules are named stem,
    stage1, pool1, stage2, ..., then up2, up1 on a way up, and head. Height and width of the images
    are free as long as the poolings leave something.
    """
    stages = network_widths(block, spec)
    parts: OrderedDict[str, nn.Module] = OrderedDict(stem=_stem(spec))
    for number, stage in enumerate(stages, 1):
        if number > 1:
            parts[f"pool{number - 1}"] = nn.MaxPool2d(2)
        parts[f"stage{number}"] = _stage(block, stage, spec.frame)
    channels = stages[-1].output
    for number, up in way_up(block, spec, stages):
        parts[f"up{number}"] = Up(up, _stage(block, up.stage, spec.frame))
        channels = up.stage.output
    parts["head"] = _head(channels, spec)
    network = Hourglass(parts) if spec.frame == "upsample" else nn.Sequential(parts)
    initialise(network)
    if spec.frame == "upsample":  # maps that begin near zero, as most of a heat map is
        weight = network.get_parameter("head.conv.weight")
        nn.init.normal_(weight, std=_HEAD_DEVIATION)
    return network


def _stem(spec: NetworkSpec) -> nn.Module:
    filters = spec.filters[0]
    stem = nn.Sequential()
    for number in range(1, spec.stem_convs + 1):
        # the first convolution reads the image itself: a ReLU before it would cut off half of it
        conv = conv_bn(spec.input_shape[0], filters, 3) if number == 1 else PCC(filters, filters, 3)
        stem.add_module(f"conv{number}", conv)
        if number <= spec.stem_pools:
            stem.add_module(f"pool{number}", nn.MaxPool2d(2))
    return stem


def _stage(block: Block, stage: StageWidths, frame: str) -> nn.Module:
    blocks = nn.Sequential()
    for number, widths in enumerate(stage.blocks, 1):
        module: nn.Module = BlockModule(block, widths)
        if frame == "residual":
            module = Residual(module, projection(widths.input, widths.output))
        blocks.add_module(f"block{number}", module)
    if frame == "nin":
        blocks.add_module("nin1", PCC(stage.blocks[-1].output, stage.filters, 1))
        blocks.add_module("nin2", PCC(stage.filters, stage.filters, 1))
    return blocks


def _head(channels: int, spec: NetworkSpec) -> nn.Module:
    relu, pool, flatten = nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    if spec.frame == "upsample":
        return nn.Sequential(OrderedDict(relu=relu, conv=nn.Conv2d(channels, spec.classes, 1)))
    if spec.frame == "nin":
        conv = nn.Conv2d(channels, spec.classes, 1)
        return nn.Sequential(OrderedDict(relu=relu, conv=conv, pool=pool, flatten=flatten))
    linear = nn.Linear(channels, spec.classes)
    return nn.Sequential(OrderedDict(relu=relu, pool=pool, flatten=flatten, linear=linear))
