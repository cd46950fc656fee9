"""What the finalists' trainings have chosen: the best one and the hand-made ones, at each cost."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from statistics import fmean
from typing import NamedTuple

from nni_blockqnn.automl._folder import SearchFolder
from nni_blockqnn.automl._sizing import cost_name
from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.named import name_of
from nni_blockqnn.common.files import write_whole
from nni_blockqnn.exchange.parameters import TrialTask, read_match, read_task
from nni_blockqnn.results.experiment import Results, TrialResult, distinct_best
from nni_blockqnn.results.long_trainings import with_final_expected

_WINNER = "winner"


class Winner(NamedTuple):
    """A network that is trained on all training data.

    Attributes:
        folder: that of its training: "winner", or the name of a hand-made block. Where blocks are
            compared at several costs, those of the other costs have names such as "winner-170k".
        name: "winner", or that of the hand-made block.
        validated: the finalist's accuracy on validation images in percent.
        cost: at which it is compared, in multiply-accumulates; None if it is at none.
    """

    folder: str
    name: str
    block: Block
    task: TrialTask
    validated: float
    cost: int | None

    @property
    def exported(self) -> str | None:
        """The name of its exported folder; None for a hand-made block beside a winner."""
        if self.name != _WINNER:
            return None
        return self.folder.replace(_WINNER, "network")


class AtCost(NamedTuple):
    """Finalists of one cost.

    Attributes:
        match: the parameter that says it; None if they are compared at none.
        ending: of the names of their folders and files; empty for the search's own cost.
    """

    match: str | None
    ending: str
    results: Results


def write_winners(folder: SearchFolder, results: Results) -> None:
    """Write the best finalist and the hand-made blocks beside it, with what they were validated at.

    Where they are compared at several costs, there is a best one for each; the first cost, which is
    the search's own, comes first.

    Args:
        results: at least one.
    """
    space = results.experiment.config["searchSpace"]
    shared = {key: entry["_value"][0] for key, entry in space.items()}
    written = {}
    for match, ending, of_cost in by_cost(results):
        own = shared if match is None else shared | {"match": match}
        for name, one in _chosen(of_cost).items():
            same = [each.reward for each in of_cost.trials if each.block.key == one.block.key]
            written[name + ending] = {
                "name": name,
                "parameters": own | {"block": one.block.to_json()},
                "validated": fmean(same),
            }
    write_whole(folder.winners, json.dumps(written, indent=1) + "\n")


def by_cost(results: Results) -> list[AtCost]:
    """The results of finalists, apart for each of their costs, the search's own first.

    A cost without a result is left out.
    """
    matches = results.experiment.config["searchSpace"].get("match", {}).get("_value", [None])
    if len(matches) == 1:
        return [AtCost(matches[0], "", results)]
    trials: dict[str, list[TrialResult]] = {match: [] for match in matches}
    for trial in results.trials:
        if trial.flops:  # the costs lie so far apart that one of them is clearly the nearest
            trials[min(matches, key=lambda match: _distance(trial, match))].append(trial)
    endings = ["", *(f"-{cost_name(_cost(match) or 0)}" for match in matches[1:])]
    return [
        AtCost(match, ending, replace(results, trials=tuple(trials[match])))
        for match, ending in zip(matches, endings, strict=True)
        if trials[match]
    ]


def _distance(trial: TrialResult, match: str) -> float:
    return abs(math.log((trial.flops or 1) / (_cost(match) or 1)))


def _cost(match: str | None) -> int | None:
    """In multiply-accumulates; None of another measure."""
    if match is None:
        return None
    measure, value = read_match(match)
    return int(value) if measure == "flops" else None


def _chosen(results: Results) -> dict[str, TrialResult]:
    """The best one, and the hand-made ones if they are not the best.

    Where some were trained several times, the best is what may be expected to be it.
    """
    results = with_final_expected(results)
    is_expected = any(trial.expected is not None for trial in results.trials)
    ranked = distinct_best(results, len(results.trials), "expected" if is_expected else "reward")
    chosen = {_WINNER: ranked[0]}
    for one in ranked[1:]:
        if (name := name_of(one.block)) is not None:
            chosen[name] = one
    return chosen


def read_winners(folder: SearchFolder) -> list[Winner]:
    """What :func:`write_winners` has written, the winner of the search's own cost first."""
    written = json.loads(folder.winners.read_text(encoding="utf-8"))
    winners = []
    for own_folder, entry in written.items():
        task = read_task(entry["parameters"])
        name, validated = entry.get("name", own_folder), float(entry["validated"])
        cost = _cost(entry["parameters"].get("match"))
        winners.append(Winner(own_folder, name, task.block, task, validated, cost))
    return winners
