"""What goes wrong with data, told to whoever has to put it right."""

from __future__ import annotations


class DataError(Exception):
    """Data is missing, broken or does not suit: one line that says what is wrong and what to do."""


def one_line(error: BaseException) -> str:
    """The error's message without its line breaks, or its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
