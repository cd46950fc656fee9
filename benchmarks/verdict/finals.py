"""The last choice of a search: some of its best blocks trained long, and the best of them taken.

Early accuracies order good blocks differently than final ones do, and the best blocks of a search
are mostly one family. So its finalists are of several, each is trained long once, and the better
half of them twice more. Validation images decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from nni_blockqnn import Block, BlockSearch
from verdict.trainings import Trainings

FINALISTS = 6
_FIRST_SEED = 100
"""Of final trainings that choose; those that judge have smaller ones."""


class Choice(NamedTuple):
    """What was chosen, and what choosing cost.

    Attributes:
        finalists: with the mean validation accuracy of each.
    """

    block: Block
    finalists: tuple[tuple[Block, float], ...]
    seconds: float


def choose(search: BlockSearch, final: Trainings) -> Choice:
    """The finalist that is best on the validation images after long trainings."""
    blocks = [result.block for result in search.finalists(FINALISTS)]
    seconds = 0.0
    accuracies: dict[Block, list[float]] = {}
    for round_seeds in ((_FIRST_SEED,), (_FIRST_SEED + 1, _FIRST_SEED + 2)):
        for block in blocks:
            for line in _trained(block, round_seeds, final):
                seconds += line["seconds"]
                diverged = line["accuracy"] is None
                accuracies.setdefault(block, []).append(0.0 if diverged else line["valid"])
        blocks = _best(accuracies, len(blocks) // 2)
    ranked = _best(accuracies, len(accuracies))
    return Choice(blocks[0], tuple((b, float(np.mean(accuracies[b]))) for b in ranked), seconds)


def _trained(block: Block, seeds: Sequence[int], final: Trainings) -> Iterator[dict]:
    return (final.line(block, seed) for seed in seeds)


def _best(accuracies: dict[Block, list[float]], count: int) -> list[Block]:
    """Those with the most trainings first, then by the mean."""
    return sorted(accuracies, key=lambda b: (-len(accuracies[b]), -np.mean(accuracies[b])))[:count]
