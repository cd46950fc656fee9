"""A search's progress in the terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Console

from nni_blockqnn.commands._progress_bar import ProgressBar, time_left
from nni_blockqnn.network.measure import measure_of
from nni_blockqnn.results.experiment import Results, distinct_best

_LINE_EVERY_SECONDS = 10.0
"""How often a line replaces the bar where the output is not a terminal."""


class SearchDisplay(ProgressBar):
    """A bar with trials done, best accuracy, its reward, epsilon and the time left."""

    def __init__(self, console: Console, trials: int) -> None:
        super().__init__(console, "trials", trials)
        self._began = self._last_line = time.monotonic()
        self._last_done = 0

    def update(self, results: Results, epsilons: Mapping[int, float]) -> None:
        """Show the results so far; ``epsilons`` are by episode."""
        done = len(results.trials) + results.statuses.get("FAILED", 0)
        text = self._describe(results, epsilons, done)
        self.show(done, text)
        if not self.console.is_terminal and self._begins_line(done):
            self.console.print(f"trials {done}/{self.total}  {text}")

    def _begins_line(self, done: int) -> bool:
        now = time.monotonic()
        news = done > self._last_done
        waited = now - self._last_line >= _LINE_EVERY_SECONDS
        if not news or (done < self.total and not waited):
            return False
        self._last_line, self._last_done = now, done
        return True

    def _describe(self, results: Results, epsilons: Mapping[int, float], done: int) -> str:
        parts = []
        best = distinct_best(results, 1)
        if best:
            measure = measure_of(best[0].metric)
            found = f"best {measure.title} {measure.text(best[0].accuracy or 0)}"
            parts.append(f"{found}  reward {best[0].reward:.2f}")
        if epsilons:
            parts.append(f"epsilon {epsilons[max(epsilons)]:.1f}")
        if failed := results.statuses.get("FAILED", 0):
            parts.append(f"failed {failed}")
        if 0 < done < self.total:
            left = (time.monotonic() - self._began) / done * (self.total - done)
            parts.append(time_left(left))
        return "  ".join(parts)
