"""Which long training follows, once every finalist has been handed out.

Two things make a choice of finalists better, as measured on blocks of one cost (docs/
search_quality.md): what the long trainings have shown says which other networks of the search
deserve one (:mod:`nni_blockqnn.predictor.final_results`), and the best of all are trained from more
seeds, for the highest of a dozen noisy accuracies is mostly a lucky one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.exchange.finalists import FINALISTS_TUNER, Further, grid_of, shared_parameters
from nni_blockqnn.exchange.metrics import parse_failure, parse_final_metric
from nni_blockqnn.exchange.parameters import read_task, space_parameter
from nni_blockqnn.network.cost import Cost, estimate_cost
from nni_blockqnn.predictor.predictor import Network
from nni_blockqnn.results.expected import final_model, network_of
from nni_blockqnn.results.experiment import (
    ExperimentDatabaseError,
    ExperimentNotFoundError,
    Results,
    find_experiment,
    read_results,
)

if TYPE_CHECKING:
    from nni_blockqnn.predictor.final_results import FinalResults


class LongResult(NamedTuple):
    """How a long training ended.

    Attributes:
        reward: ``None`` if it failed.
    """

    block: Block
    reward: float | None


def read_long_result(metric: Any) -> LongResult:
    """What the final metric of a long training says.

    Raises:
        MetricError: if it cannot be counted.
    """
    # finalists have no episodes, and what identifies a result beside it is the block
    value = {"episode": 0, **metric} if isinstance(metric, Mapping) else metric
    if (failure := parse_failure(value)) is not None:
        return LongResult(failure.block, None)
    final = parse_final_metric(value)
    return LongResult(final.block, final.reward)


def long_results(finals: Results) -> list[LongResult]:
    """Of an experiment, those that failed among them."""
    ended = [LongResult(trial.block, trial.reward) for trial in finals.trials]
    return ended + [LongResult(one.block, None) for one in finals.failures if one.block]


class LongTrainings:
    """Chooses the next training by what was sent and what has come back."""

    def __init__(
        self, further: Further, search_space: Mapping[str, Any], searched: Results
    ) -> None:
        """
        Args:
            search_space: of the finalists.
            searched: what the finalists are the best of.

        Raises:
            ValueError: naming what is wrong with the search space.
        """
        self._further = further
        self._shared = shared_parameters(search_space)
        tasks = [read_task(parameters) for parameters in grid_of(search_space)]
        repeats = tasks[0].spec.repeats
        self._networks: dict[str, Network] = {}
        costs: dict[Network, Cost] = {}
        for trial in searched.trials:
            if trial.repeats == repeats and trial.flops and trial.params:
                self._networks.setdefault(trial.block.key, network_of(trial))
        for task in tasks:
            network = self._networks.setdefault(task.block.key, (task.block, repeats))
            costs[network] = estimate_cost(task.block, task.spec)
        self._finalists = {task.block.key for task in tasks}
        self._model = final_model(searched, costs)

    def next(self, sent: Iterable[Any], results: Sequence[LongResult]) -> dict[str, Any] | None:
        """The parameters of the next trial; ``None`` when there is none.

        Args:
            sent: the parameters of all trials so far, those of the finalists among them. What is
                no block's, which a user may have imported, is passed over.
        """
        trainings = Counter(_keys(sent))
        failed = {result.block.key for result in results if result.reward is None}
        known = self._knowledge(results, trainings, failed)
        if len(trainings.keys() - self._finalists) < self._further.more:
            for key in known.by_improvement(self._networks.keys() - trainings.keys()):
                if (parameters := self._parameters(key)) is not None:
                    return parameters
        if (again := self._trained_again(trainings, failed, known)) is None:
            return None
        return self._parameters(again, trainings[again])

    def _trained_again(
        self, trainings: Mapping[str, int], failed: set[str], known: _Knowledge
    ) -> str | None:
        """The key of the next network that is trained from another seed."""
        chosen = [key for key, count in trainings.items() if count > 1]
        if len(chosen) < self._further.again:
            left = (known.measured or trainings.keys()) - failed - set(chosen)
            if left:
                return known.by_mean(left)[0]
        few = [key for key in chosen if trainings[key] < self._further.seeds and key not in failed]
        return min(few, key=lambda key: trainings[key], default=None)

    def expected(self, results: Sequence[LongResult]) -> dict[str, float]:
        """What is expected of another training of each trained block, by its key."""
        known = self._knowledge(results, {}, set())
        return known.means(known.measured)

    def _knowledge(
        self, results: Sequence[LongResult], sent: Mapping[str, int], failed: set[str]
    ) -> _Knowledge:
        """Of the results, and of the trainings that are under way."""
        rewards: dict[str, list[float]] = {}
        for result in results:
            if result.reward is not None and result.block.key in self._networks:
                rewards.setdefault(result.block.key, []).append(result.reward)
        model = None if self._model is None else self._model.without_results()
        if model is not None:
            for key, values in rewards.items():
                for value in values:
                    model.observe(self._networks[key], value)
            pending = {
                key: count - len(rewards.get(key, ()))
                for key, count in sent.items()
                if key not in failed
            }
            model.believe([self._networks[key] for key in Counter(pending).elements()])
        means = {key: fmean(values) for key, values in rewards.items()}
        return _Knowledge(self._networks, means, model)

    def _parameters(self, key: str, repetition: int = 0) -> dict[str, Any] | None:
        block = self._networks[key][0]
        parameters = {**self._shared, "block": block.to_json()}
        if block.extra_kinds:
            parameters |= space_parameter(sorted(block.extra_kinds), block.encoding)
        if repetition:
            parameters["repetition"] = repetition
        try:
            read_task(parameters)
        except ValueError:  # the finalists' network is another one, in which it has no such cost
            return None
        return parameters


def _keys(sent: Iterable[Any]) -> Iterator[str]:
    for parameters in sent:
        with suppress(ValueError):
            yield read_task(parameters).block.key


class _Knowledge(NamedTuple):
    """What is known of the networks at one moment.

    Attributes:
        networks: by the key of their block.
        rewards: the mean of each network's long trainings.
        model: ``None`` if the search has too few results for one.
    """

    networks: Mapping[str, Network]
    rewards: Mapping[str, float]
    model: FinalResults | None

    @property
    def measured(self) -> Set[str]:
        return self.rewards.keys()

    def by_improvement(self, keys: Iterable[str]) -> list[str]:
        """Without a model, none: nothing says which."""
        wanted = {self.networks[key]: key for key in sorted(keys)}
        if self.model is None or not wanted:
            return []
        return [wanted[network] for network in self.model.rank([*wanted])]

    def by_mean(self, keys: Iterable[str]) -> list[str]:
        """The best one first."""
        means = self.means(keys)
        return sorted(means, key=lambda key: (-means[key], key))

    def means(self, keys: Iterable[str]) -> dict[str, float]:
        """What is expected of a training of each; without a model, the mean of those there were."""
        wanted = sorted(keys)
        if self.model is None or not wanted:
            return {key: self.rewards.get(key, -math.inf) for key in wanted}
        means = self.model.predict([self.networks[key] for key in wanted]).mean
        return dict(zip(wanted, map(float, means), strict=True))


def with_final_expected(finals: Results, searched: Results | None = None) -> Results:
    """Long results with what is expected of another training of their networks.

    They stay without where their tuner was given no search, or it is not on this machine any more.

    Args:
        searched: the results of that search; ``None`` to read them.
    """
    tuner = finals.experiment.config.get("tuner") or {}
    is_ours = tuner.get("className") == FINALISTS_TUNER
    further = Further.of(tuner.get("classArgs")) if is_ours else None
    if further is None:
        return finals
    try:
        searched = searched or read_results(find_experiment(further.search))
    except (ExperimentNotFoundError, ExperimentDatabaseError):
        return finals
    trainings = LongTrainings(further, finals.experiment.config["searchSpace"], searched)
    expected = trainings.expected(long_results(finals))
    trials = [replace(one, expected=expected.get(one.block.key)) for one in finals.trials]
    return replace(finals, trials=tuple(trials))
