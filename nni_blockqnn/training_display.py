"""A training's progress in the terminal."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from nni_blockqnn.training import EpochResult


class TrainingDisplay:
    """A bar with epochs done, accuracy, loss, learning rate and the time left.

    Where the output is no terminal, a line for each epoch takes its place.
    """

    def __init__(self, console: Console, epochs: int, measured_on: str) -> None:
        """
        Args:
            measured_on: the images that the accuracy is of: "validation", say.
        """
        self._console = console
        self._epochs = epochs
        self._measured_on = measured_on
        self._seconds: list[float] = []
        self._progress = Progress(
            TextColumn("epochs"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=epochs)

    def __enter__(self) -> TrainingDisplay:
        self._progress.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def update(self, epoch: EpochResult) -> None:
        self._seconds.append(epoch.seconds)
        text = self._describe(epoch)
        self._progress.update(self._task, completed=epoch.epoch, description=text)
        if not self._console.is_terminal:
            self._console.print(f"epoch {epoch.epoch}/{self._epochs}  {text}")

    def _describe(self, epoch: EpochResult) -> str:
        left = sum(self._seconds) / len(self._seconds) * (self._epochs - epoch.epoch)
        return (
            f"{self._measured_on} {epoch.accuracy:.2f} %  loss {epoch.loss:.4f}  "
            f"learning rate {epoch.learning_rate:g}  "
            f"{int(left // 60)} min {int(left % 60):02d} s left"
        )
