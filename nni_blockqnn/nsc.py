"""Network Structure Codes: the text of a block (paper, Section 3.1, Table 1 and Fig. 2).

A block is a directed acyclic graph of layers, written as one row of five integers a layer:

===================  =====  ====  ===========  ======================  =======================
layer                index  type  kernel       pred1                   pred2
===================  =====  ====  ===========  ======================  =======================
convolution (PCC)    T      1     1, 3, 5      K                       0
max pooling          T      2     1, 3         K                       0
average pooling      T      3     1, 3         K                       0
identity             T      4     0            K                       0
elemental add        T      5     0            K                       K
concat               T      6     0            K                       K
terminal             T      7     0            0                       0
===================  =====  ====  ===========  ======================  =======================

T counts the rows from 1 and K is any earlier row; layer 1 alone reads the block's input, as pred1 =
0. All layers that no other layer reads are concatenated as the block's output. This is the encoding
"pcc". In the encoding "separate" (the paper's Fig. 9 compares the two) ReLU and batch norm are
layers of their own, with the types 8 and 9 (ours), a kernel of 0 and one predecessor, and type 1 is
the convolution alone. The residual block of Fig. 2:

>>> block = Block.parse([[1, 4, 0, 0, 0], [2, 1, 3, 1, 0], [3, 1, 3, 2, 0], [4, 5, 0, 1, 3]])
>>> block.codes[-1]  # the Terminal row may be left out and is put back
[5, 7, 0, 0, 0]
>>> block.leaves  # only the add is read by nobody
(4,)
>>> block.density  # 6 edges (1 from the input, 4 inside, 1 to the output) over 6 dots
1.0
"""

from __future__ import annotations

import json
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, NamedTuple

import networkx as nx

from nni_blockqnn._json_text import read_json
from nni_blockqnn._messages import alternatives, shown
from nni_blockqnn.canonical import LabelledNode, canonical_key
from nni_blockqnn.function_key import function_graph

CONV_KERNELS = (1, 3, 5)
"""Kernel sizes of convolutions in the paper (Table 1)."""
POOL_KERNELS = (1, 3)
"""Kernel sizes of poolings in the paper (Table 1)."""
ENCODINGS = ("pcc", "separate")
"""What a convolution's row stands for: ReLU, convolution and batch norm, or the convolution."""
KERNEL_LIMIT = 99
"""The largest kernel that a search space may ask for."""
LAYER_LIMIT = 200
"""The most rows that a block may have: keeps every later step bounded. The paper stops at 23."""


class InvalidBlockError(ValueError):
    """Structure codes that are no block; the message names the row, the rule and the value."""


class LayerType(IntEnum):
    """Column 2 of Table 1; ReLU and batch norm are ours, for the encoding "separate"."""

    CONV = 1
    MAX_POOL = 2
    AVG_POOL = 3
    IDENTITY = 4
    ADD = 5
    CONCAT = 6
    TERMINAL = 7
    RELU = 8
    BN = 9

    @property
    def predecessors(self) -> int:
        """How many layers it reads."""
        return _PREDECESSORS[self]


_HANDED_ON = {(LayerType.IDENTITY.value, 0), (LayerType.CONCAT.value, 0)}
"""Layers that compute nothing: what reads them might read what they read."""

_PREDECESSORS: dict[int, int] = {
    LayerType.CONV: 1,
    LayerType.MAX_POOL: 1,
    LayerType.AVG_POOL: 1,
    LayerType.IDENTITY: 1,
    LayerType.ADD: 2,
    LayerType.CONCAT: 2,
    LayerType.TERMINAL: 0,
    LayerType.RELU: 1,
    LayerType.BN: 1,
}
_HIGHEST_TYPE = {"pcc": LayerType.TERMINAL.value, "separate": LayerType.BN.value}
_BARE_CONV = 10
"""In keys, the type of a convolution alone: it computes another function than a PCC."""


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
        return (self.pred1, self.pred2)[: _PREDECESSORS[self.type]]

    @classmethod
    def terminal(cls, index: int) -> Layer:
        return cls(index, LayerType.TERMINAL.value, 0, 0, 0)


