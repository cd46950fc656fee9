"""NNI's search space, read into the fields of a :class:`SearchSpace`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nni_blockqnn.blocks.block import checked_encoding
from nni_blockqnn.blocks.layer import KERNEL_LIMIT, LAYER_LIMIT
from nni_blockqnn.common.checks import checked_integer
from nni_blockqnn.common.messages import did_you_mean, shown
from nni_blockqnn.network.spec import NetworkSpec

_EXAMPLES = {"repeats": "[4]", "network": '["cifar100"]'}


def space_fields(search_space: Any) -> dict[str, Any]:
    """The fields that are given, checked but for the existence of extra kinds.

    Raises:
        ValueError: naming the key, its value and what is allowed.
    """
    entries = _object("the search space", search_space, ("block", "repeats", "network"))
    if "block" not in entries:
        raise ValueError(
            'the search space needs a "block": {"_type": "nsc", "_value": {"max_layers": 23}}, '
            f"got the keys {shown(sorted(entries))}"
        )
    network = _one_network(entries.get("network", _choice(["cifar100"])))
    spec = NetworkSpec.from_parameter(network)
    repeats = _choices("repeats", entries.get("repeats", _choice([spec.repeats])))
    return _block_fields(entries["block"]) | {
        "repeats": tuple(dict.fromkeys(checked_integer("repeats", n, 1, 1_000) for n in repeats)),
        "network": network,
    }


def _choice(values: list[Any]) -> dict[str, Any]:
    return {"_type": "choice", "_value": values}


def _object(name: str, value: Any, allowed: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be a JSON object, got {shown(value)}")
    unknown = [key for key in value if key not in allowed]
    if unknown:
        known = f"{', '.join(allowed)}{did_you_mean(unknown[0], allowed)}"
        raise ValueError(f"{name} has no key {shown(unknown[0])}; allowed are {known}")
    return value


def _choices(name: str, entry: Any) -> list[Any]:
    fields = _object(name, entry, ("_type", "_value"))
    values = fields.get("_value")
    is_choice = _is(fields.get("_type"), "choice")
    if not is_choice or not isinstance(values, (list, tuple)) or not values:
        raise ValueError(
            f'{name} must be {{"_type": "choice", "_value": {_EXAMPLES[name]}}}, with at least one '
            f"value, "
            f"got {shown(entry)}"
        )
    return list(values)


def _one_network(entry: Any) -> str:
    values = _choices("network", entry)
    if len(values) != 1:
        raise ValueError(
            f"network must have one value, the searched network's, got {shown(values)}"
        )
    spec = NetworkSpec.from_parameter(values[0])
    return values[0] if isinstance(values[0], str) else spec.to_json()


def _block_fields(entry: Any) -> dict[str, Any]:
    fields = _object("block", entry, ("_type", "_value"))
    if not _is(fields.get("_type"), "nsc"):
        raise ValueError(f'the "_type" of block must be "nsc", got {shown(fields.get("_type"))}')
    names = ("max_layers", "conv_kernels", "pool_kernels", "encoding", "extra_kinds")
    values = dict(_object('the "_value" of block', fields.get("_value"), names))
    if "max_layers" in values:
        values["max_layers"] = _max_layers(values["max_layers"])
    for name in ("conv_kernels", "pool_kernels"):
        if name in values:
            values[name] = _kernel_sizes(name, values[name])
    if "encoding" in values:
        values["encoding"] = checked_encoding(values["encoding"])
    if "extra_kinds" in values:
        values["extra_kinds"] = _kind_names(values["extra_kinds"])
    return values


def _kind_names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"extra_kinds must be a list of names, got {shown(value)}")
    return tuple(dict.fromkeys(value))


def _is(value: Any, text: str) -> bool:
    return isinstance(value, str) and value == text  # arrays compare element by element


def _max_layers(value: Any) -> int:
    if checked_integer("max_layers", value, 1, LAYER_LIMIT) < 2:
        raise ValueError(f"max_layers must be 2 (one layer and the Terminal) or more, got {value}")
    return int(value)


def _kernel_sizes(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"{name} must be a list of at least one odd integer, got {shown(value)}")
    kernels = [checked_integer(name, kernel, 1, KERNEL_LIMIT) for kernel in value]
    even = [kernel for kernel in kernels if kernel % 2 == 0]
    if even:
        raise ValueError(f"{name} must be odd, so that the map keeps its size, got {even[0]}")
    return tuple(dict.fromkeys(kernels))
