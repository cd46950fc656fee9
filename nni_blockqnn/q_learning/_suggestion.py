"""What a search hands out, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.q_learning.replay import Experience


@dataclass(frozen=True)
class Suggestion:
    """A block to train.

    Attributes:
        episode: the number to tell its result by, given once.
        repeats: N, blocks in a stage.
        epsilon: how much the agent explored.
        recalled: known results that the agent learns from again, since it drew their blocks.
        width: filters of the first stage; ``None`` for those of the network as it is.
        repetition: how many results of this network have counted before. Each training of a network
            should have a seed of its own.
        is_start: whether it is one of the search's ``start_blocks``.
    """

    episode: int
    block: Block
    repeats: int
    epsilon: float
    recalled: tuple[Experience, ...] = ()
    width: int | None = None
    repetition: int = 0
    is_start: bool = False


@dataclass(frozen=True)
class Result:
    """A counted result.

    Attributes:
        reward: as it was told; the smaller the better if the search minimizes.
        metric: what else the trial reported.
        width: filters of the first stage; ``None`` for those of the network as it is.
    """

    episode: int
    block: Block
    repeats: int
    reward: float
    metric: Mapping[str, Any] = field(default_factory=dict, compare=False)
    width: int | None = None
