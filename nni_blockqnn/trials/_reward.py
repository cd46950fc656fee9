"""The reward of a trial: the paper's, or a function of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nni_blockqnn import reward as papers_reward
from nni_blockqnn.common.checks import is_number
from nni_blockqnn.common.messages import shown
from nni_blockqnn.common.plugins import load_object
from nni_blockqnn.exchange.metrics import REWARD_LIMIT
from nni_blockqnn.trials.arguments import TrialArguments

RewardFunction = Callable[[float, int, float, Mapping[str, Any]], float]
"""From accuracy (percent), FLOPs (multiply-accumulates), density and the rest of the final metric
(docs/metrics.md) to a finite number; more is better."""


def find_reward(arguments: TrialArguments) -> RewardFunction:
    """The reward that the arguments name.

    Raises:
        ValueError: if it cannot be loaded. The function raises it for a result that is no finite
            number.
    """
    name = arguments.reward
    if name is None:
        return lambda accuracy, flops, density, _: papers_reward(
            accuracy, flops, density, arguments.mu, arguments.rho
        )
    own = load_object(name, "a reward")

    def checked(accuracy: float, flops: int, density: float, metric: Mapping[str, Any]) -> float:
        value = own(accuracy, flops, density, metric)
        # the tuner would not count a larger one
        if not is_number(value) or abs(float(value)) > REWARD_LIMIT:
            raise ValueError(
                f"reward {name} must return a finite number, at most {REWARD_LIMIT:g} in size, "
                f"got {shown(value)}"
            )
        return float(value)  # NumPy's own numbers are no JSON

    return checked


def reward_facts(arguments: TrialArguments) -> dict[str, Any]:
    """What the final metric says about its reward."""
    metric = {} if arguments.metric == "accuracy" else {"metric": arguments.metric}
    if arguments.reward is not None:
        return metric | {"reward": arguments.reward}
    return metric | {"mu": arguments.mu, "rho": arguments.rho}
