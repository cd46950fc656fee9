"""How large networks are: their input, their filters, and the one cost that all of them have."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any

from nni_blockqnn.automl.request import TIERS, RequestError
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.data.imagenet import IMAGENET
from nni_blockqnn.data.outline import Outline
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.equal_cost import CostTarget, equal_cost
from nni_blockqnn.network.spec import PRESETS, NetworkSpec
from nni_blockqnn.tasks import CLASSIFICATION, Task, find_task

_TIER_SIDES = {"small": 32, "medium": 48, "large": 64}
"""Pixels of the side of a square that images are brought to, unless they are smaller."""
_TIER_WIDTHS = {"small": (12, 1), "medium": (20, 1), "large": (32, 2)}
"""Filters of the residual block's first stage, and blocks a stage. With fewer filters, one more is
so large a step that many blocks have no network of the cost."""
_WIDTHS = tuple(
    (width, repeats) for repeats in (1, 2, 4) for width in (4, 6, 8, 12, 16, 24, 32, 48)
)
"""What is tried for a cost in numbers."""
_SMALLEST_OF_THREE_STAGES = 12
"""Pixels: two poolings leave 3x3."""
_SMALLER_WIDTHS = (20, 18, 16, 14, 12, 10, 9, 8, 7, 6)
"""Filters of the first stage where time is short."""
_CLEARLY_BELOW = 0.8
_POOLED_FROM = 64
"""Pixels from which on the stem halves the image."""
_GRID = 4
"""Sides are multiples of it, so that the poolings halve them evenly."""
_NEARLY_SQUARE = 1.25
_SMALLER = tuple(1 / factor for factor in (2, 2.2, 2.5, 2.8, 3.2, 3.6, 4))
_LARGER = (2, 2.2, 2.5, 2.8, 3.2, 3.6, 4)
"""Times the cost of a search, as the others of a frontier; the first that is possible."""


@dataclass(frozen=True)
class Size:
    """A network without its block, and what it costs whatever the block.

    Attributes:
        name: the tier's, or "given" for a cost in numbers.
        network: fields of :class:`NetworkSpec`, as JSON text.
        flops: multiply-accumulates for one image.
    """

    name: str
    network: str
    flops: int

    @property
    def spec(self) -> NetworkSpec:
        return NetworkSpec.from_parameter(self.network)

    def of_block(self, name: str) -> NetworkSpec:
        """The network of a hand-made block at this cost."""
        matched = equal_cost(NAMED_BLOCKS[name], self.spec, CostTarget("flops", self.flops))
        assert matched is not None, f"{name} comes to every cost that is chosen here"
        return matched


def tier_size(outline: Outline, tier: str) -> Size:
    """The size of a tier: what the residual block's network costs in it, to two digits.

    Raises:
        RequestError: if the images are too small for a network.
    """
    width, repeats = _TIER_WIDTHS[tier]
    size = _own_size(_network(outline, width, repeats, _TIER_SIDES[tier]))
    return replace(size, name=tier)


def size_of_flops(outline: Outline, flops: int) -> Size:
    """The size whose networks cost so many multiply-accumulates an image.

    Of the networks in which the hand-made blocks come to this cost, it is the one whose own
    filters are nearest to it.

    Raises:
        RequestError: naming the costs that are possible.
    """
    tiers = sorted(TIERS, key=lambda tier: abs(math.log(tier_size(outline, tier).flops / flops)))
    every: list[dict[str, Any]] = []
    for side in (_TIER_SIDES[tier] for tier in tiers):
        of_side = [_network(outline, width, repeats, side) for width, repeats in _WIDTHS]
        every += of_side
        near = sorted(of_side, key=lambda fields: abs(math.log(_residual_flops(fields) / flops)))
        for fields in near:
            size = Size("given", json.dumps(fields), flops)
            if comes_to_cost(size):
                return size
    costs = [size.flops for size in map(_own_size, every) if comes_to_cost(size)]
    nearest = min(costs, key=lambda cost: abs(math.log(cost / flops)))
    raise RequestError(
        f"budget {flops:,} multiply-accumulates an image: the hand-made blocks have no network for "
        f"{outline.dataset} of that cost; the nearest that they have is {nearest:,}, of "
        f"{min(costs):,} to {max(costs):,}"
    )


def frontier_costs(spec: NetworkSpec, flops: int) -> tuple[int, int, int]:
    """A cost, then about half and about double of it, in which the hand-made blocks have networks.

    Args:
        spec: the unscaled network of all three.

    Raises:
        RequestError: if there are none.
    """
    found = [flops]
    for name, factors in (("smaller", _SMALLER), ("larger", _LARGER)):
        costs = (_two_digits(round(flops * factor)) for factor in factors)
        near = next((cost for cost in costs if _hand_made_have(spec, cost)), None)
        if near is None:
            raise RequestError(
                f"frontier: the hand-made blocks have no {name} networks of {factors[0]:g} to "
                f"{factors[-1]:.3g} times {flops:,} multiply-accumulates an image; give another "
                "budget"
            )
        found.append(near)
    return found[0], found[1], found[2]


def cost_name(cost: int) -> str:
    """'170k' for 170,000, as a budget is given."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if cost >= size:
            return f"{cost / size:g}{unit}"
    return str(cost)


