"""What several checks need."""

from __future__ import annotations

from collections.abc import Callable

from conformance.driver import Experiment, Parameters, Subject

Check = Callable[[Subject], None]
"""Plays a tuner; raises AssertionError with a plain reason, or NotApplicableError. Its name and the
first line of its docstring say what it is about."""


class NotApplicableError(Exception):
    """The check asks for something that this tuner does not claim to have."""


def searched(subject: Subject, seed: int = 1, trials: int = 20) -> list[Parameters]:
    """What a tuner suggests, one trial at a time."""
    return Experiment(subject, seed=seed).run(trials).sent


def must_be_repeatable(subject: Subject) -> None:
    """Skip a check that compares two runs if runs differ by themselves."""
    if searched(subject, trials=8) != searched(subject, trials=8):
        raise NotApplicableError("two runs of one seed differ anyway")


def goes_on(experiment: Experiment, counted: int) -> None:
    """8 more trials; before, the tuner's ``history``, if it has one, holds so many results."""
    history = getattr(experiment.tuner, "history", None)
    if isinstance(history, list):
        assert len(history) == counted, f"{len(history)} results count instead of {counted}"
    experiment.run(8, concurrency=4)


def must_have_learnt_the_same(right: Experiment, wrong: Experiment) -> None:
    """Two experiments, of which the second was told the same under other trials' names."""
    histories = [getattr(experiment.tuner, "history", None) for experiment in (right, wrong)]
    assert histories[0] == histories[1], "the history differs"
    assert right.sent == wrong.sent, "it learns something else, so results go to wrong trials"
