"""What there is to know of a kind of layer, in one object."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nni_blockqnn.blocks.costs import Cost, map_cost
from nni_blockqnn.common.checks import is_integer
from nni_blockqnn.common.messages import shown

if TYPE_CHECKING:
    from torch import nn

ENCODINGS = ("pcc", "separate")
"""What a convolution's row stands for: ReLU, convolution and batch norm, or the convolution."""
IDENTITY_LABEL = (4, 0)
"""In keys, every layer that computes nothing, poolings of kernel 1 among them."""

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
        kernel_colours: colours for single kernel sizes, instead of ``colour``. Sizes larger than
            these get colours beyond the largest's.
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


def check_fields(kind: LayerKind) -> None:
    """
    Raises:
        ValueError: if a field is wrong; naming it, its value and what is allowed.
    """
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
