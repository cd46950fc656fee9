"""A block's layers as lines of PyTorch code, its channels as expressions.

Channels are sums of "inputs", "filters" and the outputs of adds whose width those decide, so that
one class serves all places of the network.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer import Layer, LayerType

Channels = Counter[str]

_NAMES = {
    LayerType.CONV: "conv",
    LayerType.MAX_POOL: "max",
    LayerType.AVG_POOL: "avg",
    LayerType.ADD: "sum",
    LayerType.CONCAT: "concat",
    LayerType.RELU: "relu",
    LayerType.BN: "norm",
}
_LINE_LENGTH, _INDENTATION = 100, 8


class BlockSource(NamedTuple):
    """Statements of a block's class; a list may be empty.

    Attributes:
        layers: those of ``__init__`` that make the layers with weights, as ``self.layers``.
        outputs: an expression, the channels that leave the block.
        forward: those of ``forward``, from the feature map ``x`` to the return.
        adds: whether a sum needs the class ``Add``.
    """

    layers: list[str]
    outputs: str
    forward: list[str]
    adds: bool


class _Value(NamedTuple):
    """A feature map: the variable that holds it, and its channels."""

    variable: str
    channels: Channels


def block_source(block: Block, project_input: bool) -> BlockSource:
    """The statements, made from the block's integers and nothing else."""
    writer = _Writer(block.encoding)
    values = [_Value("x", Counter(["filters" if project_input else "inputs"]))]
    for layer in block.layers:
        values.append(writer.write(layer, [values[read] for read in layer.predecessors]))
    leaves = [values[leaf] for leaf in block.leaves]
    outputs = sum((leaf.channels for leaf in leaves), Counter())
    result = _call("return ", [leaf.variable for leaf in leaves])
    return BlockSource(writer.layers, _text(outputs), [*writer.forward, *result], writer.adds)


class _Writer:
    """Collects the statements, layer by layer."""

    def __init__(self, encoding: str) -> None:
        self._pcc = encoding == "pcc"
        self.layers: list[str] = []
        self.forward: list[str] = []
        self.adds = False

    def write(self, layer: Layer, read: list[_Value]) -> _Value:
        """The layer's output. Layers that compute nothing hand on their input."""
        first = read[0]
        pooling = layer.type in (LayerType.MAX_POOL, LayerType.AVG_POOL)
        if layer.type == LayerType.IDENTITY or (pooling and layer.kernel == 1):
            return first
        name = f"{_NAMES[LayerType(layer.type)]}{layer.index}"
        arguments = ", ".join(value.variable for value in read)
        if layer.type == LayerType.ADD:
            return self._add(layer, name, read)
        if layer.type == LayerType.CONCAT:
            self.forward += _call(f"{name} = ", [value.variable for value in read])
            return _Value(name, first.channels + read[1].channels)
        if layer.type in (LayerType.CONV, LayerType.BN):
            self.layers.append(f"self.layers[{_key(layer)}] = {self._module(layer, first)}")
            self.forward.append(f"{name} = self.layers[{_key(layer)}]({arguments})")
            convolves = layer.type == LayerType.CONV
            return _Value(name, Counter(["filters"]) if convolves else first.channels)
        self.forward.append(f"{name} = {_function(layer, arguments)}")
        return _Value(name, first.channels)

    def _module(self, layer: Layer, read: _Value) -> str:
        channels = _text(read.channels)
        if layer.type == LayerType.BN:
            return f"nn.BatchNorm2d({channels})"
        if self._pcc:
            return f"ReLUConvBN({channels}, filters, {layer.kernel})"
        padding = f", padding={layer.kernel // 2}" if layer.kernel > 1 else ""
        return f"nn.Conv2d({channels}, filters, {layer.kernel}{padding}, bias=False)"

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


def _function(layer: Layer, argument: str) -> str:
    if layer.type == LayerType.RELU:
        return f"F.relu({argument})"
    size = f"{layer.kernel}, stride=1, padding={layer.kernel // 2}"
    if layer.type == LayerType.MAX_POOL:
        return f"F.max_pool2d({argument}, {size})"
    return f"F.avg_pool2d({argument}, {size}, count_include_pad=False)"


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
