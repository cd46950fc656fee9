"""NNI's part in a search: its own dispatcher, around it the manager and the trials played.

Everything that reaches the tuner has gone through ``nni.runtime.msg_dispatcher``, so it has the
form in which NNI 3.0 hands it over: metrics are decoded from JSON text, parameters are those that
the dispatcher remembers by their id, results of unknown ids never arrive.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from nni.runtime import msg_dispatcher
from nni.runtime.tuner_command_channel import CommandType
from nni.tuner import Tuner

Parameters = dict[str, Any]
SearchSpace = dict[str, Any]


_OWN_METRIC = object()


def as_text(parameters: Parameters) -> str:
    return json.dumps(parameters, sort_keys=True)


class Subject(NamedTuple):
    """A tuner, and what it needs to be played.

    Attributes:
        make: a new tuner with this seed; one that takes no seed may ignore it.
        space: the search space as the experiment's configuration has it.
        other_space: another one, to which the search is changed while it runs.
        tiny_space: one of fewer than a hundred configurations.
        metric_for: the final metric of a trial with these parameters. It says in some way which
            trial it belongs to, and differs between most trials.
        allows: whether parameters are of a search space.
        configuration: what makes two trials the same.
    """

    make: Callable[[int], Tuner]
    space: SearchSpace
    other_space: SearchSpace
    tiny_space: SearchSpace
    metric_for: Callable[[Parameters], Any]
    allows: Callable[[SearchSpace, Parameters], bool]
    configuration: Callable[[Parameters], Any] = as_text


class SearchEndedError(AssertionError):
    """A callback raised: NNI's dispatcher, and with it the search, would have ended."""


_CALLBACKS = {
    CommandType.Initialize: "update_search_space",
    CommandType.UpdateSearchSpace: "update_search_space",
    CommandType.RequestTrialJobs: "generate_multiple_parameters",
    CommandType.ReportMetricData: "receive_trial_result",
    CommandType.TrialEnd: "trial_end",
    CommandType.ImportData: "import_data",
}


class _Dispatcher(msg_dispatcher.MsgDispatcher):
    """NNI's dispatcher without a connection."""

    def __init__(self, tuner: Tuner) -> None:
        super().__init__("ws://_unittest_conformance_/", tuner)
        self.sent: deque[tuple[CommandType, str]] = deque()

    def send(self, command: CommandType, data: str) -> None:
        self.sent.append((command, data))


