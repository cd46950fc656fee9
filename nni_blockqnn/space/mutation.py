"""New blocks out of known ones, for searches that go on from what is good.

The edits of :func:`mutate` are those of graph searches such as regularized evolution (arXiv
1802.01548): a layer is changed, rewired, inserted or removed. :func:`splice` is a one-point
crossover.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer import InvalidBlockError, Layer, LayerType
from nni_blockqnn.space.search_space import START, SearchSpace

_ATTEMPTS = 100


def mutate(block: Block, space: SearchSpace, rng: np.random.Generator) -> Block:
    """A block of the space that differs from ``block`` by one edit of its rows.

    The block itself if no edit leads to another one, as in a space of a single block.
    """
    edits = (_change, _rewire, _insert, _remove)
    for _ in range(_ATTEMPTS):
        rows = edits[rng.integers(len(edits))](block.layers, space, rng)
        try:
            mutant = space.parse([list(row) for row in rows])
        except InvalidBlockError:  # such as an add of a layer to itself, or a block too long
            continue
        if mutant != block:
            return mutant
    return block


def splice(first: Block, second: Block, space: SearchSpace, rng: np.random.Generator) -> Block:
    """The beginning of one block, continued by the end of another, as a block of the space.

    Layers of the end read what they read before where that is in the end itself; what they read of
    the second block's beginning becomes the last layer of the first one's, or an earlier one at the
    same distance. ``first`` itself if no cut gives a block that differs from both.
    """
    for _ in range(_ATTEMPTS):
        kept = int(rng.integers(1, len(first.layers) + 1))
        cut = int(rng.integers(1, len(second.layers) + 1))
        rows = [*first.layers[:kept], *_continued(second.layers[cut:], cut, kept)]
        try:
            block = space.parse([list(row) for row in rows])
        except InvalidBlockError:  # such as a block too long
            continue
        if block not in (first, second):
            return block
    return first


def _continued(layers: Sequence[Layer], cut: int, kept: int) -> Iterator[Layer]:
    """Layers after position ``cut`` of their block, put after ``kept`` layers of another."""
    for layer in layers:
        read = [max(p + kept - cut, 1) for p in layer.predecessors]
        yield _reading(layer._replace(index=layer.index + kept - cut), read)


def _change(
    layers: Sequence[Layer], space: SearchSpace, rng: np.random.Generator
) -> Sequence[Layer]:
    """Another type or kernel for one layer, which keeps as many predecessors as it can."""
    at = int(rng.integers(len(layers)))
    old = layers[at]
    new = _draw(old.index, space, rng)
    kept = (*old.predecessors, new.pred2)[: len(new.predecessors)]
    return [*layers[:at], _reading(new, kept), *layers[at + 1 :]]


def _rewire(
    layers: Sequence[Layer], space: SearchSpace, rng: np.random.Generator
) -> Sequence[Layer]:
    """Another predecessor for one layer; the first layer has no choice."""
    if len(layers) < 2:
        return layers
    at = int(rng.integers(1, len(layers)))
    predecessors = list(layers[at].predecessors)
    predecessors[rng.integers(len(predecessors))] = int(rng.integers(1, at + 1))
    return [*layers[:at], _reading(layers[at], predecessors), *layers[at + 1 :]]


def _insert(
    layers: Sequence[Layer], space: SearchSpace, rng: np.random.Generator
) -> Sequence[Layer]:
    """One more layer; with probability 1/2, a later layer reads it instead of an earlier one."""
    index = int(rng.integers(1, len(layers) + 2))
    later = [
        _reading(
            layer._replace(index=layer.index + 1),
            [p + (p >= index) if p else 1 for p in layer.predecessors],
        )
        for layer in layers[index - 1 :]
    ]
    if later and rng.random() < 0.5:
        at = int(rng.integers(len(later)))
        predecessors = list(later[at].predecessors)
        predecessors[rng.integers(len(predecessors))] = index
        later[at] = _reading(later[at], predecessors)
    return [*layers[: index - 1], _draw(index, space, rng), *later]


def _remove(
    layers: Sequence[Layer], space: SearchSpace, rng: np.random.Generator
) -> Sequence[Layer]:
    """One layer fewer; its readers read its predecessor instead."""
    at = int(rng.integers(len(layers)))
    gone = layers[at]
    instead = max(gone.pred1, 1)
    later = []
    for layer in layers[at + 1 :]:
        read = [instead if p == gone.index else p - (p > gone.index) for p in layer.predecessors]
        index = layer.index - 1
        later.append(_reading(layer._replace(index=index), read if index > 1 else [0]))
    return [*layers[:at], *later]


def _draw(index: int, space: SearchSpace, rng: np.random.Generator) -> Layer:
    """A random layer of this index; the Terminal only where the space allows nothing else."""
    previous = START if index == 1 else Layer.terminal(index - 1)
    for _ in range(_ATTEMPTS):
        layer = space.random_successor(previous, rng)
        if layer.type != LayerType.TERMINAL:
            break
    return layer


def _reading(layer: Layer, predecessors: Sequence[int]) -> Layer:
    pred1, pred2 = (*predecessors, 0, 0)[:2]
    return layer._replace(pred1=pred1, pred2=pred2)
