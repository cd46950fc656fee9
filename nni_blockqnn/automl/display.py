"""A search's progress: a few lines that change, or a line now and then where nothing can change."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nni_blockqnn.automl._words import clock, in_words

_LINE_EVERY_SECONDS = 10.0


class Display:
    """Stage, progress, best so far, expected end and web UI's address."""

    def __init__(self, console: Console) -> None:
        """
        Args:
            console: may be quiet.
        """
        self.console = console
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._last_line = 0.0
        self._last_shown = ("", -1)

    @classmethod
    @contextmanager
    def on(cls, console: Console) -> Iterator[Display]:
        """A display, for as long as there is something to show."""
        display = cls(console)
        with display._live if display._changes else nullcontext():
            yield display

    @property
    def _changes(self) -> bool:
        return self.console.is_terminal or self.console.is_jupyter

    def say(self, line: str) -> None:
        """A line that stays, on a terminal broken between its words."""
        if self._changes:
            line = textwrap.fill(
                line,
                self.console.width,
                subsequent_indent="  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(
        self,
        stage: str,
        done: int,
        total: int,
        unit: str,
        news: str = "",
        seconds_left: float | None = None,
        url: str = "",
        of: str = "everything",
    ) -> None:
        """
        Args:
            news: the best so far, in words.
            seconds_left: until the end; None if nothing tells it yet.
            of: what ends then: "everything", or this stage alone.
        """
        ends = ""
        if seconds_left is not None:
            ends = f"about {clock(seconds_left)}, {in_words(seconds_left)} left for {of}"
        if self._changes:
            self._live.update(_lines(stage, done, total, unit, news, ends, url), refresh=True)
        elif self._begins_line(stage, done, total):
            parts = [f"{stage} {done}/{total} {unit}", news, ends and f"ends {ends}"]
            self.say(", ".join(part for part in parts if part))

    def _begins_line(self, stage: str, done: int, total: int) -> bool:
        now = time.monotonic()
        if (stage, done) == self._last_shown:
            return False
        is_new = stage != self._last_shown[0]
        if not is_new and done < total and now - self._last_line < _LINE_EVERY_SECONDS:
            return False
        self._last_line, self._last_shown = now, (stage, done)
        return True


def _lines(stage: str, done: int, total: int, unit: str, news: str, ends: str, url: str) -> Group:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        ProgressBar(total=max(total, 1), completed=done, width=30), f"{done}/{total} {unit}"
    )
    table.add_row(stage, bar)
    for name, value in (("so far", news), ("ends", ends), ("web UI", url)):
        if value:
            table.add_row(name, Text(value))
    return Group(table)
