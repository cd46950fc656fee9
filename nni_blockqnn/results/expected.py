"""What each network of an experiment may be expected to reach, all results considered.

Of a hundred noisy results, the highest is mostly a lucky one. A predictor's posterior mean takes
the luck out: it believes a result the more, the better those of similar networks are
(:mod:`nni_blockqnn.predictor.guide`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nni_blockqnn.common.messages import counted
from nni_blockqnn.network.cost import Cost
from nni_blockqnn.predictor.families import varied
from nni_blockqnn.predictor.predictor import Network
from nni_blockqnn.results.experiment import Experiment, Results, TrialResult

if TYPE_CHECKING:
    from nni_blockqnn.predictor.final_results import FinalResults
    from nni_blockqnn.predictor.guide import Guide

FEWEST = 10
"""Results, before a prediction says anything."""


def has_predictor(experiment: Experiment) -> bool:
    """Whether a predictor chose the search's blocks, or the long trainings of some of them."""
    class_args = (experiment.config.get("tuner") or {}).get("classArgs") or {}
    return isinstance(class_args, dict) and bool(
        class_args.get("predictor") or class_args.get("search")
    )


def with_expected(results: Results) -> Results:
    """The results with their ``expected`` rewards.

    They stay without where there are fewer than ``FEWEST`` results that say what their network
    costs.
    """
    known, guide = _known(results), _fitted(results)
    if guide is None:
        return results
    networks = list(dict.fromkeys(map(network_of, known)))
    sign = -1.0 if results.minimize else 1.0
    means = dict(zip(networks, sign * guide.mean(networks), strict=True))
    trials = [replace(trial, expected=means.get(network_of(trial))) for trial in results.trials]
    return replace(results, trials=tuple(trials))


def varied_results(best: Sequence[TrialResult], k: int, results: Results) -> list[TrialResult]:
    """The first of each family, then others, ``k`` in all.

    Args:
        best: the best of the results, best first.
    """
    guide = _fitted(results)
    known = [trial for trial in best if trial.flops and trial.params]
    if guide is None:
        return list(best[:k])
    return [known[at] for at in varied(list(map(network_of, known)), k, guide)]


def next_finalists(
    best: Sequence[TrialResult], results: Results, finals: Results
) -> list[TrialResult]:
    """Those of the best that were not trained long yet, by what a long training may bring.

    Their ``expected`` becomes the accuracy to be expected of it.

    Args:
        best: some of the results of a search.
        finals: of long trainings of some of its blocks.

    Raises:
        ValueError: if there is nothing to predict from.
    """
    networks = {trial.block.key: network_of(trial) for trial in _known(results)}
    long = [
        (networks[trial.block.key], trial.accuracy)
        for trial in finals.trials
        if trial.block.key in networks and trial.accuracy is not None
    ]
    final = final_model(results, {})
    if final is None or not long:
        raise ValueError(
            f"{finals.experiment.id} has {counted(len(long), 'long training')} of blocks of "
            f"{results.experiment.id}, and that has {counted(len(_known(results)), 'result')} with "
            f"FLOPs and params: one of the first and {FEWEST} of the second are needed"
        )
    for network, accuracy in long:
        final.observe(network, accuracy)
    trained = {network for network, _ in long}
    left = {network_of(trial): trial for trial in best if trial.flops and trial.params}
    ranked = final.rank([network for network in left if network not in trained])
    means = final.predict(ranked).mean if ranked else ()
    return [
        replace(left[network], expected=float(mean))
        for network, mean in zip(ranked, means, strict=True)
    ]


def final_model(results: Results, costs: Mapping[Network, Cost]) -> FinalResults | None:
    """What predicts long trainings of a search's networks; ``None`` if it has too few results.

    Args:
        costs: of networks that the search may not have trained.
    """
    from nni_blockqnn.predictor.final_results import FinalResults

    guide = _fitted(results, costs)
    if guide is None:
        return None
    return FinalResults(guide, float(np.std([trial.reward for trial in _known(results)])))


def _known(results: Results) -> list[TrialResult]:
    """Those of which a predictor can learn, oldest first."""
    known = [trial for trial in results.trials if trial.flops and trial.params]
    return sorted(known, key=lambda trial: trial.finished)


def _fitted(results: Results, costs: Mapping[Network, Cost] | None = None) -> Guide | None:
    """A predictor that has learnt from the results; ``None`` if they are too few.

    Args:
        costs: of further networks.
    """
    from nni_blockqnn.predictor.guide import Guide  # SciPy takes a while, and few ask

    known = _known(results)
    if len(known) < FEWEST:
        return None
    every = {**(costs or {}), **{network_of(trial): _cost(trial) for trial in known}}
    guide = Guide(lambda block, repeats: every[block, repeats])
    sign = -1.0 if results.minimize else 1.0
    for trial in known:
        guide.observe(network_of(trial), sign * trial.reward)
    return guide


def network_of(trial: TrialResult) -> Network:
    """As a predictor knows it."""
    return trial.block, trial.repeats or 0


def _cost(trial: TrialResult) -> Cost:
    assert trial.flops is not None
    assert trial.params is not None
    return Cost(trial.flops, trial.params, 0)  # a predictor does not look at the activations
