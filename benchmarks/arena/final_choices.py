"""What a search of short trainings ends with: its pick, chosen with and without long trainings.

A pick is worth its long training's accuracy without noise. Choosing it sees noise: of the short
trainings, and of the long ones on the validation images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from json_lines import read_lines
from nsc_bench.setups import Setup
from nsc_bench.surrogate import normal
from verdict.finals import Finals

from arena.final_searches import ARENA, SEARCHES, Task, early
from arena.full_space import FullArena, load_full
from nni_blockqnn import Block, Cost, estimate_cost
from nni_blockqnn.predictor.guide import Guide
from nni_blockqnn.predictor.predictor import Network

LONG_IN_SHORT = 6
"""A long training takes as long as so many short ones (32 s against 5.3 s)."""
_TRAINING_NOISE, _IMAGES_NOISE = 0.83, 0.24
"""Of a long training's accuracy on the validation images, and of what these 2,000 images add for a
block in all its trainings: standard deviations in points, of the 20 and 65 blocks of CIFAR-10's
table whose working files have them."""


class Rule(NamedTuple):
    """How a pick is chosen.

    Attributes:
        varied: long trainings of different families, the best by the short ones.
        corrected: further ones, by what those let expect.
        again: of all these, how many are trained from two more seeds.
        share: of the trials, the first of which alone are considered.
    """

    varied: int = 0
    corrected: int = 0
    again: int = 0
    share: float = 1.0

    @property
    def trainings(self) -> int:
        """Long ones."""
        return self.varied + self.corrected + 2 * self.again


RULES = {
    "no finals": Rule(),
    "finals": Rule(5, 3, 2),
    "finals of the first half": Rule(5, 3, 2, share=0.5),
    "12 finals, one seed": Rule(5, 7, 0),
    "16 finals": Rule(8, 4, 2),
    "20 finals": Rule(10, 6, 2),
    "24 finals": Rule(12, 8, 2),
}
BEST_TRIED = "best tried"
"""No rule: the best block among the trials, by what it is worth, which nobody can know."""

_ALWAYS = (10, 25, 50, 75, 100, 150, 200, 300, 500)
_AFTER: dict[str, tuple[int, ...]] = {
    "no finals": _ALWAYS,
    BEST_TRIED: _ALWAYS,
    "finals": (28, 50, 76, 100, 200, 500),
    "finals of the first half": (100,),
    "12 finals, one seed": (100,),
    "16 finals": (76,),
    "20 finals": (52, 100),
    "24 finals": (28,),
}
"""What is chosen after how many trials. 76 trials and 16 finals, 52 and 20, or 28 and 24 take as
long as 100 and 12."""


class Choice(NamedTuple):
    """What a search is worth after some of its trials.

    Attributes:
        budget: trials that the search was told of.
        trials: after how many of them.
        final: the pick's accuracy after its long training, in percent, without noise.
    """

    search: str
    budget: int
    seed: int
    trials: int
    rule: str
    final: float

    @property
    def key(self) -> tuple[Task, int, str]:
        return Task(self.search, self.budget, self.seed), self.trials, self.rule


def wanted(trials: int) -> Iterator[tuple[int, str]]:
    """After how many trials of so many what is chosen by which rule."""
    for rule, afters in _AFTER.items():
        yield from ((after, rule) for after in afters if after <= trials)


def choices_of(task: Task, texts: Sequence[str], known: set[Any]) -> Iterator[Choice]:
    """The choices that are wanted of a search and not known."""
    left = [
        (after, rule) for after, rule in wanted(task.trials) if (task, after, rule) not in known
    ]
    if not left:
        return
    arena = load_full(ARENA)
    blocks = [Block.parse(text) for text in texts]
    accuracies = [early(arena, block, task.seed) for block in blocks]
    for after in sorted({after for after, _ in left}):
        beginning = _Beginning(arena, task, blocks[:after], accuracies[:after])
        for rule in (rule for at, rule in left if at == after):
            yield Choice(*(task.search, task.trials, task.seed), after, rule, beginning.final(rule))


class _Beginning:
    """The first trials of a search."""

    def __init__(
        self, arena: FullArena, task: Task, blocks: Sequence[Block], accuracies: Sequence[float]
    ) -> None:
        self._arena = arena
        self._task = task
        self._blocks = blocks
        self._accuracies = accuracies
        self._repeats = arena.setup.spec.repeats
        self._fitted: _Remembering | None = None

    def final(self, rule: str) -> float:
        """Rounded to what is kept."""
        if rule == BEST_TRIED:
            return round(max(map(self._arena.surrogate.expected, self._blocks)), 4)
        return round(self._arena.surrogate.expected(self._pick(RULES[rule])), 4)

    def _pick(self, rule: Rule) -> Block:
        if rule.trainings:
            return self._finals(rule)
        if "predictor" in SEARCHES[self._task.search] and len(self._blocks) >= 10:
            # as BlockSearch.best does: the highest accuracy is mostly a lucky one
            networks = [(block, self._repeats) for block in self._blocks]
            return self._blocks[int(np.argmax(self._guide.mean(networks)))]
        return self._blocks[int(np.argmax(self._accuracies))]

    def _finals(self, rule: Rule) -> Block:
        considered = round(rule.share * len(self._blocks))
        known = [(block, self._repeats) for block in self._blocks[:considered]]
        finals = Finals(self._guide, PredictedTrainings(self._arena, self._task.seed))
        finals.spread = float(np.std(self._accuracies))
        finals.train_varied(known, rule.varied)
        finals.train_corrected(known, rule.corrected)
        return finals.choice(rule.again).block

    @property
    def _guide(self) -> _Remembering:
        if self._fitted is None:
            self._fitted = _Remembering(_cost)
            for block, accuracy in zip(self._blocks, self._accuracies, strict=True):
                self._fitted.observe((block, self._repeats), accuracy)
        return self._fitted


class _Remembering(Guide):
    """Works out once what finals ask of the known networks again and again.

    All results are observed before the first question.
    """

    @cached_property
    def _positions(self) -> dict[Network, int]:
        return {network: at for at, network in enumerate(dict.fromkeys(self._networks))}

    @cached_property
    def _means(self) -> np.ndarray:
        return super().mean(list(self._positions))

    @cached_property
    def _similarities(self) -> np.ndarray:
        return super().similarity(list(self._positions))

    def mean(self, networks: Sequence[Network]) -> np.ndarray:
        if self._process is None or self._best == -np.inf:  # it is being fitted
            return super().mean(networks)
        return self._means[[self._positions[network] for network in networks]]

    def similarity(self, networks: Sequence[Network]) -> np.ndarray:
        at = [self._positions[network] for network in networks]
        return self._similarities[np.ix_(at, at)]


class PredictedTrainings:
    """Long trainings for :class:`verdict.finals.Finals`, by the surrogate.

    Attributes:
        setup: that of long trainings.
    """

    def __init__(self, arena: FullArena, search_seed: int) -> None:
        self.setup: Setup = arena.setup
        self._surrogate = arena.surrogate
        self._search_seed = search_seed

    def line(self, block: Block, seed: int) -> dict[str, Any]:
        """Accuracies on the test and validation images; each search has noise of its own."""
        function = block.function_key
        final = self._surrogate.expected(block)
        valid = final + _IMAGES_NOISE * normal(f"{function} valid")
        valid += _TRAINING_NOISE * normal(f"{function} long, {seed} of {self._search_seed}")
        return {"accuracy": final, "valid": valid, "seconds": float(LONG_IN_SHORT)}


@cache
def _cost(block: Block, repeats: int) -> Cost:
    setup = load_full(ARENA).setup
    network = setup.network(block)
    assert network is not None, "the search has sent it"
    return estimate_cost(block, network.with_repeats(repeats))


def read_choices(path: Path) -> list[Choice]:
    return [Choice(**line) for line in read_lines(path)]
