"""Layer kinds: all that there is to know of a kind of layer, and the one table of them.

A kind comes from one file, which describes it with :class:`LayerKind` and calls :func:`register`:
see :mod:`nni_blockqnn.blocks.kinds.separable`. Codes, search space, costs, networks, exported
source and pictures read this table and know no kind by its number. A kind from outside the package
is named as ``"module:NAME"``, and :func:`find_kind` registers it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nni_blockqnn.blocks.costs import Cost, map_cost
from nni_blockqnn.common.checks import is_integer
from nni_blockqnn.common.messages import shown
from nni_blockqnn.common.plugins import is_reference, load_object

if TYPE_CHECKING:
    from torch import nn

ENCODINGS = ("pcc", "separate")
"""What a convolution's row stands for: ReLU, convolution and batch norm, or the convolution."""

_NAME = re.compile("[a-z][a-z_]*[a-z]")
_COLOUR = re.compile("#[0-9a-f]{6}")


@dataclass(frozen=True, eq=False)
class LayerKind:
    """A kind of layer. All layers keep height and width of the feature map.

    Attributes:
        type: its number in column 2 of the codes, which no other kind has. The package may take
            more numbers below 100; use one from 100 on for a kind of your own.
        name: what messages and NNI's choices call it: letters a to z and "_".
        label: what pictures call it.
        colour: fill of its box in pictures, "#rrggbb".
        kernels: the kernel sizes that it may have: "conv" or "pool" stands for those that the
            search space gives convolutions or poolings; (0,), the default, for a layer without.
        smallest_kernel: smaller ones of these are left out. Default 1.
        outputs: the channels that it writes: "filters", as many as the stage's convolutions, or
            "inputs", as many as it reads (the default).
        reads_rectified: whether a ReLU precedes the module, as in a PCC (Section 3.1). The block
            applies it, once for all layers that read the same map, so ``build`` leaves it out;
            ``cost`` and ``module_source`` include it. Default false.
        overwritable: whether a later layer may overwrite its output in place. It must not if the
            module's backward pass reads the output, or if the output shares memory with the input.
            Default false, which is always right.
        cost: ``cost(inputs, outputs, kernel, area)``, exact, ``area`` being height times width. By
            default that of a layer without weights that writes one feature map.
        build: ``build(inputs, outputs, kernel)``, the module, (B, inputs, H, W) to (B, outputs, H,
            W). It imports torch itself, since this module must not, and does not change its input.
        module_source: ``module_source(inputs, outputs, kernel)``, a Python expression that makes
            the module in an exported ``model.py``, with the same names in its state dict. The
            channels are expressions, too. The file has ``torch``, ``nn``, ``F`` and ``Tensor``,
            and the classes ``ConvBN`` and ``ReLUConvBN`` of (inputs, outputs, kernel).
        function_source: ``function_source(x, kernel)``, instead of it for a layer without weights:
            an expression of the feature map x.
        definitions: source of the classes that ``module_source`` names beside these.
        encodings: the encodings whose blocks may have it. Default: both.
        optional: whether a search space has it only if its ``extra_kinds`` name it. Default true.
        variable: what its outputs are called in exported source; by default its name.
        kernel_colours: colours for single kernel sizes, instead of ``colour``.
        is_symbol: whether its label is a single sign, drawn in a small round box.
        identity_kernels: kernel sizes at which it hands on its input and computes nothing.
        key_type: its number in keys, if that is not ``type``.
        joins: how it joins its two predecessors; ``None`` (the default) if it reads one layer.
        ends: whether it is the Terminal, which reads none.
    """

    type: int
    name: str
    label: str
    colour: str
    kernels: Literal["conv", "pool"] | tuple[int, ...] = (0,)
    smallest_kernel: int = 1
    outputs: Literal["filters", "inputs"] = "inputs"
    reads_rectified: bool = False
    overwritable: bool = False
    cost: Callable[[int, int, int, int], Cost] = lambda inputs, outputs, kernel, area: map_cost(
        outputs, area
    )
    build: Callable[[int, int, int], nn.Module] | None = None
    module_source: Callable[[str, str, int], str] | None = None
    function_source: Callable[[str, int], str] | None = None
    definitions: str = ""
    encodings: tuple[str, ...] = ENCODINGS
    optional: bool = True
    variable: str = ""
    kernel_colours: Mapping[int, str] = field(default_factory=dict)
    is_symbol: bool = False
    identity_kernels: tuple[int, ...] = ()
    key_type: int | None = None
    joins: Literal["add", "concat"] | None = None
    ends: bool = False

    @property
    def predecessors(self) -> int:
        """How many layers it reads."""
        return 0 if self.ends else 2 if self.joins else 1

    def __call__(self, inputs: int, outputs: int, kernel: int) -> nn.Module:
        """The module of a layer of this kind, as ``build`` makes it.

        Raises:
            TypeError: if the kind computes nothing or joins two layers, so that it has none.
        """
        if self.build is None:
            raise TypeError(f"layer kind {self.name} has no module of its own")
        return self.build(inputs, outputs, kernel)

    def kernel_sizes(self, conv: Sequence[int], pool: Sequence[int]) -> tuple[int, ...]:
        """The kernel sizes in a search space that gives convolutions and poolings these ones."""
        if isinstance(self.kernels, tuple):
            return self.kernels
        sizes = conv if self.kernels == "conv" else pool
        return tuple(size for size in sizes if size >= self.smallest_kernel)

    def passes_on(self, kernel: int) -> bool:
        """Whether a layer of this kernel size computes nothing: its output is its input."""
        return kernel in self.identity_kernels

    def key_label(self, kernel: int) -> tuple[int, int]:
        """Type and kernel in keys, equal for layers that compute the same function."""
        if kernel in self.identity_kernels:
            return IDENTITY_LABEL
        return (self.type if self.key_type is None else self.key_type, kernel)


