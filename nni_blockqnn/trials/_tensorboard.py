"""What NNI's TensorBoard button shows of a trial: scalars by epoch, the block, the final metric."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.training import EpochResult

_LONG_TRAINING = 30.0
"""Seconds from which on a picture of the block, which takes one or two, is worth it."""
_FLUSH_SECONDS = 20


class TensorBoardLog:
    """The event file of one trial. Without a folder, nothing is written.

    A log that cannot be written is no reason to lose a training: that is said once, on stderr.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._writer: Any = None
        self._epochs: set[int] = set()

    @classmethod
    def of_trial(cls) -> TensorBoardLog:
        """Where NNI looks for the event files of this process's trial; it must be a local one."""
        output, trial = (os.environ.get(name) for name in ("NNI_OUTPUT_DIR", "NNI_TRIAL_JOB_ID"))
        if os.environ.get("NNI_PLATFORM") != "local" or not output or not trial:
            return cls(None)
        # <experiment>/environments/<environment>/trials/<trial> is the trial's own folder,
        # and <experiment>/trials/<trial>/output/tensorboard where NNI looks
        parents = Path(output).parents
        if len(parents) < 4 or parents[2].name != "environments":
            return cls(None)
        return cls(parents[3] / "trials" / trial / "output" / "tensorboard")

    def write_epoch(self, epoch: EpochResult) -> None:
        """Scalars of one epoch. After a restart the epochs are counted from 1 again."""
        self._try(self._write_epoch, epoch)

    def finish(
        self,
        block: Block,
        epochs: Iterable[EpochResult],
        metric: Mapping[str, Any],
        seconds: float,
    ) -> None:
        """Also write the epochs of an earlier run of this training, the block and the metric.

        Args:
            epochs: all of the training, those before a resume included.
            seconds: the training took.
        """
        self._try(self._finish, block, epochs, metric, seconds)

    def _try(self, write: Any, *arguments: Any) -> None:
        if self._folder is None:
            return
        try:
            if self._writer is None:
                from torch.utils.tensorboard import SummaryWriter

                self._writer = SummaryWriter(str(self._folder), flush_secs=_FLUSH_SECONDS)
            write(*arguments)
        except (ImportError, OSError, ValueError) as error:
            self._folder = None
            print(f"warning: TensorBoard's log is not written: {error}", file=sys.stderr)

    def _write_epoch(self, epoch: EpochResult) -> None:
        if epoch.epoch == 1:
            self._epochs.clear()
        self._epochs.add(epoch.epoch)
        scalars = {
            "accuracy": epoch.accuracy,
            "loss": epoch.loss,
            "learning_rate": epoch.learning_rate,
            "seconds": epoch.seconds,
        }
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, epoch.epoch)
        self._writer.flush()

    def _finish(
        self,
        block: Block,
        epochs: Iterable[EpochResult],
        metric: Mapping[str, Any],
        seconds: float,
    ) -> None:
        for epoch in epochs:
            if epoch.epoch not in self._epochs:
                self._write_epoch(epoch)
        from nni_blockqnn.reports.text_graph import draw_text

        # four spaces make a code block of Markdown
        self._writer.add_text("block", "    " + draw_text(block).replace("\n", "\n    "))
        self._writer.add_text("codes", f"    {block.to_json()}")
        rows = [f"| {name} | {value} |" for name, value in metric.items() if name != "block"]
        self._writer.add_text(
            "final metric", "\n".join(["| key | value |", "| --- | --- |", *rows])
        )
        if seconds >= _LONG_TRAINING:
            from nni_blockqnn.reports.drawing import block_figure

            self._writer.add_figure("block", _raster(block_figure(block)))
        self._writer.close()


def _raster(figure: Any) -> Any:
    """The figure with a canvas that can be read as pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    return figure
