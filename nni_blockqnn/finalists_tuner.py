"""The NNI tuner of final trainings: it hands out each finalist once, across stops and kills.

At a resume NNI tells its tuner of the *finished* trials only, and runs the interrupted ones again
by itself. NNI's own GridSearch therefore hands out the interrupted ones twice, and as many others
never.

This tuner reads in NNI's database which finalists have a trial. NNI writes the database before it
counts a trial, and it outlives every process, so the tuner needs no record of its own: a finalist
that was handed out but never became a trial is handed out again.
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
from nni_blockqnn.exchange.finalists import grid_of

_logger = logging.getLogger(__name__)


class FinalistsTuner(Tuner):
    """Hands out the grid of a search space of choices, in its order, each point once.

    It does not send a finalist again whose trial ended without a result; ``blockqnn retry`` does.
    """

    def __init__(self) -> None:
        self._space: Mapping[str, Any] | None = None
        self._waiting: deque[dict[str, Any]] = deque()
        self._taken: set[str] = set()

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
        except ValueError as error:
            if self._space is None:
                raise
            _logger.error("The search space stays as it was: %s", error)
            return
        if self._space is None:
            self._read_trials()
        self._space = search_space
        self._waiting = deque(grid[text] for text in grid if text not in self._taken)
        _logger.info("%d finalists, %d to hand out", len(grid), len(self._waiting))

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> dict[str, Any]:
        while self._waiting:
            parameters = self._waiting.popleft()
            text = _text(parameters)
            if text not in self._taken:
                self._taken.add(text)
                return parameters
        raise nni.NoMoreTrialError("all finalists are handed out")

    def receive_trial_result(
        self, parameter_id: int, parameters: Any, value: Any, **kwargs: Any
    ) -> None:
        """Nothing depends on results."""

    def import_data(self, data: list[dict[str, Any]]) -> None:
        """Do not hand out what has a result, of this experiment or of an imported one."""
        for record in data or ():
            if isinstance(record, Mapping):
                self._taken.add(_text(record.get("parameter")))

    def _read_trials(self) -> None:
        if (checkpoint := self.get_checkpoint_path()) is not None:
            trials = read_trials(Path(checkpoint).parent)
            self._taken.update(_text(trial.parameters) for trial in trials)


def _by_text(search_space: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The grid's points by their JSON text, so each point is there once."""
    return {_text(parameters): parameters for parameters in grid_of(search_space)}


def _text(parameters: Any) -> str:
    return json.dumps(parameters, sort_keys=True)
