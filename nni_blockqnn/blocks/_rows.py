"""Reading the rows of structure codes: each must be a layer that may stand where it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from nni_blockqnn.blocks.kind_table import space_kinds
from nni_blockqnn.blocks.layer import (
    ENCODINGS,
    LAYER_LIMIT,
    ODD_KERNELS,
    InvalidBlockError,
    Layer,
    LayerType,
)
from nni_blockqnn.blocks.layer_kind import LayerKind
from nni_blockqnn.common.checks import is_integer
from nni_blockqnn.common.json_text import read_json
from nni_blockqnn.common.messages import alternatives, shown

_ROW = re.compile(r"(?:(?:0|[1-9][0-9]{0,3}),){4}(?:0|[1-9][0-9]{0,3})")
"""Five numbers as JSON writes them, of up to four digits."""
_MOST_REMEMBERED = 20_000
"""Rows, of which the paper's space has some 4,800."""


class Rules:
    """Which types and kernels a row may have. Made by :func:`rules_of`, equal only to itself.

    Attributes:
        kinds: the kinds that a block may have, by type.
        kernels: the kernel sizes of each, by type.
        types: the types in words, such as "1 to 7".
        read: layers by the text of their rows, as far as :func:`remember` has seen them.
    """

    def __init__(
        self,
        conv_kernels: tuple[int, ...],
        pool_kernels: tuple[int, ...],
        encoding: str,
        extra_kinds: tuple[str, ...] = (),
    ) -> None:
        self.kinds: dict[int, LayerKind] = {}
        self.kernels: dict[int, tuple[int, ...]] = {}
        for kind in space_kinds(encoding, extra_kinds):
            kernels = kind.kernel_sizes(conv_kernels, pool_kernels)
            if kernels:
                self.kinds[kind.type] = kind
                self.kernels[kind.type] = kernels
        self.types = _ranges(sorted(self.kinds))
        self.read: dict[str, Layer] = {}


def _ranges(numbers: Sequence[int]) -> str:
    """'1 to 7 or 11'"""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1] = [ranges[-1][0], number]
        else:
            ranges.append([number])
    return alternatives([" to ".join(map(str, ends)) for ends in ranges])


rules_of = lru_cache(maxsize=64)(Rules)
"""One object for the same rules, so that rows that were checked by them are found quickly."""


def stated_encoding(codes: Any) -> tuple[Any, Any]:
    """The encoding that codes or their JSON text name, or ``None``, and the rows, unchecked.

    Raises:
        InvalidBlockError: if the text is not JSON, or an object with other keys.
    """
    if isinstance(codes, str):
        try:
            codes = read_json(codes)
        except ValueError as error:
            raise InvalidBlockError(
                f"a block must be a JSON list of rows, got {shown(codes)}: {error}"
            ) from None
    if not isinstance(codes, Mapping):
        return None, codes
    if codes.keys() != {"encoding", "codes"}:
        raise InvalidBlockError(
            'a block must be a list of rows, or an object of "encoding" and "codes", '
            f"got {shown(codes)}"
        )
    encoding = codes["encoding"]
    if not isinstance(encoding, str) or encoding not in ENCODINGS:
        raise InvalidBlockError(
            f"the block's encoding must be {alternatives(ENCODINGS)}, got {shown(encoding)}"
        )
    return encoding, codes["codes"]


def read_layers(codes: Any, rules: Rules) -> tuple[Layer, ...]:
    """The layers without the Terminal.

    Raises:
        InvalidBlockError: naming the row, the rule and the value.
    """
    rows = _rows_of(codes)
    layers = [_parse_row(position, row, rules) for position, row in enumerate(rows, 1)]
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
    return tuple(layers)