class Experiment:
    """One process of a tuner. Only the newest one may be told anything.

    Attributes:
        sent: parameters of all trials so far, as the trials read them, oldest first.
        running: those of the trials that hold a slot, by parameter id.
        asked: how many trials were asked for.
        records: results so far, as NNI hands them to ``import_data``.
    """

    def __init__(
        self,
        subject: Subject,
        *,
        seed: int = 1,
        space: SearchSpace | None = None,
        resumed_from: Experiment | None = None,
    ) -> None:
        """Start the tuner; ``resumed_from`` gives the past of an experiment that is resumed."""
        msg_dispatcher._next_parameter_id = 0  # NNI keeps them for the life of a process
        msg_dispatcher._trial_params.clear()
        self._subject = subject
        self._lock = threading.Lock()
        self.sent: list[Parameters] = []
        self.running: dict[int, Parameters] = {}
        self._of_id: dict[int, Parameters] = {}
        self.asked = 0
        self.records: list[dict[str, Any]] = []
        try:
            self.tuner = subject.make(seed)
        except Exception as error:
            raise _ended("__init__", error) from error
        self._dispatcher = _Dispatcher(self.tuner)
        if resumed_from:
            self._dispatcher.load_checkpoint()
        self._tell(CommandType.Initialize, subject.space if space is None else space)
        if resumed_from:
            self.import_data(resumed_from.records)
            self.running |= resumed_from.running  # NNI runs them again, under the same ids
            self._of_id |= resumed_from.running
            in_flight = [_packed(*trial) for trial in self.running.items()]
            self._tell(CommandType.AddCustomizedTrialJob, in_flight)

    def request(self, trials: int) -> list[int]:
        """Ask for so many trials at once; the parameter ids of those that came."""
        self.asked += trials
        return self._tell(CommandType.RequestTrialJobs, trials)

    def result(
        self, parameter_id: int, value: Any = _OWN_METRIC, *, under: int | None = None
    ) -> None:
        """The trial reports its final metric, or ``value``; ``under`` another trial's id."""
        parameters = self._of_id[parameter_id]
        metric = self.metric(parameter_id) if value is _OWN_METRIC else value
        text = json.dumps(metric)
        self.records.append({"parameter": parameters, "value": text})
        data = {"parameter_id": parameter_id if under is None else under, "trial_job_id": "T"}
        self._tell(
            CommandType.ReportMetricData,
            data | {"type": "FINAL", "sequence": 0, "value": text},
        )

    def end(self, parameter_id: int | None, success: bool = True) -> None:
        """The trial ends and leaves its slot; None: one that a user copied in the web UI."""
        self._tell(
            CommandType.TrialEnd,
            {
                "trial_job_id": f"T{parameter_id}",
                "event": "SUCCEEDED" if success else "FAILED",
                "hyper_params": _packed(parameter_id, {}),
            },
        )
        self.running.pop(parameter_id, None)  # type: ignore[arg-type]

    def finish(self, parameter_id: int, value: Any = _OWN_METRIC) -> None:
        self.result(parameter_id, value)
        self.end(parameter_id)

    def fail(self, parameter_id: int) -> None:
        self.end(parameter_id, success=False)

    def metric(self, parameter_id: int) -> Any:
        """The final metric of the trial, as it should be."""
        return self._subject.metric_for(self._of_id[parameter_id])

    def run(
        self, trials: int, concurrency: int = 1, end: Callable[[Experiment, int], None] = finish
    ) -> Experiment:
        """Send ``trials`` more trials and end all that run, in any order.

        Args:
            end: ends one, given its parameter id.

        Raises:
            AssertionError: if the tuner ends the search before.
        """
        rng = np.random.default_rng(0)
        first = len(self.sent)
        last = self.asked + trials
        while self.asked < last or self.running:
            owed = self.asked - len(self.sent)  # NNI does not ask twice for one
            free = concurrency - len(self.running) - owed
            if (wanted := min(free, last - self.asked)) > 0:
                self.request(wanted)
            if not self.running:
                break
            running = list(self.running)
            end(self, running[rng.integers(len(running))])
        got = len(self.sent) - first
        assert got >= trials, f"the search ended after {got} of {trials} trials"
        return self

    def change_space(self, space: SearchSpace) -> None:
        self._tell(CommandType.UpdateSearchSpace, space)

    def import_data(self, records: list[dict[str, Any]]) -> None:
        self._tell(CommandType.ImportData, records)

    def returned(self, parameter_id: int) -> Any:
        """The very object that the tuner returned."""
        return msg_dispatcher._trial_params[parameter_id]

    def _tell(self, command: CommandType, data: Any) -> list[int]:
        """Hand a command over as JSON text; the parameter ids of the trials that were sent."""
        try:
            self._dispatcher.process_command(command, json.loads(json.dumps(data)))
        except Exception as error:
            raise _ended(_CALLBACKS.get(command, command.name), error) from error
        with self._lock:
            return [
                self._begin(json.loads(text))
                for command, text in _drained(self._dispatcher.sent)
                if command is CommandType.NewTrialJob
            ]

    def _begin(self, trial: dict[str, Any]) -> int:
        self.sent.append(trial["parameters"])
        self.running[trial["parameter_id"]] = trial["parameters"]
        self._of_id[trial["parameter_id"]] = trial["parameters"]
        return trial["parameter_id"]


@contextmanager
def checkpoint_folder() -> Iterator[None]:
    """A folder in which tuners may keep what a resumed experiment needs."""
    before = os.environ.get("NNI_CHECKPOINT_DIRECTORY")
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "checkpoint"  # as in an experiment's folder
        checkpoint.mkdir()
        os.environ["NNI_CHECKPOINT_DIRECTORY"] = str(checkpoint)
        try:
            yield
        finally:
            del os.environ["NNI_CHECKPOINT_DIRECTORY"]
            if before is not None:
                os.environ["NNI_CHECKPOINT_DIRECTORY"] = before


def _ended(callback: str, error: Exception) -> SearchEndedError:
    return SearchEndedError(f"{callback} raises {type(error).__name__}: {error}")


def _drained(queue: deque[Any]) -> Iterator[Any]:
    while queue:
        yield queue.popleft()


def _packed(parameter_id: int | None, parameters: Parameters) -> str:
    return json.dumps({"parameter_id": parameter_id, "parameters": parameters})
