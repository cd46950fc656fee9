"""Printing what the terminal cannot show."""

from __future__ import annotations

import io
import sys


def print_everything() -> None:
    """Have characters escaped that stdout or stderr cannot encode, where printing them would fail.

    File names need not be UTF-8, and in the locale C a terminal takes ASCII only.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
