"""``network.json``: what a training says of the network whose weights lie beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nni_blockqnn.blocks.block import Block, parse_block
from nni_blockqnn.blocks.kind_table import is_known
from nni_blockqnn.common.checks import is_number
from nni_blockqnn.common.messages import shown
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.training.weights import DESCRIPTION_NAME

_TRIALS_FOLDER = "network"
"""Where a trial's folder has its network."""
_BYTES_LIMIT = 16 * 2**20
"""Names of hundreds of thousands of classes, and still read at once."""


class ExportError(ValueError):
    """Why a training's folder does not become a network in use.

    One line that names the file or value that is wrong and says what to do.
    """


@dataclass(frozen=True)
class Description:
    """A network, how its images are normalised, and whatever else its training kept.

    Attributes:
        class_names: a name for each output.
        mean: what is subtracted from the images, one number for each channel, on the scale 0 to 1.
        std: what the difference is divided by, one positive number for each channel.
        weights_sha256: SHA-256 of ``weights.safetensors``, in hexadecimal digits.
        facts: all that the file holds: "dataset", "recipe", "accuracy" and others, unchecked.
    """

    block: Block
    spec: NetworkSpec
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights_sha256: str
    facts: Mapping[str, Any]


def read_description(folder: Path) -> Description:
    """What ``network.json`` in the folder says.

    Raises:
        ExportError: if folder or file are missing, or a value does not describe a network.
    """
    path = folder / DESCRIPTION_NAME
    facts = _read_object(path)
    try:
        _check_kinds(facts.get("extra_kinds", []))
        spec = NetworkSpec.from_parameter(_mapping(facts, "network"), facts.get("repeats"))
        channels = spec.input_shape[0]
        return Description(
            block=parse_block(_given(facts, "block"), _given(facts, "encoding")),
            spec=spec,
            class_names=_names(facts, spec.classes),
            mean=_numbers(facts, "mean", channels),
            std=_numbers(facts, "std", channels, positive=True),
            weights_sha256=_text(facts, "weights_sha256"),
            facts=facts,
        )
    except ValueError as error:
        raise ExportError(f"{path} does not describe a network: {error}") from None


def _read_object(path: Path) -> dict[str, Any]:
    folder = path.parent
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder} is a file, not a folder; name the folder that it lies in")
    if not folder.is_dir():
        raise ExportError(
            f"there is no folder {folder}; name one that `blockqnn train` or `blockqnn "
            "export` wrote"
        )
    try:
        with path.open("rb") as file:
            content = file.read(_BYTES_LIMIT + 1)
    except FileNotFoundError:
        below = folder / _TRIALS_FOLDER
        if (below / path.name).is_file():
            raise ExportError(f"{folder} holds no {path.name}, but {below} does; name it") from None
        raise ExportError(
            f"{folder} holds no {path.name}; name a folder that `blockqnn train` or `blockqnn "
            "export` wrote, after the training has ended"
        ) from None
    if len(content) > _BYTES_LIMIT:
        raise ExportError(f"{path} has more than {_BYTES_LIMIT} bytes; it is no training's")
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ExportError(f"{path} is not JSON: {error}; copy it from the training again") from None
    if not isinstance(facts, dict):
        raise ExportError(f"{path} must hold a JSON object, got {shown(facts)}")
    return facts


def _given(facts: Mapping[str, Any], name: str) -> Any:
    if name not in facts:
        raise ValueError(f'it has no "{name}"')
    return facts[name]


def _check_kinds(names: Any) -> None:
    """Refuses kinds of layers that are not registered: what is read must not run code."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f'"extra_kinds" must be a list of texts, got {shown(names)}')
    for name in names:
        if not is_known(name):
            raise ValueError(
                f"it has layers of the kind {shown(name)}, whose code is imported only if you name "
                f"it: load(folder, extra_kinds=[{shown(name)}])"
            )


def _mapping(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = _given(facts, name)
    if not isinstance(value, Mapping):
        raise ValueError(f'"{name}" must be an object, got {shown(value)}')
    return value


def _text(facts: Mapping[str, Any], name: str) -> str:
    value = _given(facts, name)
    if not isinstance(value, str):
        raise ValueError(f'"{name}" must be a text, got {shown(value)}')
    return value


def _names(facts: Mapping[str, Any], classes: int) -> tuple[str, ...]:
    value = _given(facts, "class_names")
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError(f'"class_names" must be a list of texts, got {shown(value)}')
    if len(value) != classes:
        raise ValueError(
            f'"class_names" must be {classes}, a name for each output, not {len(value)}'
        )
    return tuple(value)


def _numbers(
    facts: Mapping[str, Any], name: str, channels: int, positive: bool = False
) -> tuple[float, ...]:
    value = _given(facts, name)
    if not isinstance(value, list) or len(value) != channels:
        raise ValueError(f'"{name}" must be a list of {channels} numbers, got {shown(value)}')
    if not all(is_number(number) and (number > 0 or not positive) for number in value):
        least = " above 0" if positive else ""
        raise ValueError(f'"{name}" must be finite numbers{least}, got {shown(value)}')
    return tuple(map(float, value))
