"""Blocks that compute the same function share their accuracy, so one training serves all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.q_learning._reward_model import RewardModel

Signature = tuple[tuple[int, int], ...]


class Twins:
    """Results by the function that their blocks compute (``Block.function_key``)."""

    def __init__(self) -> None:
        self._model = RewardModel()
        self._known: dict[tuple[Signature, int], list[tuple[Block, float]]] = {}

    def add(self, block: Block, repeats: int, reward: float, metric: Mapping[str, Any]) -> None:
        self._model.observe(block, reward, metric)
        self._known.setdefault((block.computing_layers, repeats), []).append((block, reward))

    def rewards(self, block: Block, repeats: int) -> list[float]:
        """What the block's twins would have been rewarded at this block's density.

        Empty while there is none, or where the rewards do not tell how much density weighs.
        """
        rho = self._model.rho
        if rho is None:
            return []
        return [
            reward + rho * math.log(twin.density / block.density)
            for twin, reward in self._known.get((block.computing_layers, repeats), ())
            if are_twins(twin, block)
        ]


def are_twins(block: Block, other: Block) -> bool:
    """Whether the blocks compute the same function; the quickest test comes first."""
    return (
        block.computing_layers == other.computing_layers
        and block.function_fingerprint == other.function_fingerprint
        and block.function_key == other.function_key
    )
