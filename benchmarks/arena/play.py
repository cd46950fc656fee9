"""One search on a table: trials run beside each other and end in their own time."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from arena.objectives import Objective
from arena.players import MayFail, Player
from nni_blockqnn import Block


class Regret(NamedTuple):
    """Of the block that looks best.

    Attributes:
        seen: against the block that looks best of all: how well the search maximised what it saw.
        judged: by the seeds that the search did not see, against the best by these. Where seeds
            differ as much as good blocks, this is luck for the most part.
    """

    seen: float
    judged: float


@dataclass(frozen=True)
class Played:
    """What a search saw, in the order of the results; minus infinity for a trial that failed."""

    blocks: list[Block]
    seen: list[float]
    judged: list[float]

    def regrets(self, objective: Objective) -> list[Regret]:
        """After each result: what the block that looks best falls short of the best there is."""
        regrets, incumbent, looks = [], Regret(math.inf, math.inf), -math.inf
        for seen, judged in zip(self.seen, self.judged, strict=True):
            if seen > looks:
                looks = seen
                incumbent = Regret(objective.best_seen - seen, objective.best - judged)
            regrets.append(incumbent)
        return regrets


def play(
    player: Player, objective: Objective, budget: int, in_flight: int, rng: np.random.Generator
) -> Played:
    """Trials take between one and two units of time, so they overtake each other.

    Raises:
        ValueError: if a player that must know the limits proposes an illegal block.
    """
    running: list[tuple[float, int, Block]] = []
    played = Played([], [], [])
    now, started = 0.0, 0
    while True:
        while started < budget and len(running) < in_flight:
            block = player.ask()
            if block is None:
                budget = started
                break
            heapq.heappush(running, (now + 1 + rng.random(), started, block))
            started += 1
        if not running:
            return played
        now, _, block = heapq.heappop(running)
        value = objective(block)
        played.blocks.append(block)
        played.seen.append(-math.inf if value is None else value.seen)
        played.judged.append(-math.inf if value is None else value.judged)
        if value is not None:
            player.tell(block, value.seen)
        elif isinstance(player, MayFail):
            player.fail(block)
        else:
            raise ValueError(f"{objective.name}: an illegal block was proposed: {block}")
