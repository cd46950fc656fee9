"""The tuner does what NNI may ask of it; the checks that say so find faults that are put in."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from conformance import CHECKS, Check, NotApplicableError, Subject
from conformance.subjects import blockqnn, nni_evolution, nni_tpe
from nni import NoMoreTrialError

from nni_blockqnn.tuner import BlockQNNTuner

BY_NAME = {check.__name__: check for check in CHECKS}


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("preset", ["tuned", "paper"])
def test_the_tuner(preset: str, check: Check) -> None:
    check(blockqnn(preset))


def test_every_check_says_what_it_is_about() -> None:
    assert len(BY_NAME) == len(CHECKS)
    for check in CHECKS:
        assert check.__doc__
        assert check.__doc__.strip().endswith(".")


class _Typed(BlockQNNTuner):
    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> dict[str, Any]:
        parameters = super().generate_parameters(parameter_id)
        return parameters | {"episode": np.int64(parameters["episode"])}


class _Null(BlockQNNTuner):
    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> dict[str, Any]:
        return super().generate_parameters(parameter_id) | {"note": None}


class _Unseeded(BlockQNNTuner):
    def __init__(self, seed: int, **others: Any) -> None:
        super().__init__(**others)


class _Obstinate(BlockQNNTuner):
    def __init__(self, seed: int, **others: Any) -> None:
        super().__init__(seed=0, **others)


class _Slots(BlockQNNTuner):
    """Only a result frees a slot."""

    slots = 8

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> dict[str, Any]:
        if not self.slots:
            raise NoMoreTrialError
        self.slots -= 1
        return super().generate_parameters(parameter_id)

    def receive_trial_result(self, *args: Any, **kwargs: Any) -> None:
        self.slots += 1
        super().receive_trial_result(*args, **kwargs)


class _Sloppy(BlockQNNTuner):
    """One trial less than was asked for, if many are."""

    def generate_multiple_parameters(self, ids: list[int], **kwargs: Any) -> list[Any]:
        return super().generate_multiple_parameters(ids, **kwargs)[:15]


class _Tireless(BlockQNNTuner):
    """It begins again when the space is used up."""

    first: Any = None
    exhausted = False

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> dict[str, Any]:
        if self.exhausted:  # looking through the whole space again would take long
            return self.first
        try:
            parameters = super().generate_parameters(parameter_id)
        except NoMoreTrialError:
            self.exhausted = True
            return self.first
        self.first = self.first or parameters
        return parameters


class _Settled(BlockQNNTuner):
    def update_search_space(self, search_space: dict[str, Any]) -> None:
        if self._search is None:
            super().update_search_space(search_space)


class _Trusting(BlockQNNTuner):
    """A result belongs to the parameters that it comes with."""

    def receive_trial_result(
        self, parameter_id: int, parameters: Any, value: Any, **kwargs: Any
    ) -> None:
        if parameters and isinstance(value, dict):
            value = value | {name: parameters[name] for name in ("episode", "block")}
        super().receive_trial_result(parameter_id, parameters, value)

    def import_data(self, data: list[dict[str, Any]]) -> None:
        super().import_data([{"value": r["value"] | r["parameter"]} for r in data])


class _Strict(BlockQNNTuner):
    """A trial that has ended, or is not known, may neither report nor end."""

    def __init__(self, **class_args: Any) -> None:
        super().__init__(**class_args)
        self.open: set[int] = set()

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> dict[str, Any]:
        self.open.add(parameter_id)
        return super().generate_parameters(parameter_id)

    def receive_trial_result(self, parameter_id: int, *args: Any, **kwargs: Any) -> None:
        if parameter_id in self.open:
            super().receive_trial_result(parameter_id, *args, **kwargs)

    def trial_end(self, parameter_id: int, success: bool, **kwargs: Any) -> None:
        self.open.remove(parameter_id)
        super().trial_end(parameter_id, success)


class _Racy(BlockQNNTuner):
    """It looks through what is running without a lock."""

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> dict[str, Any]:
        for _ in self._running:
            time.sleep(0.001)
        return super().generate_parameters(parameter_id)


class _Counting(BlockQNNTuner):
    """Whatever is reported, counts."""

    def __init__(self, **class_args: Any) -> None:
        super().__init__(**class_args)
        self.reported: list[Any] = []

    @property
    def history(self) -> list[Any]:
        return self.reported

    def receive_trial_result(self, *args: Any, **kwargs: Any) -> None:
        super().receive_trial_result(*args, **kwargs)
        self.reported.append(args)


class _Zero(BlockQNNTuner):
    """NaN is as bad as 0."""

    def receive_trial_result(
        self, parameter_id: int, parameters: Any, value: Any, **kwargs: Any
    ) -> None:
        if math.isnan(value["default"]):
            value = value | {"default": 0.0}
        super().receive_trial_result(parameter_id, parameters, value)


class _Forgetful(BlockQNNTuner):
    def get_checkpoint_path(self) -> None:
        return None

    def import_data(self, data: list[dict[str, Any]]) -> None:
        pass


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:json-tricks")
@pytest.mark.parametrize(
    ("fault", "checks"),
    [
        (_Typed, "parameters_are_plain_json"),
        (_Null, "parameters_are_plain_json"),
        (_Unseeded, "same_seed"),
        (_Obstinate, "other_seed"),
        (_Slots, "failed_trials silent_trials two_failures"),
        (_Sloppy, "many_at_once concurrency_changes"),
        (_Tireless, "exhausted_space"),
        (_Settled, "space_changes"),
        (_Trusting, "results_under_wrong_ids import_under_wrong_parameters import_no_parameters"),
        (_Strict, "end_before_result result_long_after_end two_ends two_failures unknown_end"),
        (_Strict, "unknown_failure copied_trial_ends ends_under_wrong_ids result_after_failure"),
        (_Racy, "ends_on_another_thread"),
        (_Counting, "result_counts_once result_twice metric_null unknown_result metric_integer"),
        (_Zero, "nan_teaches_nothing metric_text metric_without_default metric_nested"),
        (_Forgetful, "resume_goes_on resume_as_uninterrupted resume_repeats_nothing resume_twice"),
    ],
)
def test_a_fault_is_found(fault: type[BlockQNNTuner], checks: str) -> None:
    subject = blockqnn("tuned")._replace(make=lambda seed: fault(seed=seed, budget=80))
    for name in checks.split():
        with pytest.raises(AssertionError):
            BY_NAME[name](subject)


@pytest.mark.parametrize(
    ("subject", "name", "reason"),
    [
        (nni_tpe(), "end_before_result", "receive_trial_result raises KeyError"),
        (nni_tpe(), "space_changes", "generate_multiple_parameters raises ValueError"),
        (nni_evolution(), "unknown_failure", "trial_end raises KeyError"),
        (nni_evolution(), "result_without_end", "the search ended after 32 of 40 trials"),
    ],
)
def test_nnis_tuners_fail_for_their_own_reasons(subject: Subject, name: str, reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        BY_NAME[name](subject)


def test_a_check_may_not_apply() -> None:
    with pytest.raises(NotApplicableError, match="differ anyway"):
        BY_NAME["nan_teaches_nothing"](nni_evolution())
