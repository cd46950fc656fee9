"""What the picks are worth, beside hand-made blocks, as Markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from nsc_bench.ground import HAND_MADE
from scipy.stats import t, ttest_ind

from nni_blockqnn import Block
from verdict.trainings import Trainings

_SEEDS = range(3)
LARGER_SEEDS = range(4)
_AFTER = (25, 50, 100)


def markdown(
    searches: Sequence[dict[str, Any]], final: Trainings, references: Sequence[str]
) -> Iterator[str]:
    """
    Args:
        searches: as :func:`verdict.searches.record` writes them.
        references: names of hand-made blocks.
    """
    known = {name: _accuracies(HAND_MADE[name], final) for name in references}
    yield "| hand-made block | final test accuracy of each seed | mean |"
    yield "| --- | --- | --- |"
    for name, accuracies in known.items():
        yield f"| {name} | {_listed(accuracies)} | {_with_interval(accuracies)} |"
    better = max((a for a in known.values() if len(a)), key=np.mean, default=np.array([]))
    by_arm = defaultdict(list)
    for search in searches:
        by_arm[search["arm"]].append(search)
    yield ""
    yield (
        "| search | trials | hours of a core | early accuracy: mean of the last quarter | "
        "of the pick | its final test accuracy, a search | mean | above the better hand-made |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for arm, own in by_arm.items():
        yield _row(arm, own, final, better)
    yield ""
    yield f"| early accuracy, best; mean of the best five | {' | '.join(map(str, _AFTER))} trials |"
    yield "| --- |" + " --- |" * len(_AFTER)
    for arm, own in by_arm.items():
        cells = (_so_far(own, trials) for trials in _AFTER)
        yield f"| {arm} | {' | '.join(cells)} |"


def larger_markdown(
    searches: Sequence[dict[str, Any]], larger: Trainings, references: Sequence[str]
) -> Iterator[str]:
    """What blocks are worth in a larger network, as far as they were trained there.

    Args:
        searches: as :func:`verdict.searches.record` writes them.
        references: names of hand-made blocks.
    """
    known = {name: _accuracies(HAND_MADE[name], larger, LARGER_SEEDS) for name in references}
    known = {name: accuracies for name, accuracies in known.items() if len(accuracies)}
    better = max(known.values(), key=np.mean, default=np.array([]))
    by_arm = defaultdict(list)
    for search in searches:
        if len(found := _accuracies(Block.parse(search["pick"]), larger, LARGER_SEEDS)):
            by_arm[search["arm"]].append(found.mean())
    yield ""
    yield (
        "| in a larger network: hand-made block, or picks of searches | test accuracies, of each "
        "seed or each search | mean | above the better hand-made |"
    )
    yield "| --- | --- | --- | --- |"
    for name, accuracies in known.items():
        yield f"| {name} | {_listed(accuracies)} | {_with_interval(accuracies)} | |"
    for arm, values in by_arm.items():
        means = np.array(values)
        cells = (arm, _listed(means), _with_interval(means), _difference(means, better))
        yield f"| {' | '.join(cells)} |"


def _so_far(searches: Sequence[dict[str, Any]], trials: int) -> str:
    """The paper's Fig. 10, of one training of each block: means over the searches."""
    best, five = [], []
    for search in searches:
        found = [accuracy for _, accuracy in search["trials"][:trials] if accuracy is not None]
        top = sorted(found, reverse=True)[:5]
        best.append(top[0])
        five.append(np.mean(top))
    return f"{_with_interval(np.array(best))}; {_with_interval(np.array(five))}"


def _row(arm: str, searches: Sequence[dict[str, Any]], final: Trainings, better: np.ndarray) -> str:
    finals = [_accuracies(Block.parse(search["pick"]), final) for search in searches]
    means = np.array([each.mean() for each in finals if len(each)])
    early = [_early(search) for search in searches]
    cells = [
        arm,
        "/".join(str(len(search["trials"])) for search in searches),
        f"{np.mean([search['hours'] for search in searches]):.2f}",
        f"{np.mean([last for last, _ in early]):.1f}",
        f"{np.mean([pick for _, pick in early]):.1f}",
        _listed(means),
        _with_interval(means),
        _difference(means, better),
    ]
    return f"| {' | '.join(cells)} |"


def _early(search: dict[str, Any]) -> tuple[float, float]:
    """Mean early accuracy of the last quarter of the trials, and that of the pick."""
    trials = [(block, accuracy) for block, accuracy in search["trials"] if accuracy is not None]
    last = [accuracy for _, accuracy in trials[-len(trials) // 4 :]]
    return float(np.mean(last)), dict(trials)[search["pick"]]


def _accuracies(block: Block, final: Trainings, seeds: Iterable[int] = _SEEDS) -> np.ndarray:
    lines = [final.find(block, seed) for seed in seeds]
    return np.array([line["accuracy"] for line in lines if line and line["accuracy"] is not None])


def _listed(values: np.ndarray) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _with_interval(values: np.ndarray) -> str:
    """The mean with its 95 % interval (Student's t)."""
    if len(values) < 2:
        return _listed(values)
    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.2f} ± {half:.2f}"


def _difference(values: np.ndarray, reference: np.ndarray) -> str:
    """Of the means, with its 95 % interval (Welch's)."""
    if len(values) < 2 or len(reference) < 2:
        return ""
    low, high = ttest_ind(values, reference, equal_var=False).confidence_interval()
    return f"{values.mean() - reference.mean():+.2f} [{low:+.2f}, {high:+.2f}]"
