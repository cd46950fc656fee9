"""The NNI tuner of final trainings: it hands out each finalist once, across stops and kills.

At a resume NNI tells its tuner of the *finished* trials only, and runs the interrupted ones again
by itself. NNI's own GridSearch therefore hands out the interrupted ones twice, and as many others
never.

This tuner reads in NNI's database which finalists have a trial. NNI writes the database before it
counts a trial, and it outlives every process, so the tuner needs no record of its own: a finalist
that was handed out but never became a trial is handed out again.

With ``classArgs`` it goes on after them (:mod:`nni_blockqnn.results.long_trainings`).
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nni
from nni.tuner import Tuner

from nni_blockqnn.bridge.database import read_trials
from nni_blockqnn.bridge.experiments import find_experiment
from nni_blockqnn.exchange.finalists import Further, grid_of
from nni_blockqnn.exchange.metrics import MetricError
from nni_blockqnn.results.experiment import read_results
from nni_blockqnn.results.long_trainings import (
    LongResult,
    LongTrainings,
    long_results,
    read_long_result,
)

_logger = logging.getLogger(__name__)


class FinalistsTuner(Tuner):
    """Hands out the grid of a search space of choices, in its order, each point once.

    It does not send a finalist again whose trial ended without a result; ``blockqnn retry`` does.
    After the grid come ``more`` networks of the search, and ``seeds`` trainings of the best
    ``again``, each chosen by the results so far.
    """

    def __init__(self, **class_args: Any) -> None:
        """
        Args:
            class_args: those of :class:`~nni_blockqnn.exchange.finalists.Further`; none for the
                grid alone.

        Raises:
            ValueError: naming the argument, its value and what is allowed.
            ExperimentNotFoundError: if the search is not on this machine.
            ExperimentDatabaseError: if its results cannot be read.
        """
        self._further = Further.of(class_args)
        self._searched = None
        if self._further is not None:
            self._searched = read_results(find_experiment(self._further.search))
        self._space: Mapping[str, Any] | None = None
        self._waiting: deque[dict[str, Any]] = deque()
        self._taken: set[str] = set()
        self._results: list[LongResult] = []
        self._trainings: LongTrainings | None = None

    def load_checkpoint(self) -> None:
        """Nothing to do yet: :meth:`update_search_space`, which follows, reads NNI's database."""

    def update_search_space(self, search_space: dict[str, Any]) -> None:
        """Begin with a grid, or go on with another one, without the points handed out before.

        If a search space that is changed while the experiment runs cannot be used, that is logged
        and the old one is kept.

        Raises:
            ValueError: at the start, naming the key whose value is not a list of choices.
        """
        try:
            grid = _by_text(search_space)
            trainings = self._following(search_space)
        except ValueError as error:
            if self._space is None:
                raise
            _logger.error("The search space stays as it was: %s", error)
            return
        if self._space is None:
            self._read_trials()
        self._space, self._trainings = search_space, trainings
        self._waiting = deque(grid[text] for text in grid if text not in self._taken)
        _logger.info("%d finalists, %d to hand out", len(grid), len(self._waiting))

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> dict[str, Any]:
        while self._waiting:
            parameters = self._waiting.popleft()
            text = _text(parameters)
            if text not in self._taken:
                self._taken.add(text)
                return parameters
        if self._trainings is not None:
            sent = (json.loads(text) for text in self._taken)
            if (further := self._trainings.next(sent, self._results)) is not None:
                self._taken.add(_text(further))
                return further
        raise nni.NoMoreTrialError("all finalists are handed out")

    def receive_trial_result(
        self, parameter_id: int, parameters: Any, value: Any, **kwargs: Any
    ) -> None:
        """Count it for the block that the metric names, and for no other."""
        if self._trainings is None:
            return
        try:
            self._results.append(read_long_result(value))
        except MetricError as error:
            _logger.warning("A result is not counted: %s", error)

    def import_data(self, data: list[dict[str, Any]]) -> None:
        """Do not hand out what has a result, of this experiment or of an imported one."""
        for record in data or ():
            if isinstance(record, Mapping):
                self._taken.add(_text(record.get("parameter")))

    def _following(self, search_space: Mapping[str, Any]) -> LongTrainings | None:
        if self._further is None or self._searched is None:
            return None
        return LongTrainings(self._further, search_space, self._searched)

    def _read_trials(self) -> None:
        if (checkpoint := self.get_checkpoint_path()) is None:
            return
        directory = Path(checkpoint).parent
        self._taken.update(_text(trial.parameters) for trial in read_trials(directory))
        if self._further is not None:
            self._results = long_results(read_results(find_experiment(str(directory))))


def _by_text(search_space: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The grid's points by their JSON text, so each point is there once."""
    return {_text(parameters): parameters for parameters in grid_of(search_space)}


def _text(parameters: Any) -> str:
    return json.dumps(parameters, sort_keys=True)
