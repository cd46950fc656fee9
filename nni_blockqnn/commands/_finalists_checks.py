"""What ``blockqnn check`` says of an experiment that trains finalists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nni_blockqnn.common.messages import shown
from nni_blockqnn.exchange.finalists import check_grid

FINALISTS_TUNER = "nni_blockqnn.finalists_tuner.FinalistsTuner"


def check_finalists(config: Any) -> Iterator[tuple[str, str, str]]:
    """Level, subject and message of each finding about its tuner and its grid.

    Args:
        config: NNI's ExperimentConfig.
    """
    level, message = _of_tuner(config.tuner)
    yield level, "tuner", message
    level, message = check_grid(config.search_space, config.max_trial_number)
    yield level, "finalists", message


def _of_tuner(tuner: Any) -> tuple[str, str]:
    if tuner is not None and tuner.class_name == FINALISTS_TUNER:
        if tuner.class_args:
            return "failure", f"it takes no classArgs, got {shown(tuner.class_args)}: delete them"
        return "ok", "it hands each finalist out once, across stops and kills"
    what_to_write = f"className: {FINALISTS_TUNER} and codeDirectory: ."
    if tuner is not None and tuner.name == "GridSearch":
        return "warning", (
            "after a stop or a kill GridSearch trains the finalists that were under way twice and "
            f"the last ones never; write {what_to_write} in its place"
        )
    return "warning", f"it is not one for finalists, so it is not checked; that is {what_to_write}"
