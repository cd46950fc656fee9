"""A block's layers as lines of PyTorch code, its channels as expressions.

Channels are sums of "inputs", "filters" and the outputs of adds whose width those decide, so that
one class serves all places of the network.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer import Layer
from nni_blockqnn.blocks.layer_kind import LayerKind

Channels = Counter[str]

_LINE_LENGTH, _INDENTATION = 100, 8


class BlockSource(NamedTuple):
    """Statements of a block's class; a list may be empty.

    Attributes:
        layers: those of ``__init__`` that make the layers with weights, as ``self.layers``.
        outputs: an expression, the channels that leave the block.
        forward: those of ``forward``, from the feature map ``x`` to the return.
        adds: whether a sum needs the class ``Add``.
        definitions: classes that the layers need beside those of every network.
    """

    layers: list[str]
    outputs: str
    forward: list[str]
    adds: bool
    definitions: list[str]

    def names(self, name: str) -> bool:
        """Whether a layer or a definition uses the class of this name."""
        return any(f"{name}(" in text for text in (*self.layers, *self.definitions))


class _Value(NamedTuple):
    """A feature map: the variable that holds it, and its channels."""

    variable: str
    channels: Channels


def block_source(block: Block, project_input: bool) -> BlockSource:
    """The statements, made from the block's integers and its kinds of layers."""
    writer = _Writer()
    values = [_Value("x", Counter(["filters" if project_input else "inputs"]))]
    for layer, kind in zip(block.layers, block.kinds, strict=True):
        values.append(writer.write(layer, kind, [values[read] for read in layer.predecessors]))
    leaves = [values[leaf] for leaf in block.leaves]
    outputs = sum((leaf.channels for leaf in leaves), Counter())
    result = _call("return ", [leaf.variable for leaf in leaves])
    definitions = [kind.definitions.strip("\n") for kind in block.kinds if kind.definitions]
    return BlockSource(
        writer.layers,
        _text(outputs),
        [*writer.forward, *result],
        writer.adds,
        list(dict.fromkeys(definitions)),
    )


class _Writer:
    """Collects the statements, layer by layer."""

    def __init__(self) -> None:
        self.layers: list[str] = []
        self.forward: list[str] = []
        self.adds = False

    def write(self, layer: Layer, kind: LayerKind, read: list[_Value]) -> _Value:
        """The layer's output. Layers that compute nothing hand on their input."""
        first = read[0]
        if kind.passes_on(layer.kernel):
            return first
        name = f"{kind.variable or kind.name}{layer.index}"
        if kind.joins == "add":
            return self._add(layer, name, read)
        if kind.joins == "concat":
            self.forward += _call(f"{name} = ", [value.variable for value in read])
            return _Value(name, first.channels + read[1].channels)
        outputs = Counter(["filters"]) if kind.outputs == "filters" else first.channels
        self.forward.append(f"{name} = {self._applied(layer, kind, first, outputs)}")
        return _Value(name, outputs)

    def _applied(self, layer: Layer, kind: LayerKind, read: _Value, outputs: Channels) -> str:
        """The layer's function of what it reads, as an expression."""
        if kind.function_source is not None:
            return kind.function_source(read.variable, layer.kernel)
        assert kind.module_source is not None, kind.name
        module = kind.module_source(_text(read.channels), _text(outputs), layer.kernel)
        self.layers.append(f"self.layers[{_key(layer)}] = {module}")
        return f"self.layers[{_key(layer)}]({read.variable})"

    def _add(self, layer: Layer, name: str, read: list[_Value]) -> _Value:
        first, second = read
        if first.channels == second.channels:
            self.forward.append(f"{name} = {first.variable} + {second.variable}")
            return _Value(name, first.channels)
        self.adds = True
        module = f"Add({_text(first.channels)}, {_text(second.channels)}, filters)"
        self.forward.append(
            f"{name} = self.layers[{_key(layer)}]({first.variable}, {second.variable})"
        )
        if {*first.channels, *second.channels} == {"filters"}:  # unequal multiples of it
            self.layers.append(f"self.layers[{_key(layer)}] = {module}")
            return _Value(name, Counter(["filters"]))
        self.layers += [f"{name} = {module}", f"self.layers[{_key(layer)}] = {name}"]
        return _Value(name, Counter([f"{name}.outputs"]))


def _key(layer: Layer) -> str:
    return f'"{layer.index}"'


def _text(channels: Channels) -> str:
    """Such as "inputs + 2 * filters"."""
    inputs_first = sorted(channels.items(), key=lambda item: item[0] != "inputs")
    return " + ".join(
        symbol if count == 1 else f"{count} * {symbol}" for symbol, count in inputs_first
    )


def _call(beginning: str, maps: list[str]) -> list[str]:
    """A concatenation of feature maps behind "return " or an assignment; one map is itself."""
    if len(maps) == 1:
        return [f"{beginning}{maps[0]}"]
    line = f"{beginning}torch.cat([{', '.join(maps)}], dim=1)"
    if len(line) <= _LINE_LENGTH - _INDENTATION:
        return [line]
    items = [f"        {name}," for name in maps]
    return [f"{beginning}torch.cat(", "    [", *items, "    ],", "    dim=1,", ")"]
