"""What a search's reward was, as far as its results and its trial's command say it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nni_blockqnn.common.checks import is_number
from nni_blockqnn.results.experiment import Results, TrialResult
from nni_blockqnn.results.trial_command import trial_arguments, trial_option

_TOLERANCE = 0.01
"""Points by which a reward may differ from its formula, since trials may round what they report."""


@dataclass(frozen=True)
class SearchReward:
    """What a search's reward was; nothing of it is known if both fields are None.

    Attributes:
        weights: mu and rho of the paper's reward.
        function: ``module:function`` of the user's own reward.
    """

    weights: tuple[float, float] | None = None
    function: str | None = None


def search_reward(results: Results) -> SearchReward:
    """The reward that the metrics name, or else the trial's command if it is this package's trial.

    Weights by which the rewards cannot have been computed are not believed.
    """
    named = _named_in_metrics(results.trials)
    if named is None and not any(_names_reward(trial.metric) for trial in results.trials):
        named = _named_in_command(results.experiment.config)
    if named is None or (named.weights and not _fits(named.weights, results.trials)):
        return SearchReward()
    return named


def _names_reward(metric: Mapping[str, Any]) -> bool:
    return any(name in metric for name in ("mu", "rho", "reward"))


def _named_in_metrics(trials: Sequence[TrialResult]) -> SearchReward | None:
    """None unless all metrics name the same."""
    named = {_named_in(trial.metric) for trial in trials}
    return named.pop() if len(named) == 1 else None


def _named_in(metric: Mapping[str, Any]) -> SearchReward | None:
    function, mu, rho = metric.get("reward"), metric.get("mu"), metric.get("rho")
    if isinstance(function, str):
        return SearchReward(function=function)
    if is_number(mu) and is_number(rho):
        return SearchReward(weights=(float(mu), float(rho)))
    return None


def _named_in_command(config: Mapping[str, Any]) -> SearchReward | None:
    arguments = trial_arguments(config)
    if arguments is None:
        return None
    if function := trial_option(arguments, "--reward", ""):
        return SearchReward(function=function)
    try:
        mu, rho = (float(trial_option(arguments, *one)) for one in (("--mu", "1"), ("--rho", "8")))
    except ValueError:
        return None
    return SearchReward(weights=(mu, rho))


def _fits(weights: tuple[float, float], trials: Sequence[TrialResult]) -> bool:
    return all(_fits_one(weights, trial.reward, trial) for trial in trials)


def _fits_one(weights: tuple[float, float], reward: float, trial: TrialResult) -> bool:
    """Whether a reward is the paper's with these weights, where all that it needs is reported."""
    (mu, rho), accuracy, flops = weights, trial.accuracy, trial.flops
    cost = _weighted(mu, None if flops is None else flops / 1e6)
    density = _weighted(rho, trial.density)
    if accuracy is None or cost is None or density is None:
        return True
    return abs(accuracy - cost - density - reward) <= _TOLERANCE


def _weighted(weight: float, value: float | None) -> float | None:
    if weight == 0:
        return 0.0
    return weight * math.log(value) if value is not None and value > 0 else None
