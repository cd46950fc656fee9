"""The metrics that trials report and what the tuner reads in them (docs/metrics.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from nni_blockqnn.blocks.block import Block, parse_block
from nni_blockqnn.common.checks import is_integer, is_number
from nni_blockqnn.common.messages import shown

REPEATS_LIMIT = 1_000
"""The largest N, as in a search space."""
REASON_LIMIT = 1_000
"""How many characters of a failure's reason are kept."""
REWARD_LIMIT = 1e100
"""Larger rewards would overflow in means and deviations."""


class MetricError(ValueError):
    """A final metric that cannot be counted; the message says what is missing or wrong."""


class FinalMetric(NamedTuple):
    """A trial's result, which belongs to the block and episode that the metric names.

    Attributes:
        episode: the tuner's number of the block.
        reward: the metric's ``default``.
        repeats: the network's N, None if the metric does not name it.
        values: the whole metric.
    """

    episode: int
    block: Block
    reward: float
    repeats: int | None
    values: Mapping[str, Any]


class FailureReport(NamedTuple):
    """Why a trial failed, as it reported.

    Attributes:
        episode: the tuner's number of the block.
        reason: one line of at most ``REASON_LIMIT`` characters.
        of_block: whether the block is to blame, and not the data, the machine and so on.
    """

    episode: int
    block: Block
    reason: str
    of_block: bool


def parse_failure(value: Any, encoding: str = "pcc") -> FailureReport | None:
    """The failure that a final metric reports; ``None`` if it reports none.

    Args:
        encoding: the block's, where the metric does not name it.

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
    """The result in the dictionary that a trial gave ``nni.report_final_result``.

    Args:
        encoding: the block's, where the metric does not name it.

    Raises:
        MetricError: if it names no episode or block, or if its ``default`` is not a finite number
            of at most ``REWARD_LIMIT``.
    """
    if not isinstance(value, Mapping):
        raise MetricError(
            'the final metric must be a dictionary with "default", "episode" and "block" '
            f"(both as in the trial's parameters), got {shown(value)}"
        )
    repeats: Any = value.get("repeats")
    episode, block = _identity(value, encoding)
    reward = _reward(value.get("default"))
    has_repeats = is_integer(repeats) and 0 < repeats <= REPEATS_LIMIT
    return FinalMetric(episode, block, reward, int(repeats) if has_repeats else None, value)


def _identity(value: Mapping[str, Any], encoding: str) -> tuple[int, Block]:
    episode: Any = value.get("episode")
    if not is_integer(episode):
        raise MetricError(f'the metric\'s "episode" must be an integer, got {shown(episode)}')
    try:
        return int(episode), parse_block(value.get("block"), value.get("encoding", encoding))
    except ValueError as error:
        raise MetricError(f'the metric\'s "block" is not a block: {error}') from None


def _reward(default: Any) -> float:
    if not is_number(default) or abs(float(default)) > REWARD_LIMIT:
        raise MetricError(
            f'the metric\'s "default" must be a finite number, {REWARD_LIMIT:g} at most, '
            f"got {shown(default)}"
        )
    return float(default)
