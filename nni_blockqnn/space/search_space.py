"""The space of blocks: what may follow a layer (paper, Table 1 and Fig. 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.kind_table import space_kinds
from nni_blockqnn.blocks.layer import (
    CONV_KERNELS,
    POOL_KERNELS,
    InvalidBlockError,
    Layer,
    LayerType,
)
from nni_blockqnn.blocks.layer_kind import LayerKind
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.space._json_fields import space_fields

START = Layer(0, 0, 0, 0, 0)
"""The state s0 before the first layer (Fig. 4 draws it as the root)."""


@dataclass(frozen=True)
class SearchSpace:
    """Blocks of up to ``max_layers - 1`` layers; ``SearchSpace()`` is the paper's.

    Attributes:
        max_layers: the highest layer index; the Terminal has one of its own, so 23 allows 22
            layers.
        conv_kernels: kernel sizes of convolutions, odd.
        pool_kernels: kernel sizes of poolings, odd.
        encoding: "pcc", in which a convolution is ReLU, convolution and batch norm (Section 3.1),
            or "separate", in which the three are layers of their own (Fig. 9).
        repeats: the numbers N of blocks a stage that the search may choose from.
        network: a preset's name or JSON text of :class:`NetworkSpec`'s fields.
        extra_kinds: optional kinds of layers that blocks may have: "separable" for
            depthwise-separable convolution, "module:NAME" for a
            :class:`~nni_blockqnn.blocks.layer_kind.LayerKind` of your own. Default: none.
    """

    max_layers: int = 23
    conv_kernels: tuple[int, ...] = CONV_KERNELS
    pool_kernels: tuple[int, ...] = POOL_KERNELS
    encoding: str = "pcc"
    repeats: tuple[int, ...] = (4,)
    network: str = "cifar100"
    extra_kinds: tuple[str, ...] = ()
    _successors: dict[int, list[Layer]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: if an extra kind is not known, or has no kernel in this space.
        """
        for kind in self.kinds:
            if kind.optional and not self.kernels(kind):
                raise ValueError(
                    f"extra_kinds: {kind.name} needs a kernel of {kind.smallest_kernel} or more in "
                    f"{kind.kernels}_kernels"
                )

    @classmethod
    def from_json(cls, search_space: Mapping[str, Any]) -> SearchSpace:
        """Read NNI's search space with the keys ``block``, ``repeats`` and ``network``.

        ``network`` defaults to "cifar100" and ``repeats`` to the network's own number.

        Raises:
            ValueError: naming the key, its value and what is allowed.
        """
        return cls(**space_fields(search_space))

    @cached_property
    def spec(self) -> NetworkSpec:
        """The network around the block, with its own number of repeats."""
        return NetworkSpec.from_parameter(self.network)

    def successors(self, layer: Layer | Sequence[int] | None) -> list[Layer]:
        """The legal next layers, Terminal last; ``None`` or ``START`` asks for the first layers.

        Predecessors are in normal form (pred1 < pred2). An empty block is not offered, so the first
        layers have no Terminal among them.
        """
        index = (0 if layer is None else layer[0]) + 1
        if layer is not None and layer[1] == LayerType.TERMINAL:
            return []
        if index not in self._successors:
            self._successors[index] = list(self._layers_at(index))
        return list(self._successors[index])

    def random_successor(
        self, layer: Layer | None, rng: np.random.Generator, *, by_kernel: bool = False
    ) -> Layer:
        """A legal next layer: first the type is drawn, then the kernel, then the predecessors.

        Uniform over rows instead, 73 % of the blocks would have 22 layers, since pairs of
        predecessors outnumber the Terminal; Appendix B says that random blocks are simple.

        Args:
            by_kernel: draw type and kernel together, so that types of several kernels, convolutions
                above all, come more often and the Terminal less: 9.4 layers in the mean.
        """
        index = (0 if layer is None else layer.index) + 1
        draw = self._random_label if by_kernel else self._random_type_and_kernel
        kind, kernel = draw(index, rng)
        if kind.ends:
            return Layer.terminal(index)
        if index == 1:
            return Layer(1, kind.type, kernel, 0, 0)
        preds = 1 + rng.choice(index - 1, size=kind.predecessors, replace=False)
        pred1, pred2 = sorted(preds.tolist()) if len(preds) == 2 else (int(preds[0]), 0)
        return Layer(index, kind.type, kernel, pred1, pred2)

    def random_block(self, rng: np.random.Generator, length: int | None = None) -> Block:
        """A block drawn layer by layer with :meth:`random_successor`: 6.4 layers in the mean.

        Args:
            length: of the block; ``None`` draws the Terminal like any other layer.

        Raises:
            ValueError: if the space has no block of this length.
        """
        if length is not None and not 0 < length < self.max_layers:
            raise ValueError(
                f"length must be from 1 to {self.max_layers - 1} (max_layers - 1), got {length}"
            )
        layers: list[Layer] = []
        while len(layers) != length:
            layer = self.random_successor(layers[-1] if layers else None, rng)
            if layer.type != LayerType.TERMINAL:
                layers.append(layer)
            elif length is None:
                break
        return Block(tuple(layers), self.encoding)

    def blocks(self) -> Iterator[Block]:
        """All blocks, short ones first; isomorphic ones under each of their numberings."""
        for length in range(1, self.max_layers):
            for layers in self._prefixes(length):
                yield Block(layers, self.encoding)

    def parse(self, codes: Block | str | Sequence[Sequence[int]]) -> Block:
        """A block of this space.

        Raises:
            InvalidBlockError: also if the block is longer than the space allows, or of the other
                encoding.
        """
        if isinstance(codes, Block) and codes.encoding != self.encoding:
            raise InvalidBlockError(
                f"the block's encoding must be the space's, {self.encoding}, got {codes.encoding}"
            )
        block = Block.parse(
            codes.codes if isinstance(codes, Block) else codes,
            conv_kernels=self.conv_kernels,
            pool_kernels=self.pool_kernels,
            encoding=self.encoding,
            extra_kinds=self.extra_kinds,
        )
        if len(block.layers) >= self.max_layers:
            raise InvalidBlockError(
                f"row {self.max_layers}: the Terminal must come here at the latest "
                f"(max_layers={self.max_layers}), got {len(block.layers)} layers before it"
            )
        return block

    def contains(self, block: Block) -> bool:
        """Whether encoding, length, kinds of layers and kernels are those of this space."""
        return (
            block.encoding == self.encoding
            and len(block.layers) < self.max_layers
            and self._labels.issuperset((layer.type, layer.kernel) for layer in block.layers)
        )

    @cached_property
    def kinds(self) -> tuple[LayerKind, ...]:
        """The kinds of layers, in the order in which successors list them.

        Layers of one predecessor come first, then add and concat, then the Terminal; by type within
        each group.
        """
        kinds = space_kinds(self.encoding, self.extra_kinds)
        return tuple(sorted(kinds, key=lambda kind: (kind.ends, kind.predecessors)))

    def kernels(self, kind: LayerKind) -> tuple[int, ...]:
        """The kernel sizes of a kind in this space; (0,) for a layer without a kernel."""
        return kind.kernel_sizes(self.conv_kernels, self.pool_kernels)

    @cached_property
    def _labels(self) -> frozenset[tuple[int, int]]:
        """Types and kernels that layers of this space may have, whatever their position."""
        return frozenset((kind.type, size) for kind in self.kinds for size in self.kernels(kind))

    def _prefixes(self, length: int) -> Iterator[tuple[Layer, ...]]:
        if length == 0:
            yield ()
            return
        rows = [row for row in self._layers_at(length) if row.type != LayerType.TERMINAL]
        for head in self._prefixes(length - 1):
            for row in rows:
                yield (*head, row)

    def kinds_at(self, index: int) -> list[LayerKind]:
        """The kinds that a layer of this index may be of, the Terminal last."""
        if index >= self.max_layers:
            return [kind for kind in self.kinds if kind.ends]
        # an empty block is not offered, and an add or concat reads two earlier layers
        most_read = 1 if index < 3 else 2
        least_read = 1 if index < 2 else 0
        return [kind for kind in self.kinds if least_read <= kind.predecessors <= most_read]

    def _random_type_and_kernel(
        self, index: int, rng: np.random.Generator
    ) -> tuple[LayerKind, int]:
        kinds = self.kinds_at(index)
        kind = kinds[rng.integers(len(kinds))]
        kernels = self.kernels(kind)
        return kind, kernels[rng.integers(len(kernels))]

    def _random_label(self, index: int, rng: np.random.Generator) -> tuple[LayerKind, int]:
        labels = [(kind, size) for kind in self.kinds_at(index) for size in self.kernels(kind)]
        return labels[rng.integers(len(labels))]

    def _layers_at(self, index: int) -> Iterator[Layer]:
        readable = range(1, index) if index > 1 else range(1)
        for kind in self.kinds_at(index):
            if kind.ends:
                yield Layer.terminal(index)
            elif kind.predecessors == 2:
                for pred1, pred2 in combinations(readable, 2):
                    yield Layer(index, kind.type, 0, pred1, pred2)
            else:
                for kernel in self.kernels(kind):
                    for pred in readable:
                        yield Layer(index, kind.type, kernel, pred, 0)
