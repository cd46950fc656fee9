"""Random blocks for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.kind_table import PREDECESSORS
from nni_blockqnn.blocks.layer import Layer, LayerType

MOST_LAYERS = 22

_KERNELS = {
    LayerType.CONV: (1, 3, 5),
    LayerType.MAX_POOL: (1, 3),
    LayerType.AVG_POOL: (1, 3),
}


@st.composite
def blocks(draw: st.DrawFn, max_layers: int = MOST_LAYERS) -> Block:
    """Blocks of the paper's space, of every length alike."""
    rows = []
    for index in range(1, draw(st.integers(1, max_layers)) + 1):
        types = [layer_type for layer_type in LayerType if layer_type < LayerType.TERMINAL]
        layer_type = draw(st.sampled_from(types if index > 2 else types[:4]))
        kernel = draw(st.sampled_from(_KERNELS.get(layer_type, (0,))))
        pred1 = 0 if index == 1 else draw(st.integers(1, index - 1))
        pred2 = 0
        if PREDECESSORS[layer_type] == 2:
            pred2 = draw(st.integers(1, index - 2))
            pred2 += pred2 >= pred1
        rows.append([index, layer_type.value, kernel, pred1, pred2])
    return Block.parse(rows)


@st.composite
def renumberings(draw: st.DrawFn, block: Block) -> list[list[int]]:
    """The block's layers in another topological order, predecessors of a row in any order."""
    new_index: dict[int, int] = {}
    rows: list[list[int]] = []
    waiting = list(block.layers)
    while waiting:
        ready = [layer for layer in waiting if _is_ready(layer, new_index)]
        layer = draw(st.sampled_from(ready))
        waiting.remove(layer)
        new_index[layer.index] = len(rows) + 1
        preds = draw(st.permutations([new_index.get(p, 0) for p in layer.predecessors]))
        rows.append([len(rows) + 1, layer.type, layer.kernel, *preds, 0][:5])
    return rows


def _is_ready(layer: Layer, new_index: dict[int, int]) -> bool:
    return layer.index == 1 or all(p in new_index for p in layer.predecessors)
