"""A predictor whose search climbs by what long trainings let expect, not by early results.

It learns from the early results as the built-in one does. Now and then some of the search's blocks
are trained long, and from then on it ranks candidates by the improvement of their *long* result:
the early expectation, corrected for the family, with the uncertainty of both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nni_blockqnn.predictor.guide import Guide, expected_improvement
from nni_blockqnn.predictor.predictor import CostOf, Network, Predictor
from verdict.finals import CORRECTED, VARIED, Finals
from verdict.trainings import Trainings

_STEPS = {0.4: VARIED, 0.6: CORRECTED - 1, 0.8: 1}
"""Long trainings after these shares of the trials: as many in all as other searches have at their
end, but for those that are repeated."""


class CorrectedGuide(Predictor):
    """Expected improvement of long results.

    Attributes:
        finals: the long trainings; ``None`` before :meth:`begin`.
    """

    def __init__(self, cost: CostOf) -> None:
        super().__init__(cost)
        self.early = Guide(cost)
        self.finals: Finals | None = None
        self._networks: list[Network] = []
        self._results: list[float] = []
        self._steps: dict[int, int] = {}

    def begin(self, final: Trainings, trials: int) -> None:
        self.finals = Finals(self.early, final)
        self._steps = {round(share * trials): count for share, count in _STEPS.items()}

    def train(self) -> None:
        """The long trainings that are due after so many early results, once."""
        assert self.finals is not None, "begin() says where"
        count = self._steps.pop(len(self._results), 0)
        self.finals.spread = float(np.std(self._results))
        known = list(dict.fromkeys(self._networks))
        if self.finals.accuracies:
            self.finals.train_corrected(known, count)
        elif count:
            self.finals.train_varied(known, count)

    def observe(self, network: Network, result: float) -> None:
        self._networks.append(network)
        self._results.append(result)
        self.early.observe(network, result)

    def rank(self, candidates: Sequence[Network], pending: Sequence[Network] = ()) -> list[Network]:
        if self.finals is None or not self.finals.accuracies:
            return self.early.rank(candidates, pending)
        expected = self.finals.expected
        mean, gain_deviation = expected.predict(candidates)
        deviation = np.hypot(gain_deviation, self.early.deviation(candidates, pending))
        known = list(dict.fromkeys(self._networks))
        best = float(expected.predict(known).mean.max())
        improvement = expected_improvement(mean, deviation, best)
        return [candidates[at] for at in np.argsort(-improvement, kind="stable")]

    def mean(self, networks: Sequence[Network]) -> np.ndarray:
        if self.finals is None or not self.finals.accuracies:
            return self.early.mean(networks)
        return self.finals.expected.predict(networks).mean

    def similarity(self, networks: Sequence[Network]) -> np.ndarray:
        return self.early.similarity(networks)
