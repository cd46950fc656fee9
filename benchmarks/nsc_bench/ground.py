"""Which blocks of the full space are trained at equal cost, early and long: a plan by cycles.

A cycle is twenty early blocks, then two that are trained long, and now and then one in a larger
network, so that a beginning of the plan is of use. Ten cycles are a search: after forty random
blocks, half of each twenty are what a search would try next, and the next search begins anew, since
each climbs another hill.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.network.cost import Cost, estimate_cost
from nni_blockqnn.predictor.guide import Guide
from nni_blockqnn.predictor.predictor import CostOf, Network
from nni_blockqnn.space.mutation import mutate
from nni_blockqnn.space.search_space import SearchSpace
from nsc_bench.setups import Setup

SEARCHED = "searched"
KINDS = ("named", "uniform", "exploration", "mutant", "guided", SEARCHED)
"""Hand-made ones, two ways to draw at random, two in which searches go on from the best, and what
the searches of ``found_against_handmade.py`` trained."""

EARLY_CYCLES = 50
EARLY_A_CYCLE = 20
LONG_BLOCKS = 140
CYCLES_A_SEARCH = 10
RANDOM_CYCLES = 2
"""At the beginning of each search."""
CYCLES_A_LARGE_BLOCK = 4

_MUTANTS, _GUIDED = 3, 7
_CANDIDATES = 200
_MUTANT_SHARE = 0.6
_INCUMBENTS = 10
_ATTEMPTS = 100_000
_BASIC = [[1, 4, 0, 0, 0], [2, 1, 3, 1, 0], [3, 1, 3, 2, 0], [4, 5, 0, 1, 3]]

HAND_MADE = {
    **NAMED_BLOCKS,
    "two basic blocks": Block.parse([*_BASIC, [5, 1, 3, 4, 0], [6, 1, 3, 5, 0], [7, 5, 0, 4, 6]]),
    "three basic blocks": Block.parse(
        [
            *_BASIC,
            *([5, 1, 3, 4, 0], [6, 1, 3, 5, 0], [7, 5, 0, 4, 6]),
            *([8, 1, 3, 7, 0], [9, 1, 3, 8, 0], [10, 5, 0, 7, 9]),
        ]
    ),
}
"""Those of Fig. 2, and stacks of ResNet's basic blocks, of which the residual block is one."""


class Known(NamedTuple):
    """A block that was trained.

    Attributes:
        cycle: in which it was planned.
        accuracy: mean over the seeds.
    """

    cycle: int
    kind: str
    block: Block
    accuracy: float


Planned = tuple[str, Block]
"""A kind and a block of it."""


class Cycle(NamedTuple):
    """What is trained in a cycle: early, long, and in a larger network."""

    number: int
    early: tuple[Planned, ...]
    long: tuple[Planned, ...]
    large: tuple[Planned, ...]


def next_cycle(
    number: int,
    early: Sequence[Known],
    long: Sequence[Known],
    large: Sequence[Block],
    setups: Sequence[Setup],
) -> Cycle:
    """A cycle, planned by the results of those before it.

    Args:
        large: blocks that are trained in a larger network.
        setups: of early and long trainings and of larger networks.
    """
    rng = np.random.default_rng([0, number])
    blocks = tuple(_early(number, early, setups[0], rng)) if number < EARLY_CYCLES else ()
    longer: Sequence[Known] = ()
    if number == 0:  # nothing is trained yet
        longer = [Known(0, "named", block, 0.0) for block in NAMED_BLOCKS.values()]
    elif len(long) < LONG_BLOCKS:
        longer = _chosen(_without(early, [known.block for known in long]), rng)
    larger: Sequence[Known] = ()
    turn, rest = divmod(number + 1, CYCLES_A_LARGE_BLOCK)
    if rest == 0:
        fitting = [known for known in _without(long, large) if setups[2].network(known.block)]
        pair = _chosen(fitting, rng)
        takes_first = turn % 2 or any(known.kind == "named" for known in pair)
        larger = pair[:1] if takes_first else pair[-1:]
    return Cycle(number, blocks, _planned(longer), _planned(larger))


