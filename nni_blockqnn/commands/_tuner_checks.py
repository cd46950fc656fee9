"""Checks of the tuner, its arguments, its search space and its budget."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from nni_blockqnn.bridge.experiments import find_experiment
from nni_blockqnn.commands._config_file import Finding, importable_from
from nni_blockqnn.common.messages import UserError
from nni_blockqnn.exchange.finalists import FINALISTS_TUNER, Further, check_grid, is_finalists
from nni_blockqnn.space.search_space import SearchSpace

OUR_TUNERS = ("nni_blockqnn.tuner.BlockQNNTuner", "nni_blockqnn.BlockQNNTuner")
REGISTERED_NAME = "BlockQNN"


def check_tuner(config: Any) -> Iterator[Finding]:
    """Findings about the tuner and the search space.

    Args:
        config: NNI's ExperimentConfig.
    """
    tuner = config.tuner
    searches = tuner is not None and (
        tuner.class_name in OUR_TUNERS or tuner.name == REGISTERED_NAME
    )
    trains_finalists = tuner is not None and tuner.class_name == FINALISTS_TUNER
    if trains_finalists or (is_finalists(config.search_space) and not searches):
        yield _check_finalists_tuner(tuner)
        further = _further(tuner) if trains_finalists else None
        level, message = check_grid(config.search_space, config.max_trial_number, further)
        yield Finding(level, "finalists", message)
    elif searches:
        yield _check_search(config)
    else:
        yield Finding("warning", "tuner", "it is not BlockQNN's, so it is not checked")


def check_budget(config: Any) -> Iterator[Finding]:
    """Findings about the number of trials.

    Args:
        config: NNI's ExperimentConfig.
    """
    budget = (config.tuner.class_args or {}).get("budget") if config.tuner else None
    most = config.max_trial_number
    if most is None:
        yield Finding(
            "warning",
            "budget",
            "without maxTrialNumber the search never ends by itself; write maxTrialNumber: "
            f"{budget or 200}",
        )
    elif budget is not None and budget != most:
        yield Finding(
            "warning",
            "budget",
            f"the tuner's budget is {budget} but maxTrialNumber is {most}: epsilon falls over the "
            f"budget; write budget: {most}",
        )


def _check_search(config: Any) -> Finding:
    # not at the top: they load NNI and scipy, which `blockqnn resume` does without
    from nni_blockqnn.exchange.class_args import check_class_args
    from nni_blockqnn.q_learning.search import BlockSearch

    tuner = config.tuner
    try:
        # own agents, predictors and layer kinds lie where NNI's dispatcher finds them
        with importable_from(tuner.code_directory):
            given = check_class_args(tuner.class_args or {})
            BlockSearch(SearchSpace.from_json(config.search_space), **({"seed": 0} | given))
    except ValueError as error:
        return Finding("failure", "tuner", str(error))
    if tuner.name == REGISTERED_NAME and not _is_registered():
        return Finding("failure", "tuner", "BlockQNN is not registered; run: blockqnn register")
    fits = f"its arguments and the search space fit: {given or 'defaults'}"
    return Finding("ok", "tuner", fits)


def _check_finalists_tuner(tuner: Any) -> Finding:
    if tuner is not None and tuner.class_name == FINALISTS_TUNER:
        try:
            if (further := Further.of(tuner.class_args)) is not None:
                find_experiment(further.search)
        except (ValueError, UserError) as error:
            return Finding("failure", "tuner", str(error))
        message = "it hands out each finalist once, across stops and kills"
        if further is not None:
            message += f", then {further.trainings} trainings that their results decide on"
        return Finding("ok", "tuner", message)
    ours = f"tuner: {{className: {FINALISTS_TUNER}, codeDirectory: .}}"
    if tuner is not None and tuner.name == "GridSearch":
        message = (
            "after a stop or a kill GridSearch trains the finalists that were under way twice and "
            f"the last ones never; write {ours} instead"
        )
    else:
        message = f"it is not one for finalists, so it is not checked; write {ours}"
    return Finding("warning", "tuner", message)


def _further(tuner: Any) -> Further | None:
    with suppress(ValueError):  # which the finding about the tuner names
        return Further.of(tuner.class_args)
    return None


def _is_registered() -> bool:
    from nni.tools.package_utils import get_algo_meta

    return get_algo_meta(REGISTERED_NAME) is not None
