"""Which results of an experiment are wanted (``blockqnn top``)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.bridge.statuses import TRIAL_ENDED
from nni_blockqnn.common.messages import counted
from nni_blockqnn.exchange.finalists import is_finalists
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.equal_cost import equal_cost
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.results.expected import (
    has_predictor,
    next_finalists,
    varied_results,
    with_expected,
)
from nni_blockqnn.results.experiment import Ranking, Results, TrialResult, distinct_best
from nni_blockqnn.results.long_trainings import with_final_expected
from nni_blockqnn.space.match import Match


@dataclass(frozen=True)
class Selection:
    """Which results are wanted.

    Attributes:
        k: at most so many.
        by: ``None`` for the expected reward where a predictor chose the search's blocks, and for
            the reward elsewhere.
        max_params: of the network's weights; None for any number.
        max_flops: of the network's multiply-accumulates; None for any number.
        repeats: the network's N; None for any.
        network: what finalists will be trained in: a preset's name or JSON text of NetworkSpec's
            fields. The limits are of that network then. None: the network of the experiment.
        match: what finalists cost in it, by its filters; None for the filters as they are.
        varied: whether they are of several families.
        finals: long trainings of some of the results, by which the others are ranked.
    """

    k: int
    by: Ranking | None
    max_params: int | None
    max_flops: int | None
    repeats: int | None
    network: str | None
    match: Match | None = None
    varied: bool = False
    finals: Results | None = None


def best_results(results: Results, selection: Selection) -> list[TrialResult]:
    """The selected results, best first."""
    by = selection.by or ("expected" if has_predictor(results.experiment) else "reward")
    if by == "expected":
        is_long = is_finalists(results.experiment.config.get("searchSpace"))
        results = with_final_expected(results) if is_long else with_expected(results)
        if all(trial.expected is None for trial in results.trials):  # too few to predict from
            by = "reward"
    fitting = _of_repeats(results, selection.repeats)
    limits = (selection.max_params, selection.max_flops)
    if selection.network:
        spec = NetworkSpec.from_parameter(selection.network)
        every = distinct_best(fitting, len(fitting.trials), by)
        best = [result for result in every if is_within(result.block, spec, selection)]
    else:
        # the keys of all networks take most of the time, and the first ones mostly do
        is_chosen_later = selection.varied or selection.finals is not None
        wanted = len(fitting.trials) if is_chosen_later else selection.k
        best = distinct_best(fitting, wanted, by, *limits)
    if selection.finals is not None:
        best = next_finalists(best, results, selection.finals)
    return varied_results(best, selection.k, results) if selection.varied else best[: selection.k]


def is_within(block: Block, spec: NetworkSpec, selection: Selection) -> bool:
    """Whether the block's network has the cost that is wanted, and is within the limits."""
    network: NetworkSpec | None = spec
    if selection.match is not None:
        network = equal_cost(block, spec, selection.match.target(spec))
    if network is None:
        return False
    if selection.max_params is None and selection.max_flops is None:
        return True
    cost = estimate_cost(block, network)
    limited = ((cost.params, selection.max_params), (cost.flops, selection.max_flops))
    return all(highest is None or value <= highest for value, highest in limited)


def _of_repeats(results: Results, repeats: int | None) -> Results:
    """The results of that N; a trial that does not report its N may have had any."""
    if repeats is None:
        return results
    fitting = tuple(trial for trial in results.trials if trial.repeats in (repeats, None))
    return replace(results, trials=fitting)


def why_none(results: Results, selection: Selection) -> str:
    count = len(results.trials)
    if not count:
        ended = sum(results.statuses.get(status, 0) for status in TRIAL_ENDED)
        return f"no result: {counted(ended, 'trial')} ended" if ended else "no results yet"
    results_found = counted(count, "result")
    if not _of_repeats(results, selection.repeats).trials:
        found = sorted({trial.repeats for trial in results.trials if trial.repeats is not None})
        return f"{results_found}, none with N = {selection.repeats}, but with {found}"
    return f"{results_found}, none within the limits"
