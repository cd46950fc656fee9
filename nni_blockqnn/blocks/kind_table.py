"""The one table of layer kinds.

A kind comes from one file, which describes it with
:class:`~nni_blockqnn.blocks.layer_kind.LayerKind` and calls :func:`register`: see
:mod:`nni_blockqnn.blocks.kinds.separable`. Codes, search space, costs, networks, exported source
and pictures read this table and know no kind by its number. A kind from outside the package is
named as ``"module:NAME"``, and :func:`find_kind` registers it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nni_blockqnn.blocks.layer_kind import ENCODINGS, LayerKind, check_fields
from nni_blockqnn.common.messages import shown
from nni_blockqnn.common.plugins import is_reference, load_object

PREDECESSORS: dict[int, int] = {}
"""How many layers a layer reads, by its type."""
_KINDS: list[LayerKind] = []
_TABLES: dict[str, dict[int, LayerKind]] = {encoding: {} for encoding in ENCODINGS}
"""For each encoding, its kinds by type."""
_LOADED: dict[str, LayerKind] = {}
"""Kinds by the "module:NAME" that they were loaded from."""
_PACKAGE = "nni_blockqnn."


def register(kind: LayerKind) -> LayerKind:
    """Add a kind to the table and return it; the same object again changes nothing.

    Raises:
        ValueError: if a field is wrong, or another kind has its type or name; naming the field, its
            value and what is allowed.
    """
    if kind in _KINDS:
        return kind
    check_fields(kind)
    _check_unused(kind)
    _KINDS.append(kind)
    PREDECESSORS[kind.type] = kind.predecessors
    for encoding in kind.encodings:
        _TABLES[encoding][kind.type] = kind
    return kind


def kinds_of(encoding: str) -> Mapping[int, LayerKind]:
    """All kinds of the encoding by type, optional ones included."""
    return _TABLES[encoding]


def kind_of_type(layer_type: int) -> LayerKind:
    """The kind of this type in the encoding "pcc", or else in "separate"; to draw either."""
    table = next(table for table in _TABLES.values() if layer_type in table)
    return table[layer_type]


def all_kinds() -> list[LayerKind]:
    """All kinds, by type."""
    return sorted(_KINDS, key=lambda kind: kind.type)


def space_kinds(encoding: str, extra_kinds: Sequence[str] = ()) -> list[LayerKind]:
    """The kinds of a space by type: those that are not optional, and the extra ones.

    Raises:
        ValueError: if an extra kind is not known, or not one of the encoding.
    """
    extras = {find_kind(name) for name in extra_kinds}
    for kind in extras:
        if encoding not in kind.encodings:
            raise ValueError(
                f"extra_kinds: {kind.name} is a kind of the encoding "
                f"{' and '.join(kind.encodings)}, got encoding {encoding}"
            )
    kinds = sorted(_TABLES[encoding].items())
    return [kind for _, kind in kinds if not kind.optional or kind in extras]


def find_kind(name: str) -> LayerKind:
    """The optional kind of this name; ``"module:NAME"`` is imported and registered.

    Raises:
        ValueError: if there is none.
    """
    if not is_known(name):
        if not (isinstance(name, str) and is_reference(name)):
            raise ValueError(
                f'extra_kinds must be of {", ".join(_optional_kinds())} or "module:NAME", '
                f"got {shown(name)}"
            )
        kind = load_object(name, "a layer kind")
        if not isinstance(kind, LayerKind) or not kind.optional:
            raise ValueError(
                f"extra_kinds: {shown(name)} must be an optional LayerKind, got {shown(kind)}"
            )
        _LOADED[name] = register(kind)
    return _LOADED[name] if name in _LOADED else _optional_kinds()[name]


def is_known(name: Any) -> bool:
    """Whether :func:`find_kind` finds it without an import."""
    return isinstance(name, str) and (name in _LOADED or name in _optional_kinds())


def kind_address(kind: LayerKind) -> str:
    """What :func:`find_kind` finds it by in another process: its name, or "module:NAME"."""
    addresses = (name for name, loaded in _LOADED.items() if loaded is kind)
    return next((name for name in addresses if not name.startswith(_PACKAGE)), kind.name)


def optional_names(encoding: str) -> list[str]:
    """Names of the encoding's optional kinds that are registered."""
    return [kind.name for kind in _TABLES[encoding].values() if kind.optional]


def _optional_kinds() -> dict[str, LayerKind]:
    return {kind.name: kind for kind in all_kinds() if kind.optional}


def _check_unused(kind: LayerKind) -> None:
    """The two encodings may give a type or a name different meanings, as they do with type 1."""
    for other in _KINDS:
        if (
            not (kind.optional or other.optional)
            and not {*kind.encodings} & {*other.encodings}
            and kind.key_label(0) != other.key_label(0)
        ):
            continue
        if kind.name == other.name:
            raise ValueError(
                f"layer kind {kind.name}: another one has this name; choose a different one"
            )
        numbers = {kind.type, kind.key_type} & {other.type, other.key_type} - {None}
        if numbers:
            raise ValueError(
                f"layer kind {kind.name}: type must be a number that no other kind has, got "
                f"{kind.type}, which is taken by {other.name}"
            )