def smaller_sizes(outline: Outline, size: Size) -> list[Size]:
    """Sizes below this one, each clearly below the one before, in which the hand-made blocks have
    networks: for where time is short.

    Where the images are large enough, the stem halves them: a few filters on all pixels make a
    poorer network than more filters on a quarter of them.
    """
    side = _TIER_SIDES[TIERS[0]]
    fields = [_network(outline, width, 1, side) for width in _SMALLER_WIDTHS]
    spec = NetworkSpec.from_parameter(fields[0])
    if min(spec.input_shape[1:]) >= 2 * _SMALLEST_OF_THREE_STAGES and not spec.stem_pools:
        fields = [one | {"stem_pools": 1} for one in fields]
    found: list[Size] = []
    for one in map(_own_size, fields):
        most = (found[-1] if found else size).flops * _CLEARLY_BELOW
        if one.flops <= most and comes_to_cost(one):
            found.append(replace(one, name="tiny"))
    return found


def comes_to_cost(size: Size) -> bool:
    """Whether the hand-made blocks have networks of this cost."""
    return _hand_made_have(size.spec, size.flops)


def _hand_made_have(spec: NetworkSpec, flops: int) -> bool:
    target = CostTarget("flops", flops)
    return all(equal_cost(block, spec, target) for block in NAMED_BLOCKS.values())


def _own_size(fields: dict[str, Any]) -> Size:
    return Size("given", json.dumps(fields), _two_digits(_residual_flops(fields)))


def _residual_flops(fields: dict[str, Any]) -> int:
    return estimate_cost(NAMED_BLOCKS["residual"], NetworkSpec.from_parameter(fields)).flops


def _network(outline: Outline, width: int, repeats: int, side: int) -> dict[str, Any]:
    """NetworkSpec's fields: the preset's where there is one, for the data's own classes."""
    task = find_task(outline.task)
    if task is CLASSIFICATION and outline.dataset in PRESETS and outline.dataset != IMAGENET:
        stages = len(PRESETS[outline.dataset]["filters"])
        return {
            "preset": outline.dataset,
            "filters": [width << stage for stage in range(stages)],
            "repeats": repeats,
        }
    if task is CLASSIFICATION and outline.dataset == IMAGENET:
        filters = [width << stage for stage in range(4)]
        fields = {"preset": IMAGENET, "classes": outline.classes, "filters": filters}
        return {**fields, "repeats": repeats}
    channels, height, pixels_wide = outline.image_shape
    if outline.is_resized:
        height, pixels_wide = _task_input(height, pixels_wide, side, task)
    pools = task.network.get("stem_pools", int(min(height, pixels_wide) >= _POOLED_FROM))
    smallest = min(height, pixels_wide) >> pools
    if smallest < 2:
        raise RequestError(
            f"the images have {pixels_wide}x{height} pixels (width x height), too few for a network"
        )
    stages = 3 if smallest >= _SMALLEST_OF_THREE_STAGES else 2
    return {
        "input_shape": [channels, height, pixels_wide],
        "classes": outline.classes,
        "filters": [width << stage for stage in range(stages)],
        "repeats": repeats,
        "stem_pools": pools,
        **({"frame": "upsample"} if task.output == "maps" else {}),
        **task.network,
    }


def smallest_input(shape: tuple[int, int, int], task: Task) -> tuple[int, int, int]:
    """(channels, height, width) of the smallest tier's networks for images of this shape."""
    channels, height, width = shape
    return channels, *_task_input(height, width, _TIER_SIDES[TIERS[0]], task)


def _task_input(height: int, width: int, side: int, task: Task) -> tuple[int, int]:
    """Larger where the task has the stem halve the images more often than once."""
    return input_size(height, width, side << max(task.network.get("stem_pools", 0) - 1, 0))


def input_size(height: int, width: int, side: int) -> tuple[int, int]:
    """(height, width) that images of this size are brought to: about side x side pixels.

    No image is enlarged; those that are nearly square become square; sides are multiples of 4
    where there are so many pixels.
    """
    area = min(side * side, height * width)
    ratio = width / height
    if 1 / _NEARLY_SQUARE <= ratio <= _NEARLY_SQUARE:
        ratio = 1.0
    high = min((area / ratio) ** 0.5, height)
    wide = min((area * ratio) ** 0.5, width)
    return _on_grid(high, height), _on_grid(wide, width)


def _on_grid(pixels: float, most: int) -> int:
    if pixels < _GRID:
        return max(int(pixels), 1)
    return min(round(pixels / _GRID) * _GRID, most // _GRID * _GRID)


def _two_digits(number: int) -> int:
    unit = 10 ** max(0, len(str(number)) - 2)
    return round(number / unit) * unit
