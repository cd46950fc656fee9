"""The last choice of a search: a few of its best blocks trained long, and the best of them taken.

Early accuracies order good blocks differently than final ones do, by family more than within one.
So the first finalists are of several families. What their long trainings show corrects what is
expected of all the others, of which the next ones are chosen; and the best of all are trained again
from other seeds. Validation images decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from nni_blockqnn import Block, BlockSearch, Cost, estimate_cost
from nni_blockqnn.predictor.families import varied
from nni_blockqnn.predictor.final_results import FinalResults
from nni_blockqnn.predictor.guide import Guide
from nni_blockqnn.predictor.predictor import Network
from verdict.trainings import Trainings

VARIED, CORRECTED, AGAIN = 5, 3, 2
"""How many are of several families, chosen by the corrected expectation, and trained again."""
_FIRST_SEED = 100
"""Of final trainings that choose; those that judge have smaller ones."""
_SEEDS = 3
"""Of those that are trained again, the first training included."""


class Choice(NamedTuple):
    """What was chosen, and what choosing cost.

    Attributes:
        finalists: with the mean validation accuracy of each.
    """

    block: Block
    finalists: tuple[tuple[Block, float], ...]
    seconds: float


def choose(search: BlockSearch, final: Trainings) -> Choice:
    """The finalist that is expected to be best after its long trainings."""
    early = search.predictor if isinstance(search.predictor, Guide) else _guide(search, final)
    finals = Finals(early, final)
    known = list(dict.fromkeys((result.block, result.repeats) for result in search.history))
    finals.spread = float(np.std([result.reward for result in search.history]))
    finals.train_varied(known, VARIED)
    finals.train_corrected(known, CORRECTED)
    return finals.choice()


def _guide(search: BlockSearch, final: Trainings) -> Guide:
    """A predictor that has learnt from a search that had none."""

    def cost(block: Block, repeats: int) -> Cost:
        spec = final.setup.network(block)
        assert spec is not None, "the search has sent it"
        return estimate_cost(block, spec.with_repeats(repeats))

    guide = Guide(cost)
    for result in search.history:
        guide.observe((result.block, result.repeats), result.reward)
    return guide


class LongTrainings(Protocol):
    """What finals need of :class:`verdict.trainings.Trainings`."""

    def line(self, block: Block, seed: int) -> dict[str, Any]:
        """What a training gave: ``accuracy``, ``valid`` and ``seconds``."""


class Finals:
    """Long trainings of a search's networks, and what they let expect of the others.

    Attributes:
        accuracies: on the validation images, of each network's trainings; 0 if one diverged.
        seconds: that they all took.
        spread: standard deviation of the early results.
    """

    def __init__(self, early: Guide, final: LongTrainings) -> None:
        self.accuracies: dict[Network, list[float]] = {}
        self.seconds = 0.0
        self.spread = 1.0
        self._early = early
        self._final = final

    @property
    def expected(self) -> FinalResults:
        """Of the early results and the long trainings that there are by now."""
        expected = FinalResults(self._early, self.spread)
        for network, accuracies in self.accuracies.items():
            for accuracy in accuracies:
                expected.observe(network, accuracy)
        return expected

    def train(self, network: Network, seed: int = 0) -> None:
        line = self._final.line(network[0], _FIRST_SEED + seed)
        accuracy = 0.0 if line["accuracy"] is None else line["valid"]
        self.accuracies.setdefault(network, []).append(accuracy)
        self.seconds += line["seconds"]

    def train_varied(self, known: Sequence[Network], count: int) -> None:
        """The best of several families, by their early results."""
        ranked = [known[at] for at in np.argsort(-self._early.mean(known), kind="stable")]
        for at in varied(ranked, count, self._early):
            self.train(ranked[at])

    def train_corrected(self, known: Sequence[Network], count: int) -> None:
        """One after the other, by what the long trainings so far let expect."""
        for _ in range(count):
            rest = [network for network in known if network not in self.accuracies]
            if rest:
                self.train(self.expected.rank(rest)[0])

    def choice(self, again_count: int = AGAIN) -> Choice:
        """The best of those that are trained again, or of all if none is."""
        again = self._best()[:again_count]
        for seed in range(1, _SEEDS):
            for network in again:
                self.train(network, seed)
        best = self._best()
        chosen = next(network for network in best if network in again or not again)
        means = tuple((network[0], float(np.mean(self.accuracies[network]))) for network in best)
        return Choice(chosen[0], means, self.seconds)

    def _best(self) -> list[Network]:
        """Of those that were trained, by what is expected of them."""
        networks = list(self.accuracies)
        means = self.expected.predict(networks).mean
        return [networks[at] for at in np.argsort(-means, kind="stable")]
