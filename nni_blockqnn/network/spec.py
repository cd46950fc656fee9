"""What surrounds the block: images, classes, widths, repeats, frame (paper, Section 3.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from nni_blockqnn.common.checks import checked_integer
from nni_blockqnn.common.json_text import read_json
from nni_blockqnn.common.messages import did_you_mean, shown

FRAMES = ("stack", "residual", "nin", "upsample")

PRESETS: dict[str, dict[str, Any]] = {
    "digits": {"input_shape": (1, 8, 8), "classes": 10, "filters": (16, 32), "repeats": 1},
    "fashion_mnist": {
        "input_shape": (1, 28, 28),
        "classes": 10,
        "filters": (16, 32, 64),
        "repeats": 2,
    },
    "cifar10": {"input_shape": (3, 32, 32), "classes": 10, "filters": (32, 64, 128), "repeats": 4},
    "cifar100": {
        "input_shape": (3, 32, 32),
        "classes": 100,
        "filters": (32, 64, 128),
        "repeats": 4,
    },
    "imagenet": {
        "input_shape": (3, 224, 224),
        "classes": 1000,
        "filters": (64, 128, 256, 512),
        "repeats": 3,
        "stem_convs": 2,
        "stem_pools": 2,
    },
}
"""Networks by name. The paper gives CIFAR's and ImageNet's (Sections 5.2 and 5.3); the two small
ones are ours."""

WIDTH_LIMIT = 65_536
"""The most filters of a stage."""
_SIZE_LIMIT = 65_536
_COUNT_LIMIT = 1_000


@dataclass(frozen=True, init=False)
class NetworkSpec:
    """A stacked network around a block.

    Attributes:
        input_shape: (channels, height, width) of an image.
        classes: outputs of the network.
        filters: output channels of the convolutions, one number for each stage; a 2x2 max pooling
            halves the map between stages.
        repeats: N, the number of blocks in each stage.
        stem_convs: 3x3 convolutions before the first block.
        stem_pools: how many of the stem's convolutions, counted from the first, are followed by a
            2x2 max pooling.
        project_input: whether a 1x1 PCC precedes each block whose input channels differ from the
            stage's filters (ours). False is the bare reading of the paper, in which the width grows
            from block to block.
        frame: "stack" puts blocks in sequence, "residual" adds a short-cut around each, "nin"
            follows each stage with the two 1x1 convolutions of a Network-in-Network and classifies
            without a linear layer. "upsample" (ours) goes back up to the first stage's size, as an
            hourglass does: before each stage but the last one there, the map is doubled, the
            downward stage's of that size is added, and as many blocks follow. It gives maps.
    """

    input_shape: tuple[int, int, int]
    classes: int
    filters: tuple[int, ...]
    repeats: int
    stem_convs: int
    stem_pools: int
    project_input: bool
    frame: str

    def __init__(
        self,
        preset: str | None = None,
        *,
        input_shape: Sequence[int] | None = None,
        classes: int | None = None,
        filters: Sequence[int] | None = None,
        repeats: int | None = None,
        stem_convs: int | None = None,
        stem_pools: int | None = None,
        project_input: bool | None = None,
        frame: str | None = None,
    ) -> None:
        """Fields of the preset (default: CIFAR-10's), each replaced by the argument of its name.

        Raises:
            ValueError: naming the field, its value and what is allowed.
        """
        given = {
            "input_shape": input_shape,
            "classes": classes,
            "filters": filters,
            "repeats": repeats,
            "stem_convs": stem_convs,
            "stem_pools": stem_pools,
            "project_input": project_input,
            "frame": frame,
        }
        defaults = {"stem_convs": 1, "stem_pools": 0, "project_input": True, "frame": "stack"}
        fields = (
            defaults
            | _preset(preset)
            | {name: value for name, value in given.items() if value is not None}
        )
        for name, value in fields.items():
            object.__setattr__(self, name, _CHECKS[name](name, value))
        self._check_sizes()

    @classmethod
    def from_parameter(
        cls, network: str | Mapping[str, Any], repeats: int | None = None
    ) -> NetworkSpec:
        """The spec that the `network` of a trial's parameters describes.

        Args:
            network: a preset's name, or the fields as JSON text or a dict; "preset" among them
                names the preset whose fields the others replace.
            repeats: replaces the network's own number.

        Raises:
            ValueError: naming the field, its value and what is allowed.
        """
        if isinstance(network, str) and not network.lstrip().startswith("{"):
            return cls(network, repeats=repeats)
        fields = _fields(network)
        names = {name if isinstance(name, str) else shown(name) for name in fields}
        unknown = sorted(names - {"preset", *_CHECKS})
        if unknown:
            allowed = ("preset", *_CHECKS)
            known = f"{', '.join(allowed)}{did_you_mean(unknown[0], allowed)}"
            raise ValueError(f"network has no field {shown(unknown[0])}; allowed are {known}")
        return cls(**(fields | ({"repeats": repeats} if repeats is not None else {})))

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    def with_repeats(self, repeats: int) -> NetworkSpec:
        return replace(self, repeats=repeats)

    def with_width(self, width: int) -> NetworkSpec:
        """The network with `width` filters in its first stage.

        The others keep their ratios to it, rounded to the nearest integer, halves up, and at least
        one.

        Raises:
            ValueError: if a stage would have no filters, or too many.
        """
        first = self.filters[0]
        scaled = ((2 * width * filters + first) // (2 * first) for filters in self.filters)
        return replace(self, filters=(width, *(max(filters, 1) for filters in [*scaled][1:])))

    @property
    def output(self) -> Literal["vector", "maps"]:
        """What the network gives for an image: `classes` numbers, or as many maps."""
        return "maps" if self.frame == "upsample" else "vector"

    @property
    def stage_sizes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of the feature maps in each stage."""
        _, height, width = self.input_shape
        halvings = range(self.stem_pools, self.stem_pools + len(self.filters))
        return tuple((height >> h, width >> h) for h in halvings)

    def _check_sizes(self) -> None:
        if self.stem_pools > self.stem_convs:
            raise ValueError(
                "stem_pools must be at most stem_convs, which they follow, "
                f"got {self.stem_pools} > {self.stem_convs}"
            )
        if min(self.stage_sizes[-1]) < 1:
            halvings = self.stem_pools + len(self.filters) - 1
            raise ValueError(
                f"input_shape {self.input_shape} is too small: {halvings} poolings halve it to "
                "nothing; use a larger input_shape, fewer filters (one fewer stage) or fewer "
                "stem_pools"
            )


def _fields(network: Any) -> dict[str, Any]:
    try:
        fields = read_json(network) if isinstance(network, str) else network
    except ValueError as error:
        raise ValueError(f"network is not a JSON object: {error}, got {shown(network)}") from None
    if not isinstance(fields, Mapping):
        raise ValueError(f"network must be a preset's name or a JSON object, got {shown(network)}")
    return dict(fields)


def _preset(name: str | None) -> dict[str, Any]:
    if name is None:
        return PRESETS["cifar10"]
    if not isinstance(name, str) or name not in PRESETS:
        hint = did_you_mean(name, PRESETS)
        raise ValueError(
            f"network preset must be one of {', '.join(PRESETS)}, got {shown(name)}{hint}"
        )
    return PRESETS[name]


def _integers(name: str, value: Any, highest: int) -> tuple[int, ...]:
    if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= 16:
        raise ValueError(f"{name} must be a list of 1 to 16 integers, got {shown(value)}")
    return tuple(checked_integer(name, item, 1, highest) for item in value)


def _input_shape(name: str, value: Any) -> tuple[int, ...]:
    shape = _integers(name, value, _SIZE_LIMIT)
    if len(shape) != 3:
        raise ValueError(f"{name} must be (channels, height, width), got {shown(value)}")
    return shape


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {shown(value)}")
    return value


def _frame(name: str, value: Any) -> str:
    if not isinstance(value, str) or value not in FRAMES:
        raise ValueError(f"{name} must be one of {', '.join(FRAMES)}, got {shown(value)}")
    return value


_CHECKS: dict[str, Any] = {
    "input_shape": _input_shape,
    "classes": lambda name, value: checked_integer(name, value, 1, _SIZE_LIMIT),
    "filters": lambda name, value: _integers(name, value, WIDTH_LIMIT),
    "repeats": lambda name, value: checked_integer(name, value, 1, _COUNT_LIMIT),
    "stem_convs": lambda name, value: checked_integer(name, value, 1, _COUNT_LIMIT),
    "stem_pools": lambda name, value: checked_integer(name, value, 0, _COUNT_LIMIT),
    "project_input": _flag,
    "frame": _frame,
}