def _planned(known: Iterable[Known]) -> tuple[Planned, ...]:
    return tuple((each.kind, each.block) for each in known)


def _without(known: Iterable[Known], blocks: Iterable[Block]) -> list[Known]:
    taken = {block.to_json() for block in blocks}
    return [each for each in known if each.block.to_json() not in taken]


def _chosen(known: Sequence[Known], rng: np.random.Generator) -> list[Known]:
    """Two: hand-made ones first; then the best one and one of those drawn at random."""
    named = [each for each in known if each.kind == "named"][:2]
    if len(named) == 2 or not known:
        return named
    best = max(known, key=lambda each: each.accuracy)
    drawn = [each for each in known if each.kind in KINDS[1:3] and each is not best]
    by_chance = [drawn[rng.integers(len(drawn))]] if drawn else []
    return [*named, best, *by_chance][:2]


def _early(
    number: int, early: Sequence[Known], setup: Setup, rng: np.random.Generator
) -> Iterator[Planned]:
    new = _NewBlocks(early, setup)
    count = EARLY_A_CYCLE
    if number == 0:
        for block in HAND_MADE.values():
            new.take(block)
            yield "named", block
        count -= len(HAND_MADE)
    if number % CYCLES_A_SEARCH >= RANDOM_CYCLES:
        first = number - number % CYCLES_A_SEARCH
        own = [known for known in early if known.cycle >= first]
        yield from _found(own, new, setup, rng)
        count -= _MUTANTS + _GUIDED
    for position in range(count):
        kind = KINDS[1 + position % 2]
        yield kind, new.first(_random(kind, rng))


def _found(
    own: Sequence[Known], new: _NewBlocks, setup: Setup, rng: np.random.Generator
) -> Iterator[Planned]:
    """What a search that knows these results would try next."""
    parents = [k.block for k in sorted(own, key=lambda k: -k.accuracy)[:_INCUMBENTS]]
    guide = Guide(_cost_in(setup))
    for known in own:
        guide.observe((known.block, setup.spec.repeats), known.accuracy)
    for _ in range(_MUTANTS):
        yield "mutant", new.first(_mutants(parents, rng))
    candidates = [
        new.first(_mutants(parents, rng) if share < _MUTANT_SHARE else _random(kind, rng))
        for share, kind in zip(
            rng.random(_CANDIDATES), np.resize(KINDS[1:3], _CANDIDATES), strict=True
        )
    ]
    pending: list[Network] = []
    for _ in range(_GUIDED):
        left = [(b, setup.spec.repeats) for b in candidates]
        ranked = guide.rank([each for each in left if each not in pending], pending)
        pending.append(ranked[0])
        yield "guided", ranked[0][0]


class _NewBlocks:
    """Takes a function once, and only blocks that can have the cost."""

    def __init__(self, early: Sequence[Known], setup: Setup) -> None:
        self._taken = {known.block.function_key for known in early}
        self._setup = setup

    def take(self, block: Block) -> bool:
        """Whether it is new; from now on it is not."""
        key = block.function_key
        if key in self._taken or self._setup.network(block) is None:
            return False
        self._taken.add(key)
        return True

    def first(self, draws: Iterator[Block]) -> Block:
        return next(
            block for block, _ in zip(draws, range(_ATTEMPTS), strict=False) if self.take(block)
        )


def _random(kind: str, rng: np.random.Generator) -> Iterator[Block]:
    space = SearchSpace()
    while True:
        if kind == "uniform":
            yield space.random_block(rng, int(rng.integers(1, space.max_layers)))
        else:
            yield space.random_block(rng)


def _mutants(parents: Sequence[Block], rng: np.random.Generator) -> Iterator[Block]:
    """One or two edits away from one of the parents."""
    space = SearchSpace()
    while True:
        block = parents[int(rng.integers(len(parents)))]
        for _ in range(rng.integers(1, 3)):
            block = mutate(block, space, rng)
        yield block


def _cost_in(setup: Setup) -> CostOf:
    def cost(block: Block, repeats: int) -> Cost:
        spec = setup.network(block)
        assert spec is not None
        return estimate_cost(block, spec)

    return cost