IDENTITY_LABEL = (4, 0)
"""In keys, every layer that computes nothing, poolings of kernel 1 among them."""

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
    _check_fields(kind)
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


def _check_fields(kind: LayerKind) -> None:
    checks = {
        "type": (is_integer(kind.type) and kind.type >= 1, "a positive integer"),
        # a digit at its end would make the variable of layer 1 that of another kind's layer 11
        "name": (_matches(_NAME, kind.name), 'letters a to z, with "_" between them'),
        "label": (isinstance(kind.label, str) and kind.label != "", "a text"),
        "colour": (_matches(_COLOUR, kind.colour), '"#rrggbb" of hexadecimal digits'),
        "kernels": (_are_kernels(kind.kernels), '"conv", "pool" or odd integers'),
        "outputs": (kind.outputs in ("filters", "inputs"), '"filters" or "inputs"'),
        "encodings": (
            bool(kind.encodings) and set(kind.encodings) <= set(ENCODINGS),
            f"some of {', '.join(ENCODINGS)}",
        ),
    }
    if kind.optional:
        sources = (kind.module_source, kind.function_source)
        checks |= {
            "build": (callable(kind.build), "a function"),
            "module_source": (
                sources.count(None) == 1,
                "a function, unless function_source is given",
            ),
            "joins": (kind.predecessors == 1, "None: an optional kind reads one layer"),
        }
    for name, (valid, allowed) in checks.items():
        if not valid:
            raise ValueError(
                f"layer kind {shown(kind.name)}: {name} must be {allowed}, "
                f"got {shown(getattr(kind, name))}"
            )


def _matches(pattern: re.Pattern[str], text: Any) -> bool:
    return isinstance(text, str) and pattern.fullmatch(text) is not None


def _are_kernels(kernels: Any) -> bool:
    if not isinstance(kernels, tuple):
        return isinstance(kernels, str) and kernels in ("conv", "pool")
    return kernels == (0,) or (
        bool(kernels) and all(is_integer(size) and size % 2 == 1 for size in kernels)
    )


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
