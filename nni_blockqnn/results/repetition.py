"""What it takes to run a search again: its configuration, its seed and the versions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from nni_blockqnn.results.experiment import Experiment, Results, is_blockqnn_search
from nni_blockqnn.results.search_settings import search_seed

_SECRET = re.compile("password|passphrase|secret|token|accountkey", re.IGNORECASE)
_OF_NNI = ("experimentType", "experimentWorkingDirectory", "useAnnotation", "debug", "logLevel")
"""What NNI fills in."""
_ALSO_ABOVE = ("trialCommand", "trialCodeDirectory", "debug", "nniManagerIp")
"""What NNI copies into the training service."""


def repeatable_config(experiment: Experiment) -> dict[str, Any]:
    """The configuration as one would write it to run the experiment again, with its seed.

    Folders of this machine become ".", and what may be a secret becomes "***".
    """
    config = _plain(experiment.config)
    for name in _OF_NNI:
        config.pop(name, None)
    code = config.pop("trialCodeDirectory", None)
    if code is not None:
        config["trialCodeDirectory"] = "."
    tuner = config.get("tuner")
    if isinstance(tuner, dict):
        if "codeDirectory" in tuner:
            tuner["codeDirectory"] = "."
        seed = search_seed(experiment) if is_blockqnn_search(experiment) else None
        if seed is not None:
            tuner["classArgs"] = {**(tuner.get("classArgs") or {}), "seed": seed}
    services = config.get("trainingService")
    for service in services if isinstance(services, list) else [services]:
        if isinstance(service, dict):
            for name in _ALSO_ABOVE:
                service.pop(name, None)
    return config


def trial_versions(results: Results) -> str | None:
    """The versions that most trials ran with, as they said; None if they did not."""
    said = Counter(
        versions
        for trial in results.trials
        if isinstance(versions := trial.metric.get("versions"), str)
    )
    if not said:
        return None
    text, count = said.most_common(1)[0]
    others = said.total() - count
    return text if not others else f"{text}; {others:,} trials with others"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            str(name): "***" if _SECRET.search(str(name)) and item else _plain(item)
            for name, item in value.items()
            if item is not None
        }
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
