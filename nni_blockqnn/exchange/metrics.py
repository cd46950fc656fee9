"""The metrics that trials report and what the tuner reads in them (docs/metrics.md)."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any, NamedTuple

from nni_blockqnn.blocks.block import Block, parse_any_block
from nni_blockqnn.common.checks import is_integer
from nni_blockqnn.common.messages import shown

REPEATS_LIMIT = 1_000
"""As in a search space."""
REASON_LIMIT = 1_000
"""Characters of a failure's reason that are kept."""
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


class FailureReport(NamedTuple):
    """What a trial that failed said of itself."""

    episode: int
    block: Block
    reason: str
    of_block: bool


def parse_failure(value: Any, encoding: str = "pcc") -> FailureReport | None:
    """Read a final metric with a ``failure`` in it; ``None`` if it is not such a one.

    Args:
        encoding: of the block, if the metric does not name it.

    Raises:
        MetricError: if it names no episode or block.
    """
    if not isinstance(value, Mapping) or "failure" not in value:
        return None
    episode, block = _identity(value, encoding)
    reason: Any = value["failure"]
    text = reason if isinstance(reason, str) else shown(reason, REASON_LIMIT)
    of_block = value.get("failure_of_block") is True  # an array would have no single truth value
    return FailureReport(episode, block, " ".join(text.split())[:REASON_LIMIT], of_block)


def parse_final_metric(value: Any, encoding: str = "pcc") -> FinalMetric:
    """Read the dictionary that a trial gave ``nni.report_final_result``.

    Args:
        encoding: of the block, if the metric does not name it.

    Raises:
        MetricError: if it names no episode or block, or its ``default`` is not a finite number
            (of at most ``REWARD_LIMIT``).
    """
    if not isinstance(value, Mapping):
        raise MetricError(
            'the final metric must be a dictionary with "default", "episode" and "block" '
            f"(both as in the trial's parameters), got {shown(value)}"
        )
    repeats: Any = value.get("repeats")
    episode, block = _identity(value, encoding)
    reward = _finite(value.get("default"))
    has_repeats = is_integer(repeats) and 0 < repeats <= REPEATS_LIMIT
    return FinalMetric(episode, block, reward, int(repeats) if has_repeats else None, value)


def _identity(value: Mapping[str, Any], encoding: str) -> tuple[int, Block]:
    episode: Any = value.get("episode")
    if not is_integer(episode):
        raise MetricError(f'the metric\'s "episode" must be an integer, got {shown(episode)}')
    try:
        return int(episode), parse_any_block(value.get("block"), value.get("encoding", encoding))
    except ValueError as error:
        raise MetricError(f'the metric\'s "block" is none: {error}') from None


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
