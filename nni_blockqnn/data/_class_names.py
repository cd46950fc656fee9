"""Names of classes that are the same, or look as if they were meant to be."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence

_SIMILAR = 0.75
"""difflib's ratio from which two names may be one, mistyped."""


def one_form(name: str) -> str:
    """The name composed (NFC): macOS stores decomposed names, and archives carry them on."""
    return unicodedata.normalize("NFC", name)


def nearest(name: str, others: Iterable[str]) -> str | None:
    """Which of the others may be meant by the name, if any."""
    for other in (others := list(others)):
        if _folded(other) == _folded(name):
            return other
    return next(iter(difflib.get_close_matches(name, others, n=1, cutoff=_SIMILAR)), None)


def near_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs that differ in case, spaces, hyphens or underscores only."""
    seen: dict[str, str] = {}
    pairs = []
    for name in names:
        first = seen.setdefault(_folded(name), name)
        if first != name:
            pairs.append((first, name))
    return pairs


def near_note(names: Sequence[str]) -> list[str]:
    """A line on the classes that may be one, if there are any."""
    pairs = near_pairs(names)
    if not pairs:
        return []
    first, second = pairs[0]
    more = "" if len(pairs) == 1 else f", and {len(pairs) - 1} more such pairs"
    return [
        f"the classes {first!r} and {second!r} are two{more}: rename the folders if they are one"
    ]


def _folded(name: str) -> str:
    text = unicodedata.normalize("NFKC", name).casefold()
    return "".join(character for character in text if character.isalnum()) or text