@dataclass(frozen=True)
class Block:
    """A valid block. Made by :meth:`parse`; the rows are in normal form, without the Terminal.

    Attributes:
        encoding: "pcc" or "separate"; the codes alone do not tell which.
    """

    layers: tuple[Layer, ...]
    encoding: str = "pcc"

    @classmethod
    def parse(
        cls,
        codes: Block | str | Sequence[Sequence[int]],
        *,
        conv_kernels: Sequence[int] = CONV_KERNELS,
        pool_kernels: Sequence[int] = POOL_KERNELS,
        encoding: str = "pcc",
    ) -> Block:
        """Read rows of five integers, or their JSON text; the Terminal row may be left out.

        The two predecessors of an add or concat are put in ascending order. A block is returned as
        it is.

        Raises:
            InvalidBlockError: naming the row, the rule and the value.
            ValueError: if the encoding is neither "pcc" nor "separate".
        """
        if isinstance(codes, Block):
            return codes
        highest_type = _HIGHEST_TYPE[checked_encoding(encoding)]
        rows = _rows_of(codes)
        kernels = {
            LayerType.CONV: tuple(conv_kernels),
            LayerType.MAX_POOL: tuple(pool_kernels),
            LayerType.AVG_POOL: tuple(pool_kernels),
        }
        layers = [
            _parse_row(position, row, kernels, highest_type) for position, row in enumerate(rows, 1)
        ]
        for layer in layers[:-1]:
            if layer.type == LayerType.TERMINAL:
                raise InvalidBlockError(
                    f"row {layer.index}: the Terminal must be the last row, "
                    f"but {len(rows) - layer.index} follow it"
                )
        if layers[-1].type == LayerType.TERMINAL:
            layers.pop()
        if not layers:
            raise InvalidBlockError(
                "row 1: a block needs at least one layer before the Terminal, got (1, 7, 0, 0, 0)"
            )
        return cls(tuple(layers), encoding)

    @property
    def codes(self) -> list[list[int]]:
        """Rows of five integers, the Terminal row last."""
        return [list(layer) for layer in self.trajectory]

    @property
    def trajectory(self) -> tuple[Layer, ...]:
        """The layers and the Terminal: the actions a_1 .. a_T of the agent (paper, Section 3.2)."""
        return (*self.layers, Layer.terminal(len(self.layers) + 1))

    def to_json(self) -> str:
        """The codes as compact JSON text, the form in which they travel through NNI."""
        return json.dumps(self.codes, separators=(",", ":"))

    @cached_property
    def leaves(self) -> tuple[int, ...]:
        """Indices of the layers that no layer reads, ascending; concatenated they are the
        output."""
        read = {predecessor for layer in self.layers for predecessor in layer.predecessors}
        return tuple(layer.index for layer in self.layers if layer.index not in read)

    @cached_property
    def graph(self) -> nx.DiGraph:
        """The DAG that density counts: node 0 is the input, then the layers, then the output.

        Nodes carry ``label``, the pair of type and kernel; the input's is (0, 0), the output's
        the Terminal's.
        """
        output = len(self.layers) + 1
        graph = nx.DiGraph()
        graph.add_node(0, label=(0, 0))
        for layer in self.layers:
            graph.add_node(layer.index, label=(layer.type, layer.kernel))
            graph.add_edges_from((predecessor, layer.index) for predecessor in layer.predecessors)
        graph.add_node(output, label=(LayerType.TERMINAL.value, 0))
        graph.add_edges_from((leaf, output) for leaf in self.leaves)
        return graph

    @property
    def density(self) -> float:
        """Edges over dots of the DAG (paper, Section 3.3): 2/3 for a single layer."""
        edges = sum(len(layer.predecessors) for layer in self.layers) + len(self.leaves)
        return edges / (len(self.layers) + 2)

    @cached_property
    def key(self) -> str:
        """Equal for isomorphic blocks, different for all others.

        Blocks are isomorphic if renumbering layers and swapping the predecessors of adds and
        concats turns one into the other. A pooling of kernel 1 computes the identity and counts as
        one; a PCC and a convolution alone are different layers.
        """
        return canonical_key(
            [(self._function_label(layer), layer.predecessors) for layer in self.layers]
        )

    @cached_property
    def function_key(self) -> str:
        """Equal for blocks that compute the same function, whatever their identities and concats.

        Identities (and poolings of kernel 1) are taken out, and a concat that is read by a concat
        or by the output dissolves into it; blocks that are isomorphic then have one key, all others
        different ones. So equal functions are not all found: two poolings of one layer, say, stay
        two. Blocks of equal key have equal function keys; their density may differ.
        """
        return canonical_key(self.function_graph)

    @cached_property
    def function_graph(self) -> list[LabelledNode]:
        """What :attr:`function_key` is the canonical form of: input, layers and output."""
        labels = map(self._function_label, self.layers)
        return function_graph(
            [
                (None if label in _HANDED_ON else label, layer.predecessors)
                for label, layer in zip(labels, self.layers, strict=True)
            ],
            self.leaves,
        )

    @cached_property
    def computing_layers(self) -> tuple[tuple[int, int], ...]:
        """Types and kernels, sorted, without what :attr:`function_key` takes out: equal for blocks
        of one function, and much quicker."""
        labels = map(self._function_label, self.layers)
        return tuple(sorted(label for label in labels if label not in _HANDED_ON))

    def __str__(self) -> str:
        return self.to_json()

    def _function_label(self, layer: Layer) -> tuple[int, int]:
        if layer.type == LayerType.CONV and self.encoding == "separate":
            return (_BARE_CONV, layer.kernel)
        if layer.type in (LayerType.MAX_POOL, LayerType.AVG_POOL) and layer.kernel == 1:
            return (LayerType.IDENTITY.value, 0)
        return (layer.type, layer.kernel)


