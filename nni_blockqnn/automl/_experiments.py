"""One of NNI's experiments carried to its end, whatever became of it before."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nni_blockqnn.automl._folder import SearchFolder
from nni_blockqnn.bridge import launch, resuming
from nni_blockqnn.bridge.customized_trials import add_trials
from nni_blockqnn.bridge.database import read_trials
from nni_blockqnn.bridge.experiments import (
    Experiment,
    ExperimentNotFoundError,
    find_experiment,
)
from nni_blockqnn.bridge.managers import find_manager
from nni_blockqnn.bridge.statuses import (
    ADD_RESUMED,
    DONE,
    EXPERIMENT_RUNS,
    TUNER_NO_MORE_TRIAL,
    UNDER_WAY,
)
from nni_blockqnn.common.messages import UserError
from nni_blockqnn.results.experiment import Results, read_results
from nni_blockqnn.results.lost import find_lost
from nni_blockqnn.results.problems import problem_groups
from nni_blockqnn.results.status import read_status

_GONE = "GONE"
_POLL_SECONDS = 1.0
_GRACE_SECONDS = 60.0
"""How long NNI may take to write its first records."""
_IDLE_POLLS = 5
"""After so many polls without a running trial, NNI asks the tuner for no more."""
_QUEUED_POLLS = 90
"""The same where the resume has queued trials, which NNI is about to run."""
_UNANSWERED_POLLS = 30
"""After so many in turn, a manager that is still there is taken for dead. Each takes some 10 s."""
_MOST_RESUMES = 5
"""Without a new result, of an experiment whose manager dies while it is watched."""
_MOST_STARTS = 6
_WAS_SLOW = (
    "did not connect in 10 seconds",
    "ended at once",
    "requests.exceptions",
    "Timeout, retry",
)
"""What NNI says where other programs keep the cores busy: it gives its tuner and its manager so
little time, and the next attempt finds their files in memory."""

Watch = Callable[[Results, str], None]
"""Called every second with the results so far and the address of the web UI."""


class StageError(UserError, RuntimeError):
    """A stage cannot go on; the message says why."""


@dataclass(frozen=True)
class Stage:
    """A stage that is an experiment of NNI's.

    Attributes:
        config: of NNI.
        port: of the web UI; None for the first free one.
    """

    folder: SearchFolder
    name: str
    config: Path
    port: int | None = None

    @property
    def experiment(self) -> Experiment | None:
        """None if it was not started, or is gone."""
        return self.folder.experiment(self.name)


def carry_out(stage: Stage, watch: Watch) -> Results:
    """The results of a stage's experiment, once it has ended.

    It is started, gone on with or only read, as its state asks for. Afterwards no process of it is
    left. Ctrl-C stops it cleanly; if this process is killed, it goes on, and the next call watches
    it again.

    Raises:
        StageError: if it ends again and again.
        LaunchError: if it does not start.
    """
    experiment = stage.experiment
    if experiment is not None and _is_finished(experiment):
        if not experiment.has_ended:
            launch.stop(experiment.id)  # whose web UI still runs
        return read_results(find_experiment(experiment.id))
    endings, known = 0, -1
    while endings <= _MOST_RESUMES:
        launched = _launched(stage)
        with _stopped_by_ctrl_c(launched):
            experiment = _wait_for_records(launched.id)  # anew, since its port is another one
            status = _follow(experiment, launched, watch)
        if status in (DONE, TUNER_NO_MORE_TRIAL):
            launch.stop(launched.id)
            return read_results(find_experiment(launched.id))
        found = len(read_results(experiment).trials)
        endings = endings + 1 if found <= known else 1
        known = max(found, known)
    raise StageError(
        f"NNI's experiment of the {stage.name} ended {endings} times without a new result "
        f"({status}); nnictl experiment list --all names it, and its logs say why"
    )


def run_lost_again(stage: Stage, watch: Watch) -> Results | None:
    """Have NNI run the trials again that were killed or failed; None if there are none.

    A search's tuner does so by itself; trainings of finalists are sent once.

    Raises:
        StageError, LaunchError: as :func:`carry_out`.
    """
    experiment = stage.experiment
    if experiment is None or not (lost := find_lost(experiment, None)):
        return None
    launched = _launched(stage)
    with _stopped_by_ctrl_c(launched):
        since = resuming.manager_started(experiment)
        add_trials(experiment, launched, [trial.parameters for trial in lost], since)
        _follow(experiment, launched, watch)
    launch.stop(launched.id)
    return read_results(find_experiment(launched.id))


def _is_finished(experiment: Experiment) -> bool:
    return read_status(read_results(experiment)).state == "finished"


def _launched(stage: Stage) -> launch.Launched:
    """The stage's experiment, running; on a busy machine only after several attempts."""
    for attempt in range(1, _MOST_STARTS + 1):
        try:
            return _launched_at_once(stage)
        except launch.LaunchError as error:
            was_slow = any(sign in str(error) for sign in _WAS_SLOW)
            if attempt == _MOST_STARTS or not was_slow:
                raise
    raise AssertionError("the last attempt returns or raises")


