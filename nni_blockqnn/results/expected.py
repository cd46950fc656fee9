"""What each network of an experiment may be expected to reach, all results considered.

Of a hundred noisy results, the highest is mostly a lucky one. A predictor's posterior mean takes
the luck out: it believes a result the more, the better those of similar networks are
(:mod:`nni_blockqnn.predictor.guide`).
"""

from __future__ import annotations

from dataclasses import replace

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.network.cost import Cost
from nni_blockqnn.predictor.predictor import Network
from nni_blockqnn.results.experiment import Experiment, Results, TrialResult

FEWEST = 10
"""Results, before a prediction says anything."""


def has_predictor(experiment: Experiment) -> bool:
    """Whether a predictor chose the search's blocks."""
    class_args = (experiment.config.get("tuner") or {}).get("classArgs") or {}
    return isinstance(class_args, dict) and bool(class_args.get("predictor"))


def with_expected(results: Results) -> Results:
    """The results with their ``expected`` rewards.

    They stay without where there are fewer than ``FEWEST`` results that say what their network
    costs.
    """
    from nni_blockqnn.predictor.guide import Guide  # SciPy takes a while, and few ask

    known = [trial for trial in results.trials if trial.flops and trial.params]
    if len(known) < FEWEST:
        return results
    costs = {_network(trial): _cost(trial) for trial in known}

    def cost(block: Block, repeats: int) -> Cost:
        return costs[block, repeats]

    sign = -1.0 if results.minimize else 1.0
    guide = Guide(cost)
    for trial in sorted(known, key=lambda trial: trial.finished):
        guide.observe(_network(trial), sign * trial.reward)
    means = dict(zip(costs, sign * guide.mean(list(costs)), strict=True))
    trials = [
        replace(trial, expected=float(means[_network(trial)]))
        if _network(trial) in means
        else trial
        for trial in results.trials
    ]
    return replace(results, trials=tuple(trials))


def _network(trial: TrialResult) -> Network:
    return trial.block, trial.repeats or 0


def _cost(trial: TrialResult) -> Cost:
    assert trial.flops is not None
    assert trial.params is not None
    return Cost(trial.flops, trial.params, 0)  # a predictor does not look at the activations