def parse_any_block(codes: Any, encoding: str = "pcc") -> Block:
    """A block of any search space: kernels may be any odd number up to ``KERNEL_LIMIT``.

    Raises:
        InvalidBlockError, ValueError: as :meth:`Block.parse`.
    """
    kernels = range(1, KERNEL_LIMIT + 1, 2)
    return Block.parse(codes, conv_kernels=kernels, pool_kernels=kernels, encoding=encoding)


def checked_encoding(value: Any) -> str:
    """The value, if it is one of ``ENCODINGS``.

    Raises:
        ValueError: if it is not.
    """
    if not isinstance(value, str) or value not in ENCODINGS:
        raise ValueError(f'encoding must be "pcc" or "separate", got {shown(value)}')
    return value


def _rows_of(codes: Any) -> list[Any]:
    if isinstance(codes, str):
        try:
            codes = read_json(codes)
        except ValueError as error:
            raise InvalidBlockError(
                f"a block must be a JSON list of rows, got {shown(codes)}: {error}"
            ) from None
    if hasattr(codes, "tolist"):  # a numpy array
        codes = _array_rows(codes)
    if not isinstance(codes, (list, tuple)):
        raise InvalidBlockError(
            f"a block must be a list of rows of five integers, got {shown(codes)}"
        )
    if not codes:
        raise InvalidBlockError("a block needs at least one layer, got no rows")
    _check_length(len(codes))
    return list(codes)


def _array_rows(array: Any) -> Any:
    """Checks the shape first: a view of a thousand million rows takes no memory, but their list
    does."""
    shape = tuple(getattr(array, "shape", ()))
    if not shape:
        return array.tolist()
    if len(shape) != 2 or shape[1] != 5:
        raise InvalidBlockError(
            f"a block must be a list of rows of five integers, got an array of shape {shape}"
        )
    _check_length(shape[0])
    return array.tolist()


def _check_length(rows: int) -> None:
    if rows > LAYER_LIMIT:
        raise InvalidBlockError(f"a block has at most {LAYER_LIMIT} rows, got {rows}")


def _parse_row(
    position: int, row: Any, kernels: dict[LayerType, tuple[int, ...]], highest_type: int
) -> Layer:
    layer = _integers(position, row)
    if layer.index != position:
        raise _row_error(
            position, f"the layer index must count the rows and be {position}", "index", layer.index
        )
    if not 1 <= layer.type <= highest_type:
        raise _row_error(
            position, f"the layer type must be 1 to {highest_type}", "type", layer.type
        )
    layer_type = LayerType(layer.type)
    allowed = kernels.get(layer_type, (0,))
    if layer.kernel not in allowed:
        name = layer_type.name.lower()
        raise _row_error(
            position,
            f"the kernel of {name} must be {alternatives(allowed)}",
            "kernel",
            layer.kernel,
        )
    return _check_predecessors(layer, layer_type)


def _integers(position: int, row: Any) -> Layer:
    if not isinstance(row, (list, tuple)) or len(row) != 5:
        raise InvalidBlockError(f"row {position}: a row must be five integers, got {shown(row)}")
    for name, value in zip(Layer._fields, row, strict=True):
        if type(value) is int:  # much faster than the full check, and thousands are resumed
            continue
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise InvalidBlockError(
                f"row {position}: {name} must be an integer, got {shown(value)}"
            )
    return Layer(*map(int, row))


def _check_predecessors(layer: Layer, layer_type: LayerType) -> Layer:
    count = layer_type.predecessors
    lowest = 0 if layer.index == 1 else 1
    if count == 2 and layer.index < 3:
        raise _row_error(
            layer.index,
            "an add or concat reads two earlier layers, so it comes third at the earliest",
            "type",
            layer.type,
        )
    for name, value in zip(("pred1", "pred2")[:count], layer.predecessors, strict=True):
        if not lowest <= value < max(layer.index, lowest + 1):
            rule = (
                "layer 1 reads the block's input, 0"
                if layer.index == 1
                else f"must be 1 to {layer.index - 1}"
            )
            raise _row_error(layer.index, f"{name}: {rule}", name, value)
    for name, value in (("pred1", layer.pred1), ("pred2", layer.pred2))[count:]:
        if value != 0:
            raise _row_error(
                layer.index, f"{name} of {layer_type.name.lower()} must be 0", name, value
            )
    if count == 2:
        if layer.pred1 == layer.pred2:
            raise _row_error(
                layer.index,
                f"the predecessors of {layer_type.name.lower()} must differ",
                "pred2",
                layer.pred2,
            )
        if layer.pred1 > layer.pred2:
            return layer._replace(pred1=layer.pred2, pred2=layer.pred1)
    return layer


def _row_error(position: int, rule: str, name: str, value: int) -> InvalidBlockError:
    return InvalidBlockError(f"row {position}: {rule}, got {name}={shown(value)}")
