"""Numbers on a command line, refused with what is allowed (``type`` of argparse)."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable

from nni_blockqnn.common.messages import shown

_LARGEST_WEIGHT = 1_000_000
"""Beyond it the accuracy has no digits left in a reward."""
_LARGEST_SEED = 2**32 - 1


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


seed = integer_from(0, _LARGEST_SEED)


def reward_weight(text: str) -> float:
    """mu or rho, negative ones too."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) <= _LARGEST_WEIGHT:
        raise ArgumentTypeError(
            f"must be a number from -{_LARGEST_WEIGHT} to {_LARGEST_WEIGHT}, got {shown(text)}"
        )
    return value