def _launched_at_once(stage: Stage) -> launch.Launched:
    experiment = stage.experiment
    loopback = _is_local(stage.config)
    if experiment is None:
        launched = launch.start(stage.config, stage.port, loopback=loopback)
        with _stopped_by_ctrl_c(launched):
            stage.folder.keep_experiment(stage.name, launched.id)
        return launched
    running = resuming.running_manager(experiment)
    return running or resuming.resume(experiment, stage.port, loopback=loopback)


def _is_local(config: Path) -> bool:
    """Whether all trials run here, unless a user has changed that: others must reach the manager.

    What is wrong with the file, NNI says when it is started.
    """
    try:
        service = yaml.safe_load(config.read_text(encoding="utf-8"))["trainingService"]
        return all(one["platform"] == "local" for one in _listed(service))
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return True


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _follow(experiment: Experiment, launched: launch.Launched, watch: Watch) -> str:
    """Watch until the experiment is over; returns its status, "GONE" if its manager was killed."""
    idle_polls = unanswered = 0
    while True:
        status = launch.status(launched)
        if status == _GONE and unanswered < _UNANSWERED_POLLS and find_manager(experiment):
            unanswered += 1  # it is busy: to resume it would end it
            time.sleep(_POLL_SECONDS)
            continue
        unanswered = 0
        results = read_results(experiment)
        watch(results, launched.url)
        given_up = status == TUNER_NO_MORE_TRIAL and not any(map(results.statuses.get, UNDER_WAY))
        idle_polls = idle_polls + 1 if given_up else 0
        patience = _QUEUED_POLLS if given_up and _has_queued(results) else _IDLE_POLLS
        if status not in EXPERIMENT_RUNS or idle_polls >= patience:
            return status
        time.sleep(_POLL_SECONDS)


def _has_queued(results: Results) -> bool:
    """Whether the manager that runs has queued trials; those that an earlier one had never run."""
    if not results.statuses.get(ADD_RESUMED):
        return False
    since = resuming.manager_started(results.experiment)
    return any(trial.is_queued(since) for trial in read_trials(results.experiment.directory))


def check_results(results: Results) -> None:
    """Check that an experiment has ended well.

    Raises:
        StageError: if it failed, gave up or has no result, with the reasons of its trials.
    """
    status = read_status(results)
    if status.state not in ("given up", "failed") and results.trials:
        return
    experiment = results.experiment
    reasons = [f"{group.count} x {group.fate}: {group.reason}" for group in problem_groups(results)]
    raise StageError(
        f"NNI's experiment {experiment.id} is {status.text}; "
        f"{'; '.join(filter(None, [status.why, *reasons[:3]]))}. Its trials' logs: "
        f"blockqnn top {experiment.id}"
    )


@contextmanager
def _stopped_by_ctrl_c(launched: launch.Launched) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        # Ctrl-C comes to the main thread alone; once is enough
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            launch.stop(launched.id)
        finally:
            signal.signal(signal.SIGINT, handler)
        raise


def _wait_for_records(experiment_id: str) -> Experiment:
    deadline = time.monotonic() + _GRACE_SECONDS
    while True:
        try:
            return find_experiment(experiment_id)
        except ExperimentNotFoundError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)
