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
the convolution alone. Rows do not tell the encoding, so the text of such a block is an object:
``{"encoding": "separate", "codes": [[1, 1, 3, 0, 0], ...]}``.

Kernels may also be any other odd number, up to ``KERNEL_LIMIT``, and there are further kinds of
layers, such as type 11, the depthwise-separable convolution
(:mod:`nni_blockqnn.blocks.kind_table`); a search space says which of all these it draws. The
residual block of Fig. 2:

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nni_blockqnn.blocks._function_key import FunctionNode, function_fingerprint, function_graph
from nni_blockqnn.blocks._rows import read_layers, remembered_layers, rules_of
from nni_blockqnn.blocks._rows import stated_encoding as stated_encoding
from nni_blockqnn.blocks.canonical import LabelledNode, canonical_key
from nni_blockqnn.blocks.kind_table import kind_address, kinds_of, optional_names
from nni_blockqnn.blocks.layer import (
    ENCODINGS,
    ODD_KERNELS,
    InvalidBlockError,
    Layer,
    LayerType,
)
from nni_blockqnn.blocks.layer_kind import IDENTITY_LABEL, LayerKind
from nni_blockqnn.common.messages import shown

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True)
class Block:
    """A valid block. Made by :meth:`parse`; the rows are in normal form, without the Terminal.

    Attributes:
        encoding: "pcc" or "separate"; the rows alone do not tell which.
    """

    layers: tuple[Layer, ...]
    encoding: str = "pcc"

    @classmethod
    def parse(
        cls,
        codes: Block | str | Mapping[str, Any] | Sequence[Sequence[int]],
        *,
        conv_kernels: Sequence[int] = ODD_KERNELS,
        pool_kernels: Sequence[int] = ODD_KERNELS,
        encoding: str | None = None,
        extra_kinds: Sequence[str] | None = None,
    ) -> Block:
        """Read rows of five integers, or what :meth:`to_json` wrote.

        The Terminal row may be left out. The two predecessors of an add or concat are put in
        ascending order. A block is returned as it is.

        Args:
            conv_kernels: allowed kernel sizes of convolutions.
            pool_kernels: allowed kernel sizes of poolings.
            encoding: "pcc" or "separate"; by default the one that the text names, or else "pcc".
            extra_kinds: optional kinds of layers that the block may have: "separable", or
                "module:NAME" for one of your own; by default all that are registered.

        Raises:
            InvalidBlockError: naming the row, the rule and the value, or the encoding if the block
                is of another one.
            ValueError: if the encoding is neither "pcc" nor "separate", or there is no such kind.
        """
        stated, rows = (
            (codes.encoding, None) if isinstance(codes, Block) else stated_encoding(codes)
        )
        if encoding is None:
            encoding = "pcc" if stated is None else stated
        encoding = checked_encoding(encoding)
        if stated is not None and stated != encoding:
            raise InvalidBlockError(f"the block's encoding must be {encoding}, got {shown(stated)}")
        if isinstance(codes, Block):
            return codes
        if extra_kinds is None:
            extra_kinds = optional_names(encoding)
        rules = rules_of(tuple(conv_kernels), tuple(pool_kernels), encoding, tuple(extra_kinds))
        return cls(read_layers(rows, rules), encoding)

    @classmethod
    def _of_text(cls, text: str, encoding: str) -> Block:
        """What :meth:`parse` reads from the text of rows; much faster if they were read before."""
        encoding = checked_encoding(encoding)
        rules = rules_of(ODD_KERNELS, ODD_KERNELS, encoding, tuple(optional_names(encoding)))
        layers = remembered_layers(text, rules)
        return cls.parse(text, encoding=encoding) if layers is None else cls(layers, encoding)

    @property
    def codes(self) -> list[list[int]]:
        """Rows of five integers, the Terminal row last."""
        return [list(layer) for layer in self.trajectory]

    @property
    def trajectory(self) -> tuple[Layer, ...]:
        """The layers and the Terminal: the actions a_1 .. a_T of the agent (paper, Section 3.2)."""
        return (*self.layers, Layer.terminal(len(self.layers) + 1))

    def to_json(self) -> str:
        """Compact JSON text, the form in which blocks travel through NNI.

        :meth:`parse` reads an equal block from it.
        """
        said: Any = self.codes
        if self.encoding != "pcc":
            said = {"encoding": self.encoding, "codes": self.codes}
        return json.dumps(said, separators=(",", ":"))

    @cached_property
    def kinds(self) -> tuple[LayerKind, ...]:
        """What each of the layers is."""
        table = kinds_of(self.encoding)
        return tuple(table[layer.type] for layer in self.layers)

    @property
    def extra_kinds(self) -> list[str]:
        """Optional kinds among the layers, as :meth:`parse` takes them."""
        return sorted({kind_address(kind) for kind in self.kinds if kind.optional})

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
        import networkx as nx  # here: slow to import, and a trial does without

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
            list(zip(self._labels, [layer.predecessors for layer in self.layers], strict=True))
        )

    @cached_property
    def fingerprint(self) -> int:
        """Equal for isomorphic blocks, rarely for others; ten times faster than :attr:`key`."""
        labels = [(0, 0), *self._labels]
        return hash(
            tuple(
                sorted(
                    (labels[layer.index], *sorted(labels[read] for read in layer.predecessors))
                    for layer in self.layers
                )
            )
        )

    @cached_property
    def function_key(self) -> str:
        """Equal for blocks that are isomorphic once what computes nothing is removed.

        Identities (and poolings of kernel 1) are removed, and a concat that a concat or the output
        reads is replaced by its operands. Other equal functions are not found: two equal poolings
        of one layer remain two. Blocks of equal key have equal function keys, but blocks of equal
        function keys may differ in density.
        """
        return canonical_key(self.function_graph)

    @cached_property
    def function_graph(self) -> list[LabelledNode]:
        """Input, layers and output, as :attr:`function_key` makes its canonical form of them."""
        return function_graph(self._function_nodes, self.leaves)

    @cached_property
    def function_fingerprint(self) -> int:
        """Equal for blocks of one :attr:`function_key`, rarely for others; much faster."""
        return function_fingerprint(self._function_nodes, self.leaves)

    @cached_property
    def computing_layers(self) -> tuple[tuple[int, int], ...]:
        """Types and kernels of the layers that :attr:`function_key` keeps, sorted.

        Equal for blocks of one function key, and much faster.
        """
        labels = zip(self._labels, self.kinds, strict=True)
        return tuple(sorted(label for label, kind in labels if _computes(label, kind)))

    def __str__(self) -> str:
        return self.to_json()

    @property
    def _function_nodes(self) -> list[FunctionNode]:
        return [
            (label if _computes(label, kind) else None, layer.predecessors)
            for label, kind, layer in zip(self._labels, self.kinds, self.layers, strict=True)
        ]

    @cached_property
    def _labels(self) -> list[tuple[int, int]]:
        """Type and kernel of each layer as keys have them."""
        layers = zip(self.kinds, self.layers, strict=True)
        return [kind.key_label(layer.kernel) for kind, layer in layers]


def _computes(label: tuple[int, int], kind: LayerKind) -> bool:
    """Whether the layer changes what it reads: it is neither an identity nor a concat."""
    return label != IDENTITY_LABEL and kind.joins != "concat"


def parse_block(codes: Any, default_encoding: str = "pcc") -> Block:
    """A block of any search space; rows that do not name their encoding are of the default one.

    Raises:
        InvalidBlockError, ValueError: as :meth:`Block.parse`.
    """
    if isinstance(codes, str) and codes.startswith("[["):  # it names no encoding
        return Block._of_text(codes, default_encoding)
    stated, rows = stated_encoding(codes)
    return Block.parse(rows, encoding=default_encoding if stated is None else stated)


def checked_encoding(value: Any) -> str:
    """The value, if it is one of ``ENCODINGS``.

    Raises:
        ValueError: if it is not.
    """
    if not isinstance(value, str) or value not in ENCODINGS:
        raise ValueError(f'encoding must be "pcc" or "separate", got {shown(value)}')
    return value
