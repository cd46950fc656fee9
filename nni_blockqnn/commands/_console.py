"""The console of commands that show tables."""

from __future__ import annotations

import os

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_WIDEST = 1000
"""Characters; no table needs more."""


def width_of(table: Table, console: Console) -> int:
    """The characters that a table needs so that none of its cells is cut."""
    wide = console.options.update(max_width=_WIDEST)
    return Measurement.get(console, wide, table).maximum


class TableConsole(Console):
    """A console that leaves numbers uncoloured, and to which a closed pipe is an ordinary error."""

    def __init__(self) -> None:
        super().__init__(highlight=False)

    @property
    def has_width(self) -> bool:
        """Whether lines must fit: a terminal or $COLUMNS says so, a file or a pipe has room."""
        return self.is_terminal or "COLUMNS" in os.environ

    def on_broken_pipe(self) -> None:
        raise  # rich calls it as it handles the error; its own ends the process with code 1
