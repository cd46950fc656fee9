"""Errors that a user can put right, and values in their messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any


class UserError(Exception):
    """What a user can put right: the commands show its message alone."""


def shown(value: Any, longest: int = 80) -> str:
    """The value's repr on one line, cut short: codes and settings come from files and from the
    network."""
    try:
        text = repr(_beginning(value, longest)[0]).replace("\n", " ")
    except Exception:  # integers of thousands of digits, classes whose repr fails
        return f"a {type(value).__name__}"
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def alternatives(values: Sequence[Any]) -> str:
    """'1, 3 or 5'"""
    *most, last = map(str, values)
    return f"{', '.join(most)} or {last}" if most else last


def counted(count: int, what: str) -> str:
    """'1 block' or '2 blocks'"""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def did_you_mean(given: Any, known: Iterable[Any]) -> str:
    """'; did you mean budget?' for a misspelt name, or nothing if none is near it."""
    if not isinstance(given, str):
        return ""
    names = {str(name).lower(): str(name) for name in known}
    near = get_close_matches(given[:80].lower(), names, n=1, cutoff=0.7)
    return f"; did you mean {names[near[0]]}?" if near else ""


def _beginning(value: Any, room: int) -> tuple[Any, int]:
    """As much of a value as fills so many characters, and how many are left then.

    The repr of all of it may take seconds, and that of deep nesting more than the stack.
    """
    kind = type(value)
    if kind in (str, bytes):
        return value[: max(room, 0)], room - len(value)
    if kind is dict:
        pairs = {}
        for key, item in value.items():
            if room <= 0:
                break
            begun, room = _beginning(key, room - 1)
            pairs[begun], room = _beginning(item, room - 1)
        return pairs, room
    if kind in (list, tuple, set, frozenset):
        items = []
        for item in value:
            if room <= 0:
                break
            begun, room = _beginning(item, room - 1)
            items.append(begun)
        return kind(items), room
    return value, room - 1
