"""Checks of what a tuner suggests."""

from __future__ import annotations

import json
from typing import Any

from conformance.common import searched
from conformance.driver import Experiment, Subject


def parameters_are_plain_json(subject: Subject) -> None:
    """Parameters are plain JSON: no NumPy types, no null, the same after a round trip."""
    experiment = Experiment(subject)
    for _ in range(20):
        for parameter_id in experiment.request(1):
            returned = experiment.returned(parameter_id)
            _must_be_plain(returned)
            read = json.loads(json.dumps(returned))
            assert read == returned, f"{returned} comes back as {read}"
            experiment.finish(parameter_id)


def same_seed(subject: Subject) -> None:
    """The same seed gives the same search, one trial at a time."""
    assert searched(subject) == searched(subject), "another search with the same seed"


def other_seed(subject: Subject) -> None:
    """Another seed gives another search."""
    assert searched(subject, seed=1) != searched(subject, seed=2), "the same search"


def one_at_a_time(subject: Subject) -> None:
    """40 trials, one at a time."""
    Experiment(subject).run(40)


def eight_at_a_time(subject: Subject) -> None:
    """40 trials, 8 at a time, which end in any order."""
    Experiment(subject).run(40, concurrency=8)


def concurrency_changes(subject: Subject) -> None:
    """The concurrency is changed while the search runs: 1, 8, 2, 16."""
    experiment = Experiment(subject)
    for concurrency in (1, 8, 2, 16):
        experiment.run(16, concurrency)


def many_at_once(subject: Subject) -> None:
    """100 trials are asked for at once; every one of them is suggested, then or later."""
    experiment = Experiment(subject)
    experiment.request(100)
    while experiment.running:
        experiment.finish(next(iter(experiment.running)))
    got = len(experiment.sent)
    assert got == 100, f"{got} of 100 trials; NNI does not ask for the others again"


def never_twice(subject: Subject) -> None:
    """No configuration is suggested twice."""
    sent = Experiment(subject).run(100, concurrency=4).sent
    again = len(sent) - len(set(map(subject.configuration, sent)))
    assert not again, f"{again} of 100 suggestions had been made before"


def exhausted_space(subject: Subject) -> None:
    """A tiny space that is used up ends the search, cleanly and for good."""
    experiment = Experiment(subject, space=subject.tiny_space)
    while (ids := experiment.request(1)) and len(experiment.sent) < 50:
        experiment.finish(*ids)
    sent = set(map(subject.configuration, experiment.sent))
    assert len(sent) == len(experiment.sent), "it repeats itself"
    assert not experiment.request(3), "it goes on after it has said that there is no more"


def space_changes(subject: Subject) -> None:
    """The search space is changed while trials run: the search goes on in the new one."""
    experiment = Experiment(subject).run(30, concurrency=8)
    experiment.request(8)
    experiment.change_space(subject.other_space)
    known = len(experiment.sent)
    experiment.run(40, concurrency=8)
    strange = [p for p in experiment.sent[known:] if not subject.allows(subject.other_space, p)]
    assert not strange, f"{len(strange)} of 40 suggestions are not of the new space"


def _must_be_plain(value: Any) -> None:
    assert type(value) in (dict, list, str, int, float, bool), (
        f"{type(value).__module__}.{type(value).__name__} in the parameters"
    )
    if isinstance(value, dict):
        assert all(type(key) is str for key in value), "a key that is no text"
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            _must_be_plain(item)


CHECKS = (
    parameters_are_plain_json,
    same_seed,
    other_seed,
    one_at_a_time,
    eight_at_a_time,
    concurrency_changes,
    many_at_once,
    never_twice,
    exhausted_space,
    space_changes,
)
