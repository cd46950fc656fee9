"""The whole way from Python: ``nni_blockqnn.search(data, hours=2)``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from torch import nn

from nni_blockqnn.automl.answer import Answer, answer_lines
from nni_blockqnn.automl.display import Display
from nni_blockqnn.automl.predicting import Prediction, Predictor, files_of
from nni_blockqnn.automl.request import Request
from nni_blockqnn.automl.task_predicting import TaskAnswer, TaskPredictor
from nni_blockqnn.automl.whole_way import run
from nni_blockqnn.blocks.block import Block
from nni_blockqnn.tasks import CLASSIFICATION
from nni_blockqnn.training.arguments import DEFAULT_DATA_DIR


class Found:
    """What a search has found.

    Attributes:
        folder: with all that the search has written.
        answer: what it says at its end.
    """

    def __init__(self, folder: Path, answer: Answer) -> None:
        self.folder = folder
        self.answer = answer

    @cached_property
    def _predictor(self) -> Predictor | TaskPredictor:
        folder = self.folder / (self.answer.winner.exported or "")
        if self.answer.task == CLASSIFICATION.name:
            return Predictor(folder)
        return TaskPredictor(folder, self.answer.task)

    @property
    def frontier(self) -> tuple[Found, ...]:
        """What was found for each cost at which blocks were compared, the smallest first."""
        return tuple(Found(self.folder, answer) for answer in self.answer.frontier)

    @property
    def network(self) -> nn.Module:
        """The winner's, on the CPU and in evaluation mode: normalised images to logits, or what
        else the task has a network give."""
        return self._predictor.network

    @property
    def block(self) -> Block:
        """The winner's."""
        return self.answer.block

    @property
    def accuracy(self) -> float:
        """Of the winner on the test images, in percent; of another task than classification its
        score, the first measure, turned so that more is better."""
        return self.answer.winner.accuracy

    @property
    def measured(self) -> dict[str, float]:
        """What the task measures of the winner on the test images, by name and in its own
        direction; of classification the accuracy and the mean of the classes'."""
        winner = self.answer.winner
        if winner.balanced_accuracy is None:
            return dict(winner.measured)
        return {"accuracy": winner.accuracy, "balanced_accuracy": winner.balanced_accuracy}

    @property
    def table(self) -> list[dict[str, Any]]:
        """The winner and the hand-made blocks, trained alike at equal cost, a dict for each."""
        return [asdict(row) for row in self.answer.rows]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of other tasks, the names of the network's outputs."""
        return self._predictor.description.class_names

    def predict(
        self,
        images: str | Path | Sequence[str | Path] | np.ndarray,
        tell: Callable[[str], None] = print,
    ) -> list[Prediction] | list[TaskAnswer] | np.ndarray:
        """What the network says of files, or of arrays.

        Args:
            images: a file, a folder, or several of them; or (N, C, H, W) numbers from 0 to 255.
            tell: called with a line for each file that is passed over.

        Returns:
            A prediction for each file that is an image; of arrays, probabilities (N, classes). Of
            another task than classification, an answer for each file, whose `says` is what
            ``blockqnn predict`` prints, and of arrays the network's outputs.

        Raises:
            ValueError: if arrays have another shape than the network takes.
        """
        if isinstance(images, (str, Path)):
            images = [images]
        if isinstance(images, Sequence) and all(isinstance(one, (str, Path)) for one in images):
            files = files_of([Path(one) for one in images], tell)
            if isinstance(self._predictor, TaskPredictor):
                return list(self._predictor.of_files(files, tell))
            return list(self._predictor.of_files(files, tell))
        return self._predictor.of_images(images)

    def __repr__(self) -> str:
        return "\n".join(answer_lines(self.answer, self.folder))

    def _repr_html_(self) -> str:
        """In a notebook: the answer and the block drawn."""
        ending = (self.answer.winner.exported or "").removeprefix("network")
        picture = self.folder / f"block{ending}.svg"
        drawn = picture.read_text(encoding="utf-8") if picture.is_file() else ""
        return f"<pre>{escape(repr(self))}</pre>{drawn[drawn.find('<svg') :] if drawn else ''}"


def search(
    data: str | Path,
    *,
    hours: float = 1.0,
    output: str | Path = "found",
    data_dir: str | Path = DEFAULT_DATA_DIR,
    budget: str = "auto",
    trials: int | None = None,
    concurrency: int | None = None,
    gpus: int | None = None,
    finalists: int | None = None,
    final_epochs: int | None = None,
    seed: int = 0,
    frontier: bool = False,
    remote: str | Path | None = None,
    task: str = CLASSIFICATION.name,
    progress: bool = True,
) -> Found:
    """The best network that is found for images in so many hours, as ``blockqnn search`` finds it.

    Called again with the same arguments it goes on where it was cut off, or reads its result.

    Args:
        data: a folder of images, "digits", "fashion_mnist", "cifar10", "cifar100", "imagenet", or
            "module:function"; of another task what that reads (docs/tasks.md).
        hours: for all of it.
        output: folder for all that is found.
        data_dir: where a named data set lies, or is downloaded to.
        budget: "auto", "small", "medium", "large", multiply-accumulates an image such as "40M", or
            milliseconds an image such as "2ms".
        trials: of the search; by default what fits into the hours.
        concurrency: trials at a time; by default one a core, or two on a GPU.
        gpus: to use; by default all. 0 for the CPU.
        finalists: found blocks that are trained long; by default 2 to 6.
        final_epochs: of the long trainings; by default what fits into the hours.
        seed: of the search, the trainings and the images held out.
        frontier: whether the best block is also found for about half and about double the cost;
            :attr:`Found.frontier` then has all three.
        remote: a file that lists other machines, which train instead of this one.
        task: what the network is for: "classification" (default), "segmentation", "keypoints",
            "regression", "multilabel", or "module:function" of a task of one's own.
        progress: whether to show it.

    Raises:
        ValueError, UserError, DataError, TrainingError: one line that says what is wrong and what
            to do.
    """
    request = Request(
        data=str(data),
        hours=hours,
        data_dir=Path(data_dir),
        budget=budget,
        trials=trials,
        concurrency=concurrency,
        gpus=gpus,
        finalists=finalists,
        final_epochs=final_epochs,
        seed=seed,
        frontier=frontier,
        remote=None if remote is None else Path(remote),
        task=task,
    )
    folder = Path(output).expanduser().absolute()
    with Display.on(Console(highlight=False, quiet=not progress)) as display:
        return Found(folder, run(request, folder, display))
