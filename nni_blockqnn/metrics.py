"""The metrics that trials report and what the tuner reads in them (docs/metrics.md)."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any, NamedTuple

from nni_blockqnn._messages import shown
from nni_blockqnn.nsc import Block, InvalidBlockError, parse_any_block

REPEATS_LIMIT = 1_000
"""As in a search space."""
REWARD_LIMIT = 1e100
"""Rewards beyond would overflow in means and deviations."""


class MetricError(ValueError):
    """A final metric that cannot count; the message says what it lacks."""


class FinalMetric(NamedTuple):
    """A trial's result, which belongs to the block and episode that it names itself."""

    episode: int
    block: Block
    reward: float
    repeats: int | None
    values: Mapping[str, Any]


def parse_final_metric(value: Any) -> FinalMetric:
    """Read the dictionary that a trial gave ``nni.report_final_result``.

    Raises:
        MetricError: if it names no episode or block, or its ``default`` is not a finite number
            (of at most ``REWARD_LIMIT``).
    """
    if not isinstance(value, Mapping):
        raise MetricError(
            'the final metric must be a dictionary with "default", "episode" and "block" '
            f"(both as in the trial's parameters), got {shown(value)}"
        )
    episode: Any = value.get("episode")
    repeats: Any = value.get("repeats")
    default: Any = value.get("default")
    if not _is_integer(episode):
        raise MetricError(f'the metric\'s "episode" must be an integer, got {shown(episode)}')
    reward = _finite(default)
    try:
        block = parse_any_block(value.get("block"))
    except InvalidBlockError as error:
        raise MetricError(f'the metric\'s "block" is none: {error}') from None
    has_repeats = _is_integer(repeats) and 0 < repeats <= REPEATS_LIMIT
    return FinalMetric(int(episode), block, reward, int(repeats) if has_repeats else None, value)


def _finite(default: Any) -> float:
    if not isinstance(default, numbers.Real) or isinstance(default, bool):
        raise MetricError(f'the metric\'s "default" must be a number, got {shown(default)}')
    try:
        reward = float(default)
    except OverflowError:
        reward = math.inf
    if not abs(reward) <= REWARD_LIMIT:  # neither does NaN pass
        raise MetricError(f'the metric\'s "default" must be finite, got {shown(default)}')
    return reward


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
