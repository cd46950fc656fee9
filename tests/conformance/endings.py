"""Checks of results and ends of trials: in any order, twice, missing, or of unknown trials."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable

from conformance.common import NotApplicableError, goes_on
from conformance.driver import Experiment, Subject


def end_before_result(subject: Subject) -> None:
    """The end of a trial comes before its result, since NNI sends them on two threads."""

    def end(experiment: Experiment, parameter_id: int) -> None:
        experiment.end(parameter_id)
        experiment.result(parameter_id)

    goes_on(Experiment(subject).run(24, 8, end), counted=24)


def result_long_after_end(subject: Subject) -> None:
    """The result comes after the trial's end and after the next trial was asked for."""
    experiment = Experiment(subject)
    (late,) = experiment.request(1)
    for _ in range(30):
        experiment.end(late)
        (following,) = experiment.request(1)
        experiment.result(late)
        late = following
    experiment.finish(late)
    goes_on(experiment, counted=31)


def result_without_end(subject: Subject) -> None:
    """The end of a trial never comes, only its result."""

    def end(experiment: Experiment, parameter_id: int) -> None:
        experiment.result(parameter_id)
        del experiment.running[parameter_id]

    goes_on(Experiment(subject).run(40, 8, end), counted=40)


def two_ends(subject: Subject) -> None:
    """The end of a trial comes twice."""

    def end(experiment: Experiment, parameter_id: int) -> None:
        experiment.finish(parameter_id)
        experiment.end(parameter_id)

    goes_on(Experiment(subject).run(24, 8, end), counted=24)


def two_failures(subject: Subject) -> None:
    """The end of a failed trial comes twice."""

    def end(experiment: Experiment, parameter_id: int) -> None:
        if parameter_id % 4:
            experiment.finish(parameter_id)
        else:
            experiment.fail(parameter_id)
            experiment.fail(parameter_id)

    goes_on(Experiment(subject).run(24, 8, end), counted=18)


def failure_after_result(subject: Subject) -> None:
    """A trial fails after it has reported its result."""

    def end(experiment: Experiment, parameter_id: int) -> None:
        experiment.result(parameter_id)
        experiment.end(parameter_id, success=parameter_id % 4 > 0)

    goes_on(Experiment(subject).run(24, 8, end), counted=24)


def result_after_failure(subject: Subject) -> None:
    """A trial ends as no success, as one that an assessor stopped does, and its result follows."""

    def end(experiment: Experiment, parameter_id: int) -> None:
        if parameter_id % 4:
            experiment.finish(parameter_id)
        else:
            experiment.fail(parameter_id)
            experiment.result(parameter_id)

    goes_on(Experiment(subject).run(24, 8, end), counted=24)


def ends_on_another_thread(subject: Subject) -> None:
    """Trials end on another thread while suggestions are made and results arrive."""
    experiment = Experiment(subject)
    ends: queue.Queue[int | None] = queue.Queue(maxsize=8)
    errors: list[Exception] = []

    def end_trials() -> None:
        while (parameter_id := ends.get()) is not None:
            try:
                experiment.end(parameter_id)
            except Exception as error:
                errors.append(error)

    thread = threading.Thread(target=end_trials, daemon=True)
    thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that the threads meet within so few trials
    try:
        for number in range(60):
            experiment.request(1)
            assert len(experiment.sent) == number + 1, "a trial was asked for in vain"
            # by turns, an end meets the result and the next suggestion
            steps: list[Callable[[int], object]] = [ends.put, experiment.result]
            for step in steps if number % 2 else reversed(steps):
                step(number)
    finally:
        ends.put(None)
        thread.join(timeout=20)
        sys.setswitchinterval(interval)
    if errors:
        raise errors[0]
    goes_on(experiment, counted=60)


def failed_trials(subject: Subject) -> None:
    """Every other trial fails without a result: its slot is free again."""

    def end(experiment: Experiment, parameter_id: int) -> None:
        if parameter_id % 2:
            experiment.finish(parameter_id)
        else:
            experiment.fail(parameter_id)

    goes_on(Experiment(subject).run(60, 8, end), counted=30)


def silent_trials(subject: Subject) -> None:
    """Every other trial succeeds but reports nothing: its slot is free again."""

    def end(experiment: Experiment, parameter_id: int) -> None:
        if parameter_id % 2:
            experiment.result(parameter_id)
        experiment.end(parameter_id)

    goes_on(Experiment(subject).run(60, 8, end), counted=30)


def result_twice(subject: Subject) -> None:
    """A trial reports its result twice."""
    goes_on(_reported_twice(subject), counted=24)


def result_counts_once(subject: Subject) -> None:
    """A result that comes twice is in the tuner's `history` once."""
    history = getattr(_reported_twice(subject).tuner, "history", None)
    if not isinstance(history, list):
        raise NotApplicableError("it has no history")
    assert len(history) == 24, f"24 trials have {len(history)} results"


def unknown_end(subject: Subject) -> None:
    """A trial ends that the tuner does not know."""
    experiment = Experiment(subject)
    experiment.end(10**6)
    experiment.run(10).end(10**6)
    goes_on(experiment, counted=10)


def unknown_failure(subject: Subject) -> None:
    """A trial fails that the tuner does not know."""
    experiment = Experiment(subject)
    experiment.fail(10**6)
    experiment.run(10).fail(10**6)
    goes_on(experiment, counted=10)


def copied_trial_ends(subject: Subject) -> None:
    """A trial that a user copied in the web UI ends or fails; NNI gives None for its id."""
    experiment = Experiment(subject).run(10)
    for success in (True, False):
        experiment.end(None, success)
    goes_on(experiment, counted=10)


def unknown_result(subject: Subject) -> None:
    """A result comes under an id that the tuner does not know (NNI's dispatcher filters these)."""
    experiment = Experiment(subject).run(10)
    for parameters in (experiment.sent[0], {}, None):
        try:
            experiment.tuner.receive_trial_result(
                10**6, parameters, experiment.metric(0), customized=False, trial_job_id="T"
            )
        except Exception as error:
            message = f"receive_trial_result raises {type(error).__name__}: {error}"
            raise AssertionError(message) from error
    goes_on(experiment, counted=10)


def _reported_twice(subject: Subject) -> Experiment:
    def end(experiment: Experiment, parameter_id: int) -> None:
        experiment.result(parameter_id)
        experiment.finish(parameter_id)

    return Experiment(subject).run(24, 4, end)


CHECKS = (
    end_before_result,
    result_long_after_end,
    result_without_end,
    two_ends,
    two_failures,
    failure_after_result,
    result_after_failure,
    ends_on_another_thread,
    failed_trials,
    silent_trials,
    result_twice,
    result_counts_once,
    unknown_end,
    unknown_failure,
    copied_trial_ends,
    unknown_result,
)
