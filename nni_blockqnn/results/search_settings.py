"""What a search was started with, as its configuration and its journal say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nni_blockqnn.common.checks import is_integer
from nni_blockqnn.q_learning.arguments import SearchArguments
from nni_blockqnn.results.experiment import Experiment, is_blockqnn_search
from nni_blockqnn.results.search_journal import search_events

_NOT_OF_A_SEARCH = ("seed",)


def search_arguments(experiment: Experiment) -> SearchArguments | None:
    """The arguments of a search by BlockQNN; None of another tuner's, or if they are unreadable."""
    if not is_blockqnn_search(experiment):
        return None
    given = _class_args(experiment.config)
    arguments = {name: value for name, value in given.items() if name not in _NOT_OF_A_SEARCH}
    try:
        return SearchArguments.of(arguments)
    except (TypeError, ValueError):  # of another version, or of code that is not here
        return None


def batch_size(experiment: Experiment) -> int | None:
    """Blocks in an iteration; None if the tuner has none."""
    arguments = search_arguments(experiment)
    return None if arguments is None else arguments.settings.batch_size


def search_seed(experiment: Experiment) -> int | None:
    """The seed that was given, or else drawn; None if nothing says it."""
    given = _class_args(experiment.config).get("seed")
    if is_integer(given):
        return int(given)
    events = search_events(experiment.directory)
    drawn = (event.get("seed") for event in events if event.get("event") == "start")
    return next((int(seed) for seed in drawn if is_integer(seed)), None)


def random_episodes(experiment: Experiment) -> set[int]:
    """The episodes whose blocks were drawn at random, start blocks left out.

    Of the Q-agent these are the blocks of epsilon 1; with a predictor, those before it had results
    enough to choose by. Of the random agent they are all.
    """
    arguments = search_arguments(experiment)
    if arguments is None or arguments.agent not in ("q", "random"):
        return set()
    before = arguments.candidates.first_results if arguments.predictor is not None else None
    found, results = set(), 0
    for event in search_events(experiment.directory):
        kind, episode = event.get("event"), event.get("episode")
        if kind == "result":
            results += 1
        is_drawn = arguments.agent == "random" or event.get("epsilon") == 1
        if kind == "suggestion" and is_drawn and not event.get("start") and is_integer(episode):
            if before is not None and results >= before:
                break
            found.add(int(episode))
    return found


def _class_args(config: Mapping[str, Any]) -> Mapping[str, Any]:
    class_args = (config.get("tuner") or {}).get("classArgs")
    return class_args if isinstance(class_args, Mapping) else {}
