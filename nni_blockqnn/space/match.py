"""The cost at which all blocks of a search compete (DESIGN.md, "Equal cost")."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.named import NAMED_BLOCKS, found_name, names
from nni_blockqnn.common.checks import checked_integer
from nni_blockqnn.common.messages import shown
from nni_blockqnn.network.equal_cost import LEAST, MOST, CostTarget, equal_cost, widest_width
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.space.search_space import SearchSpace

MEASURES = ("flops", "params")
TARGET_LIMIT = 2**63 - 1
ALLOWED = f'{{"flops": N}} or {{"params": N}}, N a number or {names()}'


class Match(NamedTuple):
    """What all networks are to cost, as a user says it.

    Attributes:
        measure: "flops" or "params".
        value: a number, or the name of a hand-made block, whose network costs that.
    """

    measure: str
    value: int | str

    @classmethod
    def of(cls, given: Any) -> Match:
        """What ``{"flops": 40000000}`` says, or ``{"params": "residual"}``.

        Raises:
            ValueError: naming the value and what is allowed.
        """
        if not isinstance(given, Mapping) or len(given) != 1:
            raise ValueError(f"match must be {ALLOWED}, got {shown(given)}")
        [(measure, value)] = given.items()
        if not isinstance(measure, str) or measure not in MEASURES:
            raise ValueError(f"match must be {ALLOWED}, got {shown(measure)} in {shown(given)}")
        if isinstance(value, str) and not _is_numeric(value):
            return cls(measure, found_name(f"match {measure}", value))
        return cls(measure, checked_integer(f"match {measure}", value, 1, TARGET_LIMIT))

    def network(self, block: Block, spec: NetworkSpec) -> NetworkSpec:
        """The block's network at this cost.

        Args:
            spec: the unscaled network.

        Raises:
            ValueError: if no width has it; naming the cost at the narrowest and the widest.
        """
        target = self.target(spec)
        matched = equal_cost(block, spec, target)
        if matched is None:
            widest = widest_width(spec)
            low, high = (target.of_network(block, spec.with_width(width)) for width in (1, widest))
            raise ValueError(
                f"match {target.measure} {target.value:,}: the network of {block} cannot come "
                f"from {LEAST} to {MOST} % of it; with 1 to {widest} filters in its first stage it "
                f"has {low:,} to {high:,}"
            )
        return matched

    def target_in(self, space: SearchSpace) -> CostTarget:
        """The cost in numbers, in the space's network with its largest number of repeats."""
        return self.target(space.spec.with_repeats(max(space.repeats)))

    def to_json(self) -> str:
        """The form in which it travels through NNI."""
        return json.dumps({self.measure: self.value})

    def target(self, spec: NetworkSpec) -> CostTarget:
        """The cost in numbers.

        Args:
            spec: the unscaled network, in which a named block has its cost.
        """
        if isinstance(self.value, int):
            return CostTarget(self.measure, self.value)
        target = CostTarget(self.measure, 1)
        return target._replace(value=target.of_network(NAMED_BLOCKS[self.value], spec))


def _is_numeric(text: str) -> bool:
    """YAML reads 4e7 as a text: it was meant as a number, and not as the name of a block."""
    try:
        float(text)
    except ValueError:
        return False
    return True
