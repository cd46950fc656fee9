"""A search's progress in the terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from nni_blockqnn.experiments import Results, distinct_best

_LINE_EVERY_SECONDS = 10.0
"""Where the output is no terminal, a line now and then takes the place of the bar."""


class SearchDisplay:
    """A bar with trials done, best accuracy, its reward, epsilon and the time left."""

    def __init__(self, console: Console, trials: int) -> None:
        self._console = console
        self._trials = trials
        self._began = self._last_line = time.monotonic()
        self._last_done = 0
        self._progress = Progress(
            TextColumn("trials"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=trials)

    def __enter__(self) -> SearchDisplay:
        self._progress.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def update(self, results: Results, epsilons: Mapping[int, float]) -> None:
        """Show the results so far; ``epsilons`` are by episode."""
        done = len(results.trials) + results.statuses.get("FAILED", 0)
        text = self._describe(results, epsilons, done)
        self._progress.update(self._task, completed=done, description=text)
        if not self._console.is_terminal and self._is_line_due(done):
            self._console.print(f"trials {done}/{self._trials}  {text}")

    def _is_line_due(self, done: int) -> bool:
        now = time.monotonic()
        news = done > self._last_done
        due = news and (done >= self._trials or now - self._last_line >= _LINE_EVERY_SECONDS)
        if due:
            self._last_line, self._last_done = now, done
        return due

    def _describe(self, results: Results, epsilons: Mapping[int, float], done: int) -> str:
        parts = []
        best = distinct_best(results, 1)
        if best:
            parts.append(f"best accuracy {best[0].accuracy:.2f} %  reward {best[0].reward:.2f}")
        if epsilons:
            parts.append(f"epsilon {epsilons[max(epsilons)]:.1f}")
        if failed := results.statuses.get("FAILED", 0):
            parts.append(f"failed {failed}")
        if 0 < done < self._trials:
            left = (time.monotonic() - self._began) / done * (self._trials - done)
            parts.append(f"{int(left // 60)} min {int(left % 60):02d} s left")
        return "  ".join(parts)
