"""A block's forward pass as its codes read, layer by layer, with nothing shared."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812, PyTorch's own name for it
from torch import Tensor, nn

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.model_space._block import BlockModule
from nni_blockqnn.model_space._layers import Add


def unshare(network: nn.Module, block: Block) -> None:
    """From now on, each PCC of the network's blocks has a ReLU of its own, and concats copy."""
    for module in list(network.modules()):
        if isinstance(module, BlockModule):
            module.forward = partial(_layer_by_layer, module, block)  # type: ignore[method-assign]


def _layer_by_layer(module: BlockModule, block: Block, x: Tensor) -> Tensor:
    maps = [module.project_input(x)]
    layers = dict(module.layers)
    for layer, kind in zip(block.layers, block.kinds, strict=True):
        inputs = [maps[predecessor] for predecessor in layer.predecessors]
        here = layers.get(str(layer.index))
        if kind.joins == "concat":
            maps.append(torch.cat(inputs, 1))
        elif here is None:  # an identity
            maps.extend(inputs)
        elif isinstance(here, Add):
            a, b = (
                F.relu(operand) if isinstance(projection, nn.Sequential) else operand
                for operand, projection in zip(inputs, (here.pred1, here.pred2), strict=True)
            )
            maps.append(here.pred1(a) + here.pred2(b))
        else:
            maps.append(here(F.relu(inputs[0]) if kind.reads_rectified else inputs[0]))
    leaves = [maps[leaf] for leaf in block.leaves]
    return torch.cat(leaves, 1) if len(leaves) > 1 else leaves[0]
