"""The arguments of an experiment's trial, out of its ``trialCommand``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from nni_blockqnn.bridge.trial_command import (
    TRIAL_MODULE,
    CommandError,
    TrialPart,
    find_trial,
    unquoted,
)


def trial_arguments(config: Mapping[str, Any]) -> list[str] | None:
    """The arguments of this package's trial, as they stand in the command, quotes included.

    ``--name=value`` counts as two. None if the command runs another trial, or cannot be read.

    Args:
        config: NNI's, in its camelCase keys.
    """
    part = _own_trial(config)
    if part is None:
        return None
    arguments: list[str] = []
    for word in part.words[part.position + 1 :]:
        arguments += word.split("=", 1) if word.startswith("--") else [word]
    return arguments


def trial_option(arguments: Sequence[str], name: str, default: str) -> str:
    """The value of an option, without quotes; the last value if it is given twice."""
    values = [value for option, value in pairwise(arguments) if option == name]
    return unquoted(values[-1]) if values else default


def given_options(arguments: Sequence[str], names: Sequence[str]) -> list[str]:
    """Those of the options that are given, each with its last value, quotes included."""
    last = {option: value for option, value in pairwise(arguments) if option in names}
    return [word for name in names if name in last for word in (name, last[name])]


def command_with(config: Mapping[str, Any], arguments: Sequence[str]) -> str:
    """The command of this package's trial with other arguments.

    What comes before the trial stays, as ``cd`` and variables; a trial of the user's own is left
    out with all that belongs to it.
    """
    part = _own_trial(config)
    if part is None:
        return " ".join(["python", "-m", TRIAL_MODULE, *arguments])
    trial = " ".join([*part.words[: part.position + 1], *arguments])
    return " && ".join([*part.before, trial])


def _own_trial(config: Mapping[str, Any]) -> TrialPart | None:
    try:
        return find_trial(str(config.get("trialCommand") or ""))
    except CommandError:
        return None
