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
        measure: what it takes as its accuracy: "accuracy" or "balanced_accuracy".
    """

    weights: tuple[float, float] | None = None
    function: str | None = None
    measure: str = "accuracy"


def search_reward(results: Results) -> SearchReward:
    """The reward that the metrics name, or else the trial's command if it is this package's trial.

    Weights by which the rewards cannot have been computed are not believed.
    """
    named = _named_in_metrics(results.trials)
    if named is None and not any(_names_reward(trial.metric) for trial in results.trials):
        named = _named_in_command(results.experiment.config)
    if named is None or not all(_fits(named, trial) for trial in results.trials):
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
    measure = str(metric.get("metric", "accuracy"))
    if isinstance(function, str):
        return SearchReward(function=function, measure=measure)
    if is_number(mu) and is_number(rho):
        return SearchReward(weights=(float(mu), float(rho)), measure=measure)
    return None


def _named_in_command(config: Mapping[str, Any]) -> SearchReward | None:
    arguments = trial_arguments(config)
    if arguments is None:
        return None
    measure = trial_option(arguments, "--metric", "accuracy")
    if function := trial_option(arguments, "--reward", ""):
        return SearchReward(function=function, measure=measure)
    try:
        mu, rho = (float(trial_option(arguments, *one)) for one in (("--mu", "1"), ("--rho", "8")))
    except ValueError:
        return None
    return SearchReward(weights=(mu, rho), measure=measure)


def _fits(named: SearchReward, trial: TrialResult) -> bool:
    """Whether its reward is the paper's with these weights, where all that it needs is reported."""
    if named.weights is None:
        return True
    (mu, rho), flops = named.weights, trial.flops
    accuracy = trial.accuracy if named.measure == "accuracy" else trial.metric.get(named.measure)
    cost = _weighted(mu, None if flops is None else flops / 1e6)
    density = _weighted(rho, trial.density)
    if not is_number(accuracy) or cost is None or density is None:
        return True
    return abs(float(accuracy) - cost - density - trial.reward) <= _TOLERANCE


def _weighted(weight: float, value: float | None) -> float | None:
    if weight == 0:
        return 0.0
    return weight * math.log(value) if value is not None and value > 0 else None
