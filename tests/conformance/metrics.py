"""Checks of what a trial may report, and of whose result it is."""

from __future__ import annotations

import json
import math
from typing import Any

from conformance.common import Check, goes_on, must_be_repeatable, must_have_learnt_the_same
from conformance.driver import Experiment, Subject


def _bad_metric(name: str, words: str, value: Any) -> Check:
    """A check that a trial may report this, as it is and as its metric's ``default``."""

    def check(subject: Subject) -> None:
        experiment = Experiment(subject).run(22)
        for in_metric in (False, True):
            (parameter_id,) = experiment.request(1)
            metric = experiment.metric(parameter_id) | {"default": value} if in_metric else value
            experiment.finish(parameter_id, metric)
        goes_on(experiment, counted=22)

    check.__name__ = f"metric_{name}"
    check.__doc__ = f"A trial reports {words}."
    return check


def metric_without_default(subject: Subject) -> None:
    """A trial reports a dictionary without "default"."""
    experiment = Experiment(subject).run(22)
    (parameter_id,) = experiment.request(1)
    metric = experiment.metric(parameter_id)
    del metric["default"]
    experiment.finish(parameter_id, metric)
    goes_on(experiment, counted=22)


def metric_huge(subject: Subject) -> None:
    """A trial reports 10,000 more keys and a million characters beside its result: it counts."""
    experiment = Experiment(subject).run(22)
    (parameter_id,) = experiment.request(1)
    more = {f"key{number}": number for number in range(10_000)} | {"text": "x" * 1_000_000}
    experiment.finish(parameter_id, more | experiment.metric(parameter_id))
    goes_on(experiment, counted=23)


def nan_teaches_nothing(subject: Subject) -> None:
    """After a result of NaN, the tuner suggests what it does after no result."""
    must_be_repeatable(subject)
    with_nan, without = (_every_fifth(subject, nan) for nan in (True, False))
    assert with_nan.sent == without.sent, "it learns something from NaN"


def results_under_wrong_ids(subject: Subject) -> None:
    """Results come under the id of another trial (NNI #5726); the metric says whose they are."""
    must_be_repeatable(subject)
    must_have_learnt_the_same(_mixed_up(subject), _mixed_up(subject, results=True))


def ends_under_wrong_ids(subject: Subject) -> None:
    """Trials end under the id of another that still runs (NNI #5726)."""
    must_be_repeatable(subject)
    must_have_learnt_the_same(_mixed_up(subject), _mixed_up(subject, ends=True))


def _every_fifth(subject: Subject, nan: bool) -> Experiment:
    """A search in which every fifth trial reports NaN, or nothing."""

    def end(experiment: Experiment, parameter_id: int) -> None:
        if parameter_id % 5:
            experiment.result(parameter_id)
        elif nan:
            experiment.result(parameter_id, experiment.metric(parameter_id) | {"default": math.nan})
        experiment.end(parameter_id)

    return Experiment(subject).run(40, end=end)


def _mixed_up(subject: Subject, *, results: bool = False, ends: bool = False) -> Experiment:
    """Rounds of 8 trials, in which results or ends come under the next trial's id."""
    experiment = Experiment(subject)
    for _ in range(5):
        ids = experiment.request(8)
        for parameter_id, other_id in zip(ids, [*ids[1:], ids[0]], strict=True):
            experiment.result(parameter_id, under=other_id if results else None)
            experiment.end(other_id if ends else parameter_id)
    return experiment


CHECKS = (
    _bad_metric("nan", "NaN", math.nan),
    _bad_metric("infinite", "infinity", math.inf),
    _bad_metric("minus_infinite", "minus infinity", -math.inf),
    metric_without_default,
    _bad_metric("text", "text", "71.5"),
    _bad_metric("null", "nothing (null)", None),
    _bad_metric("list", "a list", [71.5, [72.5]]),
    _bad_metric("nested", "lists 300 deep", json.loads("[" * 300 + "]" * 300)),
    _bad_metric("integer", "an integer of 400 digits", 10**400),
    metric_huge,
    nan_teaches_nothing,
    results_under_wrong_ids,
    ends_under_wrong_ids,
)
