"""Blocks written by hand: the paper's residual one, unequal adds, and every layer."""

from __future__ import annotations

from nni_blockqnn.blocks.block import Block

RESIDUAL = Block.parse([[1, 4, 0, 0, 0], [2, 1, 3, 1, 0], [3, 1, 3, 2, 0], [4, 5, 0, 1, 3]])
"""The right block of the paper's Fig. 2."""
UNEQUAL_ADD = Block.parse([[1, 1, 1, 0, 0], [2, 2, 3, 1, 0], [3, 6, 0, 1, 2], [4, 5, 0, 2, 3]])
"""A convolution (F), a max pooling of it (F), both concatenated (2F), and pooling + concat."""
EVERY_LAYER = Block.parse(
    [
        [1, 4, 0, 0, 0],
        [2, 1, 5, 1, 0],
        [3, 2, 3, 1, 0],
        [4, 3, 3, 2, 0],
        [5, 6, 0, 2, 3],
        [6, 5, 0, 3, 5],
        [7, 2, 1, 6, 0],
        [8, 6, 0, 5, 7],
        [9, 5, 0, 5, 8],
        [10, 3, 1, 4, 0],
    ]
)
"""Each type and kernel, adds of several widths, and two leaves."""


EVERY_SEPARATE_LAYER = Block.parse(
    [
        [1, 9, 0, 0, 0],
        [2, 1, 3, 1, 0],
        [3, 8, 0, 2, 0],
        [4, 1, 1, 3, 0],
        [5, 6, 0, 2, 4],
        [6, 9, 0, 5, 0],
        [7, 5, 0, 3, 6],
        [8, 8, 0, 4, 0],
    ],
    encoding="separate",
)
"""Convolutions without batch norm and with one far behind, an add of two widths, two leaves."""
