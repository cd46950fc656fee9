"""The searches that are compared: who chooses, and what the pick is in the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from nsc_bench.setups import Setup

from nni_blockqnn import Block, BlockSearch, SearchSpace
from verdict.corrected import CorrectedGuide
from verdict.finals import Choice, choose
from verdict.trainings import Trainings

_PREDICTOR = {"predictor": "wl", "candidates": {"pool": 160}}
ARMS: dict[str, dict[str, Any]] = {
    "random": {"agent": "random"},
    "random, then finals": {"agent": "random"},
    "evolution": {"agent": "evolution"},
    "Q, tuned": {},
    "predictor": _PREDICTOR,
    "predictor, then finals": _PREDICTOR,
    "random, validated on 10,000": {"agent": "random"},
    "predictor, validated on 10,000": _PREDICTOR,
    "random, validated on 10,000, then finals": {"agent": "random"},
    "predictor, validated on 10,000, then finals": _PREDICTOR,
    "predictor, finals on the way": _PREDICTOR | {"predictor": "verdict.corrected:CorrectedGuide"},
}
"""Arguments of :class:`BlockSearch`. The predictor's candidates must not depend on how busy the
machine is."""
WELL_VALIDATED = {arm for arm in ARMS if "validated on 10,000" in arm}
"""Their trainings are validated on more images (CIFAR-10 alone)."""
WITH_FINALS = {arm for arm in ARMS if arm.endswith("then finals")}
"""Their pick is chosen by :mod:`verdict.finals`."""

_TRAINING_SEED = 0


class Trial(NamedTuple):
    """A block that a search tried; ``accuracy`` is ``None`` if its training diverged."""

    block: Block
    accuracy: float | None
    seconds: float


def search(
    arm: str, seed: int, trials: int, early: Trainings, final: Trainings
) -> tuple[BlockSearch, list[Trial]]:
    """A search of so many trials, one after the other.

    What was trained before is not trained again, so a search that was cut off goes on.

    Args:
        final: the long trainings, for a search that has some on its way.
    """
    made = BlockSearch(
        _space(early.setup), seed=seed, budget=trials, **_arguments(arm, early.setup)
    )
    if isinstance(made.predictor, CorrectedGuide):
        made.predictor.begin(final, trials)
    return made, list(_tried(made, trials, early))


def pick(arm: str, search: BlockSearch, final: Trainings) -> Choice:
    """The block that a search ends with."""
    if isinstance(search.predictor, CorrectedGuide):
        assert search.predictor.finals is not None
        return search.predictor.finals.choice()
    if arm in WITH_FINALS:
        return choose(search, final)
    return Choice(search.best(1)[0].block, (), 0.0)


def _tried(search: BlockSearch, trials: int, early: Trainings) -> Iterator[Trial]:
    for _ in range(trials):
        suggestion = search.ask()
        if suggestion is None:
            return
        line = early.line(suggestion.block, _TRAINING_SEED)
        yield Trial(suggestion.block, line["accuracy"], line["seconds"])
        if line["accuracy"] is None:
            search.tell_failure(suggestion.episode, "diverged", of_block=True)
        else:
            metric = {"accuracy": line["accuracy"], "rho": 0.0}
            search.tell(suggestion.episode, line["accuracy"], metric)
        if isinstance(search.predictor, CorrectedGuide):
            search.predictor.train()


def _space(setup: Setup) -> SearchSpace:
    return SearchSpace(repeats=(setup.spec.repeats,), network=json.dumps(asdict(setup.spec)))


def _arguments(arm: str, setup: Setup) -> dict[str, Any]:
    assert setup.match is not None
    return ARMS[arm] | {"match": {setup.match.measure: setup.match.value}}


def record(arm: str, seed: int, tried: Sequence[Trial], choice: Choice) -> dict[str, Any]:
    """A finished search as JSON."""
    return {
        "arm": arm,
        "seed": seed,
        "pick": choice.block.to_json(),
        "hours": (sum(trial.seconds for trial in tried) + choice.seconds) / 3600,
        "finalists": [[block.to_json(), accuracy] for block, accuracy in choice.finalists],
        "trials": [[trial.block.to_json(), trial.accuracy] for trial in tried],
    }
