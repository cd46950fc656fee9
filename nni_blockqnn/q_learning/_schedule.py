"""The epsilon of each iteration (paper, Table 2)."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from nni_blockqnn.q_learning.settings import EpsilonStages


class EpsilonSchedule:
    """Epsilon falls from stage to stage; after the last stage it stays.

    >>> from nni_blockqnn.q_learning.settings import TABLE_2
    >>> schedule = EpsilonSchedule(TABLE_2)
    >>> schedule.epsilon(94), schedule.epsilon(95), schedule.epsilon(177)
    (1.0, 0.9, 0.1)
    """

    def __init__(self, stages: EpsilonStages, total_iterations: float | None = None) -> None:
        """Stretch or shrink all stages alike to ``total_iterations``, if given."""
        ends = list(accumulate(iterations for _, iterations in stages))
        scale = 1.0 if total_iterations is None else total_iterations / ends[-1]
        self._epsilons = [epsilon for epsilon, _ in stages]
        self._ends = [end * scale for end in ends]

    def epsilon(self, iteration: float) -> float:
        """Epsilon of an iteration, counted from 0."""
        stage = bisect_right(self._ends, iteration)
        return self._epsilons[min(stage, len(self._epsilons) - 1)]
