"""Checks of a resumed experiment and of imported results.

NNI's order at a resume: ``__init__``, ``load_checkpoint``, ``update_search_space``, ``import_data``
with the results of the trials that succeeded, ``generate_multiple_parameters``.
"""

from __future__ import annotations

from typing import Any

from conformance.common import Check, goes_on, must_be_repeatable, must_have_learnt_the_same
from conformance.driver import Experiment, Subject, checkpoint_folder


def resume_goes_on(subject: Subject) -> None:
    """A killed experiment goes on; the trials in flight are run again and their results count."""
    with checkpoint_folder():
        killed = Experiment(subject).run(20, concurrency=4)
        killed.request(4)
        goes_on(Experiment(subject, resumed_from=killed).run(20, concurrency=4), counted=44)


def resume_repeats_nothing(subject: Subject) -> None:
    """A resumed experiment suggests no configuration that was trained before."""
    with checkpoint_folder():
        killed = Experiment(subject).run(30)
        resumed = Experiment(subject, resumed_from=killed).run(30)
        trained = set(map(subject.configuration, killed.sent))
        again = [p for p in resumed.sent if subject.configuration(p) in trained]
        assert not again, f"{len(again)} of 30 suggestions had been trained before"


def resume_as_uninterrupted(subject: Subject) -> None:
    """A resumed experiment suggests what it would have suggested without the interruption."""
    must_be_repeatable(subject)
    through = Experiment(subject).run(50)
    with checkpoint_folder():
        killed = Experiment(subject).run(30)
        resumed = Experiment(subject, resumed_from=killed).run(20)
    other = sum(a != b for a, b in zip(through.sent[30:], resumed.sent, strict=True))
    assert not other, f"{other} of 20 suggestions are others"


def resume_twice(subject: Subject) -> None:
    """An experiment that is killed and resumed twice goes on; parameter ids start at 1 again."""
    with checkpoint_folder():
        first = Experiment(subject).run(10)
        second = Experiment(subject, resumed_from=first).run(10)
        second.records = first.records + second.records
        goes_on(Experiment(subject, resumed_from=second).run(10), counted=30)


def import_under_wrong_parameters(subject: Subject) -> None:
    """Imported results stand beside another trial's parameters (NNI #5726)."""
    must_be_repeatable(subject)
    records = Experiment(subject).run(30).records
    parameters = [record["parameter"] for record in records]
    mixed = [
        record | {"parameter": other}
        for record, other in zip(records, [*parameters[1:], parameters[0]], strict=True)
    ]
    right, wrong = (_with_imported(subject, imported) for imported in (records, mixed))
    must_have_learnt_the_same(right, wrong)


def _bad_import(name: str, words: str, **fields: Any) -> Check:
    """A check that these may stand in an imported record."""

    def check(subject: Subject) -> None:
        (good,) = Experiment(subject).run(1).records
        experiment = Experiment(subject)
        experiment.import_data([good | fields])
        experiment.run(24, concurrency=4)

    check.__name__ = f"import_{name}"
    check.__doc__ = f"Results are imported {words}."
    return check


def _with_imported(subject: Subject, records: list[dict[str, Any]]) -> Experiment:
    experiment = Experiment(subject)
    experiment.import_data(records)
    return experiment.run(20)


CHECKS = (
    resume_goes_on,
    resume_repeats_nothing,
    resume_as_uninterrupted,
    resume_twice,
    import_under_wrong_parameters,
    _bad_import("other_parameters", "with parameters of another search space", parameter={"?": 1}),
    _bad_import("no_parameters", "without parameters (null)", parameter=None),
    _bad_import("null", "whose value is null", value="null"),
    _bad_import("text", "whose value is text", value='"text"'),
    _bad_import("nan", "whose value is NaN", value="NaN"),
    _bad_import("empty", "whose value is an empty dictionary", value="{}"),
)
