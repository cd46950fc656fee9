"""How well early-stop results stand for final ones, and what mu and rho would do about it
(paper, Section 3.3 and Fig. 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nni_blockqnn.calibration.rank_statistics import Interval, bootstrap, percentiles, spearman
from nni_blockqnn.calibration.reward_weights import Pairs, Weights, best_weights, left_out_places

FEWEST_PAIRS = 4
"""With fewer pairs none can be left out."""
ENOUGH_PAIRS = 20
_RESAMPLES = 2_000
_REFITS = 200
"""How many resamples the weights are fitted to again, for their intervals."""
_NO_WEIGHTS = Weights(0.0, 0.0)
_NOTHING = Interval(float("nan"), float("nan"), float("nan"))


class Criterion(NamedTuple):
    """A way to choose among early-stop results, judged by final accuracies.

    Attributes:
        correlation: Spearman's, with the final accuracy.
        gain: how much larger that is than the early-stop accuracy's.
        top_correlation: among the half of the best early-stop accuracies, median included.
        top_gain: likewise.
        regret: points by which the final accuracy of the pair that it puts first falls short of the
            best one.
        regret_of_tenth: likewise of the best among the tenth that it puts first.
    """

    name: str
    correlation: Interval
    gain: Interval
    top_correlation: Interval
    top_gain: Interval
    regret: float
    regret_of_tenth: float


class Fit(NamedTuple):
    """The weights that would have been best, with intervals of weights fitted to resamples."""

    mu: Interval
    rho: Interval

    @property
    def weights(self) -> Weights:
        return Weights(self.mu.estimate, self.rho.estimate)


class Calibration(NamedTuple):
    """What pairs say about a reward.

    Attributes:
        pairs: how many there are.
        top_pairs: how many are in the half of the best early-stop accuracies; of fewer than 4
            nothing is said, all that would be is NaN.
        given: the weights that were asked about.
        criteria: in this order: "accuracy", the given "reward"; the fitted one "in sample" and
            on pairs "left out" of the fit; "largest first" (FLOPs) and "densest first".
        fit: to all pairs.
        top_fit: to the half of the best early-stop accuracies.
        recommended: to search with.
        reason: for the recommendation.
        warnings: what to mistrust; empty if nothing.
    """

    pairs: int
    top_pairs: int
    given: Weights
    criteria: tuple[Criterion, ...]
    fit: Fit
    top_fit: Fit
    recommended: Weights
    reason: str
    warnings: tuple[str, ...]


def calibrate(
    pairs: Pairs, mu: float = 1.0, rho: float = 8.0, *, rng: np.random.Generator
) -> Calibration:
    """Judge early-stop accuracies, rewards and costs by final accuracies.

    Intervals are percentiles of 2,000 bootstrap resamples of the pairs. Those of the fitted reward
    on pairs left out hold its leave-one-out places (beyond 30 pairs: of 30 groups) fixed; that is
    the row to believe, as the weights that are best for a few pairs fit their noise.

    Args:
        mu, rho: the reward's, that is asked about; the defaults are the paper's.
        rng: for resampling and for dealing pairs into groups.

    Raises:
        ValueError: with fewer than 4 pairs, if all accuracies of a kind are the same, or if values
            are not finite or FLOPs or densities not positive.
    """
    _check(pairs)
    top = pairs.taken(_best_half(pairs.early))
    fit, top_fit = _fit(pairs, rng), _fit(top, rng)
    scores = {
        "accuracy": pairs.early,
        "reward": pairs.rewards(mu, rho),
        "fitted, in sample": pairs.rewards(*fit.weights),
        "fitted, left out": left_out_places(pairs, rng),
        "largest first": pairs.flops,
        "densest first": pairs.density,
    }
    criteria = tuple(_judge(name, values, pairs, rng) for name, values in scores.items())
    recommended, reason = _recommend(pairs, Weights(mu, rho), fit, criteria)
    return Calibration(
        pairs=len(pairs.final),
        top_pairs=len(top.final),
        given=Weights(mu, rho),
        criteria=criteria,
        fit=fit,
        top_fit=top_fit,
        recommended=recommended,
        reason=reason,
        warnings=tuple(_warnings(pairs, criteria)),
    )


def _check(pairs: Pairs) -> None:
    if len(pairs.final) < FEWEST_PAIRS:
        raise ValueError(f"calibration needs at least {FEWEST_PAIRS} pairs, got {len(pairs.final)}")
    if not all(np.isfinite(values).all() for values in pairs):
        raise ValueError("accuracies, FLOPs and densities must be finite")
    for name, values in (("early-stop", pairs.early), ("final", pairs.final)):
        if values.min() == values.max():
            raise ValueError(f"there is nothing to rank: all {name} accuracies are {values[0]:g}")
    if not (pairs.flops > 0).all() or not (pairs.density > 0).all():
        raise ValueError("FLOPs and densities must be positive")


def _best_half(early: np.ndarray) -> np.ndarray:
    """Positions of the accuracies from the median on."""
    return np.flatnonzero(early >= np.median(early))


def _fit(pairs: Pairs, rng: np.random.Generator) -> Fit:
    count = len(pairs.final)
    if count < FEWEST_PAIRS:
        return Fit(_NOTHING, _NOTHING)
    drawn = rng.integers(count, size=(_REFITS, count))
    refits = np.array([best_weights(pairs.taken(positions)) for positions in drawn])
    best = best_weights(pairs)
    mu, rho = map(percentiles, best, refits.T)
    return Fit(mu, rho)


def _judge(name: str, scores: np.ndarray, pairs: Pairs, rng: np.random.Generator) -> Criterion:
    half = _best_half(pairs.early)
    return Criterion(
        name,
        *_correlation_and_gain(scores, pairs, rng),
        *_correlation_and_gain(scores[half], pairs.taken(half), rng),
        *_regrets(scores, pairs),
    )


def _correlation_and_gain(
    scores: np.ndarray, pairs: Pairs, rng: np.random.Generator
) -> tuple[Interval, Interval]:
    def correlation(positions: np.ndarray) -> np.ndarray:
        return spearman(scores[positions], pairs.final[positions])

    def gain(positions: np.ndarray) -> np.ndarray:
        early = spearman(pairs.early[positions], pairs.final[positions])
        return correlation(positions) - early

    count = len(pairs.final)
    if count < FEWEST_PAIRS:
        return _NOTHING, _NOTHING
    drawn = rng.integers(count, size=(_RESAMPLES, count))
    return bootstrap(correlation, count, drawn), bootstrap(gain, count, drawn)


def _regrets(scores: np.ndarray, pairs: Pairs) -> tuple[float, float]:
    """Of the first and of the first tenth, rounded up; of equal scores fewer FLOPs come first."""
    order = np.lexsort((pairs.flops, -scores))
    in_order = pairs.final[order]
    tenth = -(-len(order) // 10)
    best = pairs.final.max()
    return float(best - in_order[0]), float(best - in_order[:tenth].max())


def _recommend(
    pairs: Pairs, given: Weights, fit: Fit, criteria: Sequence[Criterion]
) -> tuple[Weights, str]:
    _, asked, _, left_out, *_ = criteria
    count = len(pairs.final)
    if count < ENOUGH_PAIRS:
        return _NO_WEIGHTS, f"{count} pairs are too few to set weights by"
    if _fractions(pairs):
        return _NO_WEIGHTS, "the accuracies must be in percent"
    if _ends_lower(pairs):
        return _NO_WEIGHTS, "the final trainings end below the early stop"
    if left_out.gain.low > 0 and left_out.correlation.estimate >= asked.correlation.estimate:
        return fit.weights, "they rank pairs that were left out better than the accuracy does"
    if asked.gain.low > 0:
        return given, "they rank better than the accuracy does; fitted ones rank no better"
    return _NO_WEIGHTS, (
        "no weights, neither given nor fitted ones, surely rank better than the accuracy does"
    )


def _ends_lower(pairs: Pairs) -> bool:
    return bool(pairs.final.mean() < pairs.early.mean())


def _fractions(pairs: Pairs) -> list[str]:
    """The kinds of accuracies that look like fractions, not percent."""
    kinds = (("early-stop", pairs.early), ("final", pairs.final))
    return [name for name, values in kinds if values.max() <= 1]


def _warnings(pairs: Pairs, criteria: Sequence[Criterion]) -> list[str]:
    count = len(pairs.final)
    _, asked, _, left_out, flops, _ = criteria
    warnings = [
        f"no {name} accuracy exceeds 1, and accuracies must be in percent: if these are fractions, "
        "multiply them by 100, else mu and rho are wrong by that factor"
        for name in _fractions(pairs)
    ]
    if count < ENOUGH_PAIRS:
        warnings.append(
            f"{count} pairs are too few to choose weights by: train {ENOUGH_PAIRS} or more blocks "
            "both ways, and keep mu = rho = 0 until then"
        )
    if _ends_lower(pairs):
        warnings.append(
            "final accuracies are below those of the early stop in the mean: the final recipe does "
            "not suit, or it was cut too short"
        )
    return [*warnings, *_warnings_of_criteria(count, asked, left_out, flops)]


def _warnings_of_criteria(
    count: int, asked: Criterion, left_out: Criterion, flops: Criterion
) -> list[str]:
    warnings = []
    if not left_out.gain.low > 0:
        warnings.append(
            "do not use the fitted weights: on pairs left out they may gain nothing "
            f"({left_out.gain})"
        )
    if asked.gain.high < 0:
        warnings.append(f"the given weights rank worse than the accuracy alone ({asked.gain})")
    if flops.gain.low > 0:
        warnings.append(
            f"FLOPs alone rank better than the early-stop accuracy ({flops.gain}): train for "
            "longer before the early stop, or on more images, or set limits and search below them"
        )
    elif flops.gain.estimate > 0:
        warnings.append(
            f"FLOPs alone rank better here than the early-stop accuracy ({flops.gain}), but "
            f"{count} pairs cannot tell whether they do so in general"
        )
    return warnings
