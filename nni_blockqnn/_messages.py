"""Values in error messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def shown(value: Any, longest: int = 80) -> str:
    """The value's repr, cut short: codes and settings come from files and from the network."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # integers of thousands of digits, endless nesting
        return f"a {type(value).__name__}"
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def alternatives(values: Sequence[Any]) -> str:
    """'1, 3 or 5'"""
    *most, last = map(str, values)
    return f"{', '.join(most)} or {last}" if most else last
