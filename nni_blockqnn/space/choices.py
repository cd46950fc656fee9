"""The space of blocks as NNI's ordinary choices, for tuners that know nothing of blocks.

=================  ===================================================================
key                values
=================  ===================================================================
``layerI``         "conv 3", "max_pool 3", "identity", ...: name and kernel of row I, of
                   all kinds of layers that the space has;
                   from row 2 on "end", from row 3 on "add" and "concat" as well
``layerI_pred1``   from row 3 on: the row that it reads, 1 to I - 1
``layerI_pred2``   from row 4 on: for an add or concat the other row that it reads,
                   counted without pred1, so 1 to I - 2
=================  ===================================================================

Row 1 reads the block's input and row 2 reads row 1; an add or concat in row 3 reads rows 1 and 2.
The first "end" ends the block, and what follows says nothing then, as pred2 says nothing elsewhere.
So every combination is a block, and nothing has to be repaired. The choices reach every
``Block.key`` of the space, though not every code: a pooling of kernel 1
computes the identity, has its key and its cost, and is left out, since three names for one layer
cost these tuners trials.

>>> block_of({"layer1": "conv 3", "layer2": "identity", "layer3": "add", "layer3_pred1": 2},
...          SearchSpace(max_layers=4)).codes
[[1, 1, 3, 0, 0], [2, 4, 0, 1, 0], [3, 5, 0, 1, 2], [4, 7, 0, 0, 0]]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer_kind import LayerKind
from nni_blockqnn.common.messages import shown
from nni_blockqnn.space.search_space import SearchSpace

END = "end"


def choices_space(space: SearchSpace) -> dict[str, dict[str, Any]]:
    """NNI's search space: JSON, one ``choice`` for each key above."""
    return {
        key: {"_type": "choice", "_value": values} for key, values in _allowed_values(space).items()
    }


def block_of(choices: Mapping[str, Any], space: SearchSpace) -> Block:
    """The block that a tuner's choices from :func:`choices_space` of the same space stand for.

    Raises:
        ValueError: naming the key, its value and what is allowed.
    """
    _check(choices, _allowed_values(space))
    kinds = {_name(kind): kind for kind in space.kinds}
    rows = []
    for index in range(1, space.max_layers):
        name, _, kernel = choices[f"layer{index}"].partition(" ")
        if name == END:
            break
        preds = _predecessors(index, kinds[name], choices)
        rows.append((index, kinds[name].type, int(kernel or 0), *preds))
    return space.parse(rows)


def _allowed_values(space: SearchSpace) -> dict[str, list[Any]]:
    values: dict[str, list[Any]] = {}
    for index in range(1, space.max_layers):
        values[f"layer{index}"] = _layers(index, space)
        if index >= 3:
            values[f"layer{index}_pred1"] = list(range(1, index))
        if index >= 4:
            values[f"layer{index}_pred2"] = list(range(1, index - 1))
    return values


def _layers(index: int, space: SearchSpace) -> list[str]:
    return [
        f"{_name(kind)} {kernel}" if kernel else _name(kind)
        for kind in space.kinds_at(index)
        for kernel in space.kernels(kind)
        if not kernel or not kind.passes_on(kernel)
    ]


def _name(kind: LayerKind) -> str:
    return END if kind.ends else kind.name


def _predecessors(index: int, kind: LayerKind, choices: Mapping[str, Any]) -> tuple[int, int]:
    if index == 1:
        return 0, 0
    pred1 = choices.get(f"layer{index}_pred1", 1)
    if kind.predecessors < 2:
        return pred1, 0
    pred2 = choices.get(f"layer{index}_pred2", 1)
    return pred1, pred2 + (pred2 >= pred1)


def _check(choices: Any, allowed: Mapping[str, list[Any]]) -> None:
    if not isinstance(choices, Mapping):
        raise ValueError(f"the choices must be an object, got {shown(choices)}")
    unknown = [key for key in choices if key not in allowed]
    if unknown:
        raise ValueError(
            f"the choices have no key {shown(unknown[0])}; allowed are {shown(list(allowed))}"
        )
    for key, values in allowed.items():
        value = choices.get(key)
        if type(value) not in (int, str) or value not in values:  # True is no 1
            raise ValueError(f"{key} must be one of {shown(values, 200)}, got {shown(value)}")