def remembered_layers(text: str, rules: Rules) -> tuple[Layer, ...] | None:
    """The layers of a text in :meth:`Block.to_json`'s form; None of any other, and of a wrong one.

    A row says its own position, so its text says whether it may stand where it stands, and each is
    read once. Thousands of blocks are read back from results, and this takes a tenth of the time.
    """
    if not (text.startswith("[[") and text.endswith("]]")):
        return None
    rows = text[2:-2].split("],[")
    if len(rows) > LAYER_LIMIT:
        return None
    layers = [rules.read.get(row) for row in rows]
    if None in layers:
        _remember(rows, rules)
        layers = [rules.read.get(row) for row in rows]
    for position, layer in enumerate(layers, 1):
        if layer is None or layer.index != position:
            return None
        if layer.type == LayerType.TERMINAL and position != len(layers):
            return None
    known = [layer for layer in layers if layer is not None and layer.type != LayerType.TERMINAL]
    return tuple(known) or None


def _remember(rows: Sequence[str], rules: Rules) -> None:
    """Keep those that are layers; what is wrong with the others is found by :func:`read_layers`."""
    for position, row in enumerate(rows, 1):
        if row in rules.read or len(rules.read) >= _MOST_REMEMBERED or not _ROW.fullmatch(row):
            continue
        with suppress(InvalidBlockError):
            rules.read[row] = _checked_layer(position, tuple(map(int, row.split(","))), rules)


def _rows_of(codes: Any) -> list[Any]:
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
    """The array's rows as lists.

    The shape is checked first: a view of a billion rows takes no memory, but their list does.
    """
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


def _parse_row(position: int, row: Any, rules: Rules) -> Layer:
    return _checked_layer(position, _integers(position, row), rules)


def _integers(position: int, row: Any) -> tuple[int, ...]:
    if not isinstance(row, (list, tuple)) or len(row) != 5:
        raise InvalidBlockError(f"row {position}: a row must be five integers, got {shown(row)}")
    if set(map(type, row)) == {int}:  # much faster than the full check, and thousands are resumed
        return tuple(row)
    for name, value in zip(Layer._fields, row, strict=True):
        if not is_integer(value):
            raise InvalidBlockError(
                f"row {position}: {name} must be an integer, got {shown(value)}"
            )
    return tuple(map(int, row))


@lru_cache(maxsize=8192)  # the paper's space has some 4,800 rows
def _checked_layer(position: int, values: tuple[int, ...], rules: Rules) -> Layer:
    layer = Layer(*values)
    if layer.index != position:
        raise _row_error(
            position, f"the layer index must count the rows and be {position}", "index", layer.index
        )
    if layer.type not in rules.kinds:
        raise _row_error(position, f"the layer type must be {rules.types}", "type", layer.type)
    kind, allowed = rules.kinds[layer.type], rules.kernels[layer.type]
    if layer.kernel not in allowed:
        raise _row_error(
            position,
            f"the kernel of {kind.name} must be {_kernels_in_words(allowed)}",
            "kernel",
            layer.kernel,
        )
    return _with_checked_predecessors(layer, kind)


def _kernels_in_words(kernels: tuple[int, ...]) -> str:
    """'1, 3 or 5'"""
    if kernels and kernels == ODD_KERNELS[-len(kernels) :]:
        return f"an odd number from {kernels[0]} to {kernels[-1]}"
    return alternatives(kernels)


def _with_checked_predecessors(layer: Layer, kind: LayerKind) -> Layer:
    """The layer, its predecessors in ascending order."""
    count = kind.predecessors
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
            raise _row_error(layer.index, f"{name} of {kind.name} must be 0", name, value)
    if count == 2:
        if layer.pred1 == layer.pred2:
            raise _row_error(
                layer.index,
                f"the predecessors of {kind.name} must differ",
                "pred2",
                layer.pred2,
            )
        if layer.pred1 > layer.pred2:
            return layer._replace(pred1=layer.pred2, pred2=layer.pred1)
    return layer


def _row_error(position: int, rule: str, name: str, value: int) -> InvalidBlockError:
    return InvalidBlockError(f"row {position}: {rule}, got {name}={shown(value)}")
