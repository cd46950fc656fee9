"""The NNI tuner of final trainings: it hands each finalist out once, across stops and kills.

NNI's own GridSearch learns of the *finished* trials at a resume, and hands those out again that NNI
runs again by itself; as many are never trained. Here NNI's database says which have a trial.
It is written before NNI counts a trial and outlives every process, so the tuner keeps no record of
its own: what it handed out and no trial took has no trial there, and is handed out again.
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

from nni_blockqnn.bridge.database import recorded_trials
from nni_blockqnn.exchange.finalists import grid_of

_logger = logging.getLogger(__name__)


class FinalistsTuner(Tuner):
    """Hands out the grid of a search space of choices, in its order, each point once.

    A finalist whose trial ended without a result is ``blockqnn retry``'s.
    """

    def __init__(self) -> None:
        self._space: Mapping[str, Any] | None = None
        self._waiting: deque[dict[str, Any]] = deque()
        self._taken: set[str] = set()

    def load_checkpoint(self) -> None:
        """Nothing to do yet: :meth:`update_search_space`, which follows, reads NNI's database."""

    def update_search_space(self, search_space: dict[str, Any]) -> None:
        """Begin, or go on with another grid, of which those that were handed out are left out.

        A search space that cannot be used while the experiment runs is logged and the old one kept.

        Raises:
            ValueError: at the start, naming the key that is no list of choices.
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
        """Results of this experiment before a restart, or of another one, are not trained again."""
        for record in data or ():
            if isinstance(record, Mapping):
                self._taken.add(_text(record.get("parameter")))

    def _read_trials(self) -> None:
        if (checkpoint := self.get_checkpoint_path()) is not None:
            trials = recorded_trials(Path(checkpoint).parent)
            self._taken.update(_text(trial.parameters) for trial in trials)


def _by_text(search_space: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The parameters of each trial of the grid, without repetitions."""
    return {_text(parameters): parameters for parameters in grid_of(search_space)}


def _text(parameters: Any) -> str:
    return json.dumps(parameters, sort_keys=True)
