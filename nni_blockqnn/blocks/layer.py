"""A layer of a block: one row of its structure codes (:mod:`nni_blockqnn.blocks.block`)."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import nni_blockqnn.blocks.kinds  # noqa: F401, fills the table of layer kinds
from nni_blockqnn.blocks.kind_table import PREDECESSORS
from nni_blockqnn.blocks.layer_kind import ENCODINGS as ENCODINGS

CONV_KERNELS = (1, 3, 5)
"""Kernel sizes of convolutions in the paper (Table 1)."""
POOL_KERNELS = (1, 3)
"""Kernel sizes of poolings in the paper (Table 1)."""
KERNEL_LIMIT = 99
"""The largest kernel that a search space may ask for."""
ODD_KERNELS = tuple(range(1, KERNEL_LIMIT + 1, 2))
"""All kernel sizes that a layer may have: with an even one, padding would shift the map."""
LAYER_LIMIT = 200
"""The most rows that a block may have: keeps every later step bounded. The paper stops at 23."""


class InvalidBlockError(ValueError):
    """Structure codes that do not describe a block.

    The message names the row, the rule and the value.
    """


class LayerType(IntEnum):
    """Column 2 of Table 1; ReLU and batch norm are ours, for the encoding "separate".

    Names for numbers, no more: what a layer does is in its
    :class:`~nni_blockqnn.blocks.layer_kind.LayerKind`.
    """

    CONV = 1
    MAX_POOL = 2
    AVG_POOL = 3
    IDENTITY = 4
    ADD = 5
    CONCAT = 6
    TERMINAL = 7
    RELU = 8
    BN = 9


class Layer(NamedTuple):
    """One row of the codes. Equal to the plain tuple of its five integers."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    type: int
    kernel: int
    pred1: int
    pred2: int

    @property
    def predecessors(self) -> tuple[int, ...]:
        """Indices of the layers that it reads; 0 is the block's input."""
        return (self.pred1, self.pred2)[: PREDECESSORS[self.type]]

    @classmethod
    def terminal(cls, index: int) -> Layer:
        return cls(index, LayerType.TERMINAL.value, 0, 0, 0)
