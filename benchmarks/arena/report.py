"""The results of the arena as Markdown and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib
import numpy as np

from arena.lineup import ABLATIONS
from arena.results import Results
from arena.statistics import Interval, mean, ratio_of_means

matplotlib.use("Agg")

RIVALS = ("evolution", "local search")
"""The predictor must beat the better of these."""


def markdown(results: Results, arenas: Sequence[str], budgets: Sequence[int]) -> Iterator[str]:
    for arena in arenas:
        players = [player for player in results.players(arena) if player not in ABLATIONS]
        changed = [player for player in results.players(arena) if player in ABLATIONS]
        yield f"\n## {arena}\n"
        yield from _standings(results, arena, players, budget=100)
        yield "\nAgainst their rivals after 100 trials, as ratios of mean regrets:\n"
        yield from _ratios(results, arena, budget=100)
        if changed:
            yield "\nWith one thing changed:\n"
            yield from _standings(results, arena, changed, budget=100)
        yield "\nMean regret by what the search saw, by number of trials (searches):\n"
        yield from _by_budget(results, arena, players, budgets)


def _standings(results: Results, arena: str, players: Sequence[str], budget: int) -> Iterator[str]:
    objectives = results.objectives(arena)
    yield from _header(["after 100 trials", *objectives])
    for player in players:
        cells = []
        for objective in objectives:
            regrets = np.array(list(results.at(arena, objective, player, budget).values()))
            if len(regrets):
                seen, judged = regrets.T
                cells.append(f"{mean(seen)}; {judged.mean():.2f}")
            else:
                cells.append("")
        yield _row([player, *cells])


def _ratios(results: Results, arena: str, budget: int) -> Iterator[str]:
    yield from _header(
        ["objective", "Q, tuned / random", "predictor / better of evolution and local search"]
    )
    for objective in results.objectives(arena):
        q = _ratio(results, arena, objective, "Q, tuned", "random", budget)
        rivals = [_ratio(results, arena, objective, "predictor", r, budget) for r in RIVALS]
        yield _row([objective, str(q), str(max(rivals, key=lambda ratio: ratio.estimate))])


def _ratio(
    results: Results, arena: str, objective: str, player: str, rival: str, budget: int
) -> Interval:
    ours = results.at(arena, objective, player, budget)
    theirs = results.at(arena, objective, rival, budget)
    seeds = sorted(ours.keys() & theirs.keys())
    return ratio_of_means(
        np.array([ours[seed].seen for seed in seeds]),
        np.array([theirs[seed].seen for seed in seeds]),
    )


def _by_budget(
    results: Results, arena: str, players: Sequence[str], budgets: Sequence[int]
) -> Iterator[str]:
    for objective in results.objectives(arena):
        yield from _header([objective, *map(str, budgets)])
        for player in players:
            cells = []
            for budget in budgets:
                seen = [r.seen for r in results.at(arena, objective, player, budget).values()]
                cells.append(f"{np.mean(seen):.2f} ({len(seen)})" if seen else "")
            yield _row([player, *cells])
        yield ""


def draw_curves(results: Results, arena: str, budget: int, path: Path) -> None:
    """Mean regret by what the search saw after each trial, a panel an objective."""
    from matplotlib import pyplot

    objectives = results.objectives(arena)
    figure, panels = pyplot.subplots(
        1, len(objectives), figsize=(3.2 * len(objectives), 3.4), layout="constrained"
    )
    for panel, objective in zip(np.atleast_1d(panels), objectives, strict=True):
        for player in results.players(arena):
            if player in ABLATIONS:
                continue
            curves = results.curves(arena, objective, player, budget)
            if len(curves):
                line = np.maximum(curves.mean(axis=0), 1e-2)
                panel.plot(np.arange(1, budget + 1), line, label=player, linewidth=1.2)
        panel.set(title=objective, xlabel="trials", yscale="log")
    np.atleast_1d(panels)[0].set_ylabel("mean regret, points")
    figure.legend(
        *np.atleast_1d(panels)[0].get_legend_handles_labels(), loc="outside lower center", ncols=5
    )
    figure.suptitle(arena)
    figure.savefig(path)
    pyplot.close(figure)


def _header(cells: Sequence[str]) -> Iterator[str]:
    yield _row(cells)
    yield _row(["---"] * len(cells))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
