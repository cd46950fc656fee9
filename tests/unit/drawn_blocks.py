"""Blocks of the paper and tangled ones, to be drawn."""

from __future__ import annotations

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer import Layer, LayerType
from nni_blockqnn.space.search_space import SearchSpace

RESIDUAL = Block.parse([[1, 4, 0, 0, 0], [2, 1, 3, 1, 0], [3, 1, 3, 2, 0], [4, 5, 0, 1, 3]])
"""The right block of the paper's Fig. 2."""
BRANCHES = Block.parse(
    "[[1,4,0,0,0],[2,1,1,1,0],[3,1,3,2,0],[4,1,1,1,0],[5,1,5,4,0],"
    "[6,6,0,3,5],[7,2,3,1,0],[8,1,1,7,0],[9,6,0,6,8],[10,7,0,0,0]]"
)
"""The left block of the paper's Fig. 2."""
ONE_LAYER = Block.parse([[1, 1, 1, 0, 0]])


def dense_block(rng: np.random.Generator) -> Block:
    """22 layers, uniform over all rows: more tangled than what the search draws at random."""
    space = SearchSpace()
    layers: list[Layer] = []
    while len(layers) < 22:
        choices = space.successors(layers[-1] if layers else None)
        layer = choices[rng.integers(len(choices))]
        if layer.type != LayerType.TERMINAL:
            layers.append(layer)
    return Block(tuple(layers))


BLOCKS = [ONE_LAYER, RESIDUAL, BRANCHES, *map(dense_block, np.random.default_rng(5).spawn(12))]
