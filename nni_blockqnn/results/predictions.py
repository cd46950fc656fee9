"""How well a predictor foretells the results of a search from those that came before."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from nni_blockqnn.common.messages import UserError
from nni_blockqnn.q_learning.arguments import SearchArguments, make_predictor
from nni_blockqnn.results.experiment import Results, TrialResult
from nni_blockqnn.results.search_settings import search_arguments
from nni_blockqnn.space.limits import CostLimits
from nni_blockqnn.space.search_space import SearchSpace

_FIRST = 20
"""Results before the first prediction."""
_FITS = 12
"""Each predicts the results up to the next one."""
_MOST_RESULTS = 1_500
"""Of a longer search, the last ones: a fit costs the third power of what it knows."""


class Prediction(NamedTuple):
    """A result, and the reward that was expected from the results before it."""

    result: TrialResult
    expected: float


class Predictions(NamedTuple):
    """
    Attributes:
        predictor: its name.
        was_used: whether the search itself chose its blocks by it.
    """

    predictor: str
    was_used: bool
    predictions: list[Prediction]


def foretold(results: Results) -> Predictions | None:
    """What the search's own predictor, or else the built-in one, would have said of each result.

    It is fitted some ten times, each time to all results that had come by then, and asked for those
    that came next. None if the results are too few or the search space is not known.
    """
    arguments = search_arguments(results.experiment)
    trials = [trial for trial in results.trials if trial.repeats is not None][-_MOST_RESULTS:]
    if arguments is None or len(trials) < 2 * _FIRST:
        return None
    try:
        space = SearchSpace.from_json(results.experiment.config.get("searchSpace", {}))
        target = arguments.match and arguments.match.target_in(space)
        limits = CostLimits(space, arguments.limits, target)
    except ValueError:
        return None
    known = [trial for trial in trials if trial.block.encoding == space.encoding]
    return _predictions(known, arguments, limits, -1.0 if results.minimize else 1.0)


def _predictions(
    trials: Sequence[TrialResult], arguments: SearchArguments, limits: CostLimits, sign: float
) -> Predictions | None:
    was_used = arguments.predictor is not None
    name = arguments.predictor if isinstance(arguments.predictor, str) else "wl"
    try:
        predictor: Any = make_predictor(SearchArguments.of({"predictor": name}), limits.cost)
    except (UserError, ImportError, ValueError):  # code that is not here
        name, was_used = "wl", False
        predictor = make_predictor(SearchArguments.of({"predictor": name}), limits.cost)
    marks = np.unique(np.linspace(_FIRST, len(trials), _FITS + 1).astype(int))
    found: list[Prediction] = []
    seen = 0
    for mark, end in pairwise(marks.tolist()):
        for trial in trials[seen:mark]:
            predictor.observe((trial.block, trial.repeats), sign * trial.reward)
        seen = mark
        asked = trials[mark:end]
        means = predictor.mean([(trial.block, trial.repeats) for trial in asked])
        if means is None:
            return None
        found += [
            Prediction(trial, sign * float(mean)) for trial, mean in zip(asked, means, strict=True)
        ]
    return Predictions(name, was_used, found)
