"""Blocks that a search trains first: hand-made ones, so that they stand in the same race."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.named import codes_of, found_name
from nni_blockqnn.common.messages import shown
from nni_blockqnn.predictor.predictor import Network
from nni_blockqnn.q_learning._candidates import CandidateSource
from nni_blockqnn.q_learning._networks import NetworkKey
from nni_blockqnn.space.limits import CostLimits
from nni_blockqnn.space.search_space import SearchSpace


class StartSource(CandidateSource):
    """The start blocks that were not handed out yet."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._waiting = {NetworkKey(*network): network for network in networks}
        self._keys = frozenset(self._waiting)

    def __contains__(self, network: Network) -> bool:
        """Whether it is a start block, handed out or not."""
        return bool(self._keys) and NetworkKey(*network) in self._keys

    def draw(self, epsilon: float, rng: np.random.Generator) -> Iterator[Network]:
        yield from [*self._waiting.values()]

    def drop(self, network: Network) -> None:
        """The network was handed out, as a start block or otherwise."""
        if self._waiting:
            self._waiting.pop(NetworkKey(*network), None)


def start_networks(given: Sequence[Any], space: SearchSpace, limits: CostLimits) -> list[Network]:
    """The start blocks, each with the largest number of repeats within the limits.

    Args:
        given: names of hand-made blocks, or structure codes as rows, JSON text or a block.

    Raises:
        ValueError: naming the one that is unknown, not of the space, or over the limits.
    """
    networks = []
    for position, item in enumerate(given, 1):
        block = _parsed(position, item, space)
        fitting = limits.fitting_repeats(block)
        if not fitting:
            raise ValueError(f"start block {position}, {shown(item)}, {_why(limits)}")
        networks.append((block, fitting[-1]))
    return networks


def _parsed(position: int, item: Any, space: SearchSpace) -> Block:
    codes = item
    if isinstance(item, str) and not item.lstrip().startswith(("[", "{")):
        codes = codes_of(found_name(f"start block {position}", item), space.encoding)
    try:
        return space.parse(codes)
    except ValueError as error:
        raise ValueError(
            f"start block {position}, {shown(item)}, is not in the search space: {error}"
        ) from None


def _why(limits: CostLimits) -> str:
    if limits.target is None:
        return "exceeds the limits: raise them, or leave it out"
    return (
        f"cannot have {limits.target.value:,} {limits.target.measure} (match) within the limits: "
        "choose another cost, or leave it out"
    )
