"""A training's progress in the terminal."""

from __future__ import annotations

from rich.console import Console

from nni_blockqnn.commands._progress_bar import ProgressBar, time_left
from nni_blockqnn.network.measure import ACCURACY, Measure
from nni_blockqnn.training import EpochResult


class TrainingDisplay(ProgressBar):
    """A bar with epochs done, accuracy, loss, learning rate and the time left.

    Where the output is no terminal, a line for each epoch takes its place.
    """

    def __init__(
        self, console: Console, epochs: int, measured_on: str, measure: Measure = ACCURACY
    ) -> None:
        """
        Args:
            measured_on: the images that the accuracy is of, such as "validation".
            measure: what the accuracy is; default the accuracy of classes.
        """
        super().__init__(console, "epochs", epochs)
        self._measured_on = measured_on
        self._measure = measure
        self._seconds: list[float] = []

    def update(self, epoch: EpochResult) -> None:
        self._seconds.append(epoch.seconds)
        text = self._describe(epoch)
        self.show(epoch.epoch, text)
        if not self.console.is_terminal:
            self.console.print(f"epoch {epoch.epoch}/{self.total}  {text}")

    def _describe(self, epoch: EpochResult) -> str:
        left = sum(self._seconds) / len(self._seconds) * (self.total - epoch.epoch)
        return (
            f"{self._measured_on} {self._measure.text(epoch.accuracy)}  loss {epoch.loss:.3f}  "
            f"rate {epoch.learning_rate:g}  {time_left(left)}"
        )
