"""Numbers on a command line, refused with what is allowed (``type`` of argparse)."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Callable

from nni_blockqnn.common.checks import LARGEST_SEED
from nni_blockqnn.common.messages import shown

_LARGEST_WEIGHT = 1_000_000
"""Beyond it the accuracy has no digits left in a reward."""


def integer_from(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    allowed = f"from {lowest}" + ("" if highest is None else f" to {highest}")

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = lowest - 1
        if value < lowest or (highest is not None and value > highest):
            raise ArgumentTypeError(f"must be an integer {allowed}, got {shown(text)}")
        return value

    return parse


seed = integer_from(0, LARGEST_SEED)


def number(lowest: float, below: float = math.inf) -> Callable[[str], float]:
    """A finite number from `lowest`, and smaller than `below` if that is given."""
    allowed = f"from {lowest:g}" + ("" if below == math.inf else f" to below {below:g}")

    def parse(text: str) -> float:
        value = _float(text)
        if not lowest <= value < below:
            raise ArgumentTypeError(f"must be a number {allowed}, got {shown(text)}")
        return value

    return parse


def positive(text: str) -> float:
    """A finite number above 0."""
    value = _float(text)
    if not 0 < value < math.inf:
        raise ArgumentTypeError(f"must be a number above 0, got {shown(text)}")
    return value


def reward_weight(text: str) -> float:
    """mu or rho, which may be negative."""
    value = _float(text)
    if not abs(value) <= _LARGEST_WEIGHT:
        raise ArgumentTypeError(
            f"must be a number from -{_LARGEST_WEIGHT} to {_LARGEST_WEIGHT}, got {shown(text)}"
        )
    return value


def _float(text: str) -> float:
    """NaN, which is in no range, for what is no number."""
    try:
        return float(text)
    except ValueError:
        return math.nan
