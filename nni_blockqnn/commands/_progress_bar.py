"""A progress bar in the terminal, for commands that take minutes to days."""

from __future__ import annotations

import re
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn
from rich.table import Column

_SPACES = 5
"""Between the bar's columns, and the least of the bar itself."""

_Bar = TypeVar("_Bar", bound="ProgressBar")


class ProgressBar:
    """A name, a bar, how much is done, and a text that changes.

    Nothing is drawn where the output is no terminal; lines are to take its place there.
    """

    def __init__(
        self, console: Console, name: str, total: int, done: ProgressColumn | None = None
    ) -> None:
        """
        Args:
            done: how it is shown what is done; by default "3/10".
        """
        self.console = console
        self.total = total
        self._fixed = len(name) + 2 * len(str(total)) + 1
        count = Column(no_wrap=True, min_width=2 * len(str(total)) + 1)
        self._progress = Progress(
            TextColumn(name, table_column=Column(no_wrap=True, min_width=len(name))),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            done or MofNCompleteColumn(table_column=count),
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            console=console,
            expand=True,  # the bar takes what the text leaves: 80 columns are soon full
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=total)

    def __enter__(self: _Bar) -> _Bar:
        self._progress.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, done: int, text: str) -> None:
        """Show how much is done, and as much of the text as there is room for."""
        room = self.console.width - self._fixed - _SPACES
        self._progress.update(self._task, completed=done, description=beginning(text, room))


def beginning(text: str, room: int) -> str:
    """As many of a text's parts, which ", " or two spaces divide, as fit; no part is cut."""
    fitting = ""
    for divider in re.finditer(r", |  |$", text):
        if divider.start() > room:
            break
        fitting = text[: divider.start()]
    return fitting


def time_left(seconds: float) -> str:
    """'3 min 07 s left'"""
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s left"
