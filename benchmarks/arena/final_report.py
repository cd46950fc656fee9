"""What searches end with, as Markdown and a figure; means over seeds with bootstrap intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np

from arena.final_choices import BEST_TRIED, LONG_IN_SHORT, RULES, Choice
from arena.final_searches import ANY_LENGTH, SEARCHES
from arena.statistics import mean, ratio_of_means

matplotlib.use("Agg")

AFTER = (50, 100, 200, 500)
MAIN = ("random", "evolution", "Q, tuned", "predictor")
_REFERENCE_RULES = ("no finals", "finals")
TARGET = 1.0
"""Points above the residual block, in the real trainings the better of the hand-made ones."""
RESIDUAL = 52.82
"""What it has in the end, as the table of long trainings has it."""


class Arm(NamedTuple):
    search: str
    rule: str

    def __str__(self) -> str:
        return self.search if self.rule == "no finals" else f"{self.search}, {self.rule}"


class Finals:
    """Accuracies of the picks by arm and number of trials."""

    def __init__(self, choices: Sequence[Choice]) -> None:
        self._found: dict[tuple[Arm, int, int], dict[int, float]] = defaultdict(dict)
        for choice in choices:
            arm = Arm(choice.search, choice.rule)
            self._found[arm, choice.budget, choice.trials][choice.seed] = choice.final

    def at(self, arm: Arm, trials: int) -> dict[int, float]:
        """By seed, of searches that were told of so many trials or, where that is all the same, of
        more; the predictor's searches of 100 trials stand for its first 50, too."""
        budgets = sorted(b for a, b, t in self._found if (a, t) == (arm, trials))
        if arm.search == "Q, tuned":
            budgets = [trials]
        elif arm.search not in ANY_LENGTH:
            budgets = budgets[:1]
        return {
            seed: final
            for budget in budgets
            for seed, final in self._found.get((arm, budget, trials), {}).items()
        }

    def regrets(self, arm: Arm, trials: int, best: float) -> np.ndarray:
        found = self.at(arm, trials)
        return best - np.array([found[seed] for seed in sorted(found)])

    def trials(self, arm: Arm) -> list[int]:
        return sorted({t for a, _, t in self._found if a == arm and self.at(arm, t)})

    def best(self) -> float:
        """The best block that any of these searches has tried."""
        tried = (found for (arm, *_), found in self._found.items() if arm.rule == BEST_TRIED)
        return max((value for found in tried for value in found.values()), default=np.nan)


def markdown(choices: Sequence[Choice], reference: float) -> Iterator[str]:
    """
    Args:
        reference: what regrets are counted from, in percent.
    """
    finals = Finals(choices)
    yield f"Regrets from {reference:.2f}; the best block of all searches has {finals.best():.2f}."
    yield ""
    yield from _standings(finals, reference)
    yield ""
    yield from _goal(finals, reference)
    yield ""
    yield from _differences(finals)
    yield ""
    yield from _same_hours(finals)


def _standings(finals: Finals, reference: float) -> Iterator[str]:
    yield _row(["mean regret, points (searches)", *(f"{after} trials" for after in AFTER)])
    yield _row(["---"] * (1 + len(AFTER)))
    arms = [Arm(search, rule) for rule in _REFERENCE_RULES for search in MAIN]
    for arm in [*arms, *(Arm(search, BEST_TRIED) for search in MAIN)]:
        cells = []
        for after in AFTER:
            regrets = finals.regrets(arm, after, reference)
            cells.append(f"{mean(regrets)} ({len(regrets)})" if len(regrets) > 1 else "")
        yield _row([str(arm), *cells])


def _goal(finals: Finals, reference: float) -> Iterator[str]:
    """The predictor with finals against rivals without, and with the same finals."""
    yield _row(["after 100 trials", "regret of predictor, finals / rival's"])
    yield _row(["---"] * 2)
    ours = finals.at(Arm("predictor", "finals"), 100)
    for rival in (Arm(s, r) for r in _REFERENCE_RULES for s in ("random", "evolution")):
        theirs = finals.at(rival, 100)
        seeds = sorted(ours.keys() & theirs.keys())
        if seeds:
            both = [reference - np.array([each[s] for s in seeds]) for each in (ours, theirs)]
            yield _row([str(rival), str(ratio_of_means(*both))])


def _differences(finals: Finals) -> Iterator[str]:
    """What a change is worth, with the same seeds."""
    yield _row(["after 100 trials, points of final accuracy", "no finals", "finals", BEST_TRIED])
    yield _row(["---"] * 4)
    for search in SEARCHES:
        rival = "random" if search in MAIN else "predictor"
        if search != rival and finals.at(Arm(search, "finals"), 100):
            cells = (
                _paired(finals.at(Arm(search, rule), 100), finals.at(Arm(rival, rule), 100))
                for rule in (*_REFERENCE_RULES, BEST_TRIED)
            )
            yield _row([f"{search} against {rival}", *cells])


_SAME_HOURS = (
    (100, "12 finals, one seed"),
    (76, "16 finals"),
    (52, "20 finals"),
    (28, "24 finals"),
)
"""All of them take the time of 172 short trainings."""


def _same_hours(finals: Finals) -> Iterator[str]:
    """Other ways to spend the time of 100 trials and the finals; and other finalists."""
    yield _row(["against 100 trials and finals", *(f"{s}" for s in MAIN if s != "Q, tuned")])
    yield _row(["---"] * 4)
    for after, rule in (*_SAME_HOURS, (100, "finals of the first half"), (100, "20 finals")):
        cells = (
            _paired(finals.at(Arm(s, rule), after), finals.at(Arm(s, "finals"), 100))
            for s in MAIN
            if s != "Q, tuned"
        )
        yield _row([f"{after} trials, {rule}", *cells])


def _paired(ours: dict[int, float], theirs: dict[int, float]) -> str:
    seeds = sorted(ours.keys() & theirs.keys())
    if len(seeds) < 2:
        return ""
    difference = mean(np.array([ours[seed] - theirs[seed] for seed in seeds]))
    return f"{difference.estimate:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]"


def draw(choices: Sequence[Choice], reference: float, path: Path) -> None:
    """Regret by training time, and the share of searches whose pick reaches the target."""
    from matplotlib import pyplot

    finals = Finals(choices)
    figure, panels = pyplot.subplots(1, 2, figsize=(8.4, 3.6), layout="constrained")
    for number, search in enumerate(MAIN):
        for rule, style in zip(_REFERENCE_RULES, ("-", "o--"), strict=True):
            arm = Arm(search, rule)
            after = finals.trials(arm)
            time = [trials + LONG_IN_SHORT * RULES[rule].trainings for trials in after]
            found = [reference - finals.regrets(arm, trials, reference) for trials in after]
            look = {"color": f"C{number}", "linewidth": 1.2, "markersize": 3, "label": str(arm)}
            panels[0].plot(time, [reference - each.mean() for each in found], style, **look)
            reached = [100 * np.mean(each >= RESIDUAL + TARGET) for each in found]
            panels[1].plot(time, reached, style, **look)
    panels[0].set(ylabel="mean regret of the pick, points", xscale="log")
    panels[1].set(ylabel=f"% of searches {TARGET:g} above the residual block", xscale="log")
    for panel in panels:
        panel.set(xlabel="training time, in short trainings")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=4, fontsize="small")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
