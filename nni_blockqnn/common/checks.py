"""Checks of values that come from outside: JSON, YAML, command lines, other people's code.

Python's own rules let too much pass: ``True`` is an ``int``, NaN a ``float``, and NumPy has numbers
of its own.
"""

from __future__ import annotations

import math
import numbers
from typing import Any, TypeGuard

from nni_blockqnn.common.messages import shown

LARGEST_SEED = 2**32 - 1
"""Of a training or a search."""


def is_integer(value: Any) -> TypeGuard[int]:
    """Whether it is an integer of Python or NumPy; true and false are none."""
    if type(value) is int:  # mostly, and an abstract class takes ten times as long
        return True
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a real number that a finite float can hold; true and false are none."""
    if type(value) is float:
        return math.isfinite(value)
    is_real = type(value) is int or isinstance(value, numbers.Real)
    if not is_real or isinstance(value, bool):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:  # an integer of hundreds of digits
        return False


def checked_integer(name: str, value: Any, lowest: int, highest: int) -> int:
    """The value as Python's integer.

    Raises:
        ValueError: naming the value and the bounds, if it is no integer or outside of them.
    """
    if not is_integer(value) or not lowest <= value <= highest:
        raise ValueError(
            f"{name} must be an integer from {lowest} to {highest}, got {shown(value)}"
        )
    return int(value)
