"""The results of a search by the stages of epsilon."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from nni_blockqnn.common.checks import is_integer
from nni_blockqnn.network.measure import ACCURACY, Measure, measure_of
from nni_blockqnn.reports._plot import Stage
from nni_blockqnn.results.experiment import TrialResult

_CHUNKS = 20
"""Parts of a search whose tuner has no iterations."""


class StageResults(NamedTuple):
    """The results with one epsilon, start blocks left out."""

    epsilon: float
    trials: list[TrialResult]


class Scored(NamedTuple):
    """A result in a chart over the course of the search.

    Attributes:
        iteration: the block's number among those handed out, over the blocks of an iteration.
        value: the accuracy in percent, or the reward.
    """

    result: TrialResult
    iteration: float
    value: float


@dataclass(frozen=True)
class Course:
    """The results of a search in the order in which their blocks were handed out.

    Attributes:
        step: blocks in an iteration.
        has_iterations: whether the tuner has iterations; otherwise they are parts of the search.
    """

    trials: Sequence[TrialResult]
    step: int
    has_iterations: bool
    epsilons: Mapping[int, float]
    minimize: bool

    @classmethod
    def of(
        cls,
        trials: Sequence[TrialResult],
        epsilons: Mapping[int, float],
        step: int | None,
        minimize: bool,
    ) -> Course:
        ordered = sorted(trials, key=lambda trial: trial.episode)
        parts = max(1, len(ordered) // _CHUNKS)
        return cls(ordered, step or parts, step is not None, epsilons, minimize)

    def scored(self, by: str) -> list[Scored]:
        """The results that have this number, "accuracy" or "reward"."""
        return [
            Scored(trial, number / self.step, float(value))
            for number, trial in enumerate(self.trials)
            if (value := getattr(trial, by)) is not None
        ]

    @property
    def spans(self) -> list[Stage]:
        """The stages of epsilon over the iterations; none if it is not known."""
        found = []
        numbered = [
            (number, self.epsilons[trial.episode])
            for number, trial in enumerate(self.trials)
            if trial.episode in self.epsilons
        ]
        for epsilon, group in groupby(numbered, key=lambda pair: pair[1]):
            numbers = [number for number, _ in group]
            found.append(Stage(numbers[0] / self.step, (numbers[-1] + 1) / self.step, epsilon))
        return found

    @property
    def stages(self) -> list[StageResults]:
        """From exploration to exploitation."""
        by_epsilon: dict[float, list[TrialResult]] = {}
        for trial in self.trials:
            if trial.episode in self.epsilons and not trial.is_start:
                by_epsilon.setdefault(self.epsilons[trial.episode], []).append(trial)
        return [StageResults(epsilon, by_epsilon[epsilon]) for epsilon in by_epsilon]


def median_result(trials: Sequence[TrialResult]) -> TrialResult:
    """The one whose score is in the middle, the lower of two.

    The score is the accuracy, or the reward where there is no accuracy.
    """
    ranked = sorted(trials, key=lambda one: one.reward if one.accuracy is None else one.accuracy)
    return ranked[(len(ranked) - 1) // 2]


def standard_error(result: TrialResult) -> float | None:
    """Of the accuracy in percentage points, from the number of validation images alone.

    It is sqrt(p (1 - p) / n). If all images or none are right, p is half an image away from that.
    None if the trial did not say on how many images it was measured.
    """
    images = result.metric.get("validation_images")
    if result.accuracy is None or not is_integer(images) or images < 1:
        return None
    if measure_of(result.metric) != ACCURACY:  # no share of the images
        return None
    nearest = 0.5 / images
    share = min(max(result.accuracy / 100, nearest), 1 - nearest)
    return 100 * math.sqrt(share * (1 - share) / images)


def accuracy_text(result: TrialResult) -> str:
    """Such as "97.92 ± 1.2 %"."""
    if result.accuracy is None:
        return "–"
    error = standard_error(result)
    if error is None:
        return measure_of(result.metric).text(result.accuracy)
    return f"{result.accuracy:.2f} ± {error:.1f} %"


def measure_in(trials: Iterable[TrialResult]) -> Measure:
    """What their `accuracy` is; that of the first, since a search has one."""
    return next((measure_of(trial.metric) for trial in trials), ACCURACY)


def axis_name(by: str, trials: Iterable[TrialResult]) -> str:
    """For an axis of their "accuracy" or "reward"."""
    return "reward" if by == "reward" else f"early-stop {measure_in(trials).score_axis}"
