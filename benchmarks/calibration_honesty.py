"""Whether ``blockqnn calibrate`` promises what is not there (docs/calibration.md).

From ``benchmarks/``: ``python calibration_honesty.py`` (a minute of one core). Simulated pairs
whose final accuracy rises with ln FLOPs by so many points, or not at all; and real ones, of which
30 are fitted to and the others judge.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from early_against_final import FOLDER

from nni_blockqnn.calibration.rank_statistics import Interval, bootstrap, spearman
from nni_blockqnn.calibration.reward_weights import Pairs, Weights, best_weights, left_out_places
from nni_blockqnn.commands._measurements import paired, read_measurements

_RESAMPLES = 2_000
_FITTED = 30


class Promise(NamedTuple):
    """What the fitted weights seem to gain over the accuracy."""

    weights: Weights
    in_sample: float
    left_out: Interval


def main() -> None:
    rng = np.random.default_rng(1)
    for count, slope, noise, times in (
        (30, 0, 0.7, 120),
        (30, 0, 2.0, 120),
        (30, 2, 0.7, 120),
        (30, 1, 0.7, 120),
        (60, 1, 0.7, 40),
    ):
        promises = [_promise(_simulated(count, slope, noise, rng), rng) for _ in range(times)]
        print(f"{count} pairs, slope {slope}, early noise {noise}: {_described(promises)}")
    pairs = paired(
        *(
            read_measurements(str(FOLDER / f"{name}.csv")).results
            for name in ("early", "final_4_epochs")
        )
    )
    promises, kept = [], []
    for _ in range(60):
        order = rng.permutation(len(pairs.final))
        others = pairs.taken(order[_FITTED:])
        promises.append(_promise(pairs.taken(order[:_FITTED]), rng))
        kept.append(_gain(others.rewards(*promises[-1].weights), others))
    print(f"{_FITTED} of {len(pairs.final)} real pairs: {_described(promises)}")
    print(f"on the others they gain {np.mean(kept):.3f}")


def _simulated(count: int, slope: float, noise: float, rng: np.random.Generator) -> Pairs:
    log_flops, log_density = rng.normal(15, 1, count), rng.normal(0.1, 0.2, count)
    quality = rng.normal(0, 2, count)
    early = 60 + quality + rng.normal(0, noise, count)
    final = 70 + quality + slope * (log_flops - 15) + rng.normal(0, 0.7, count)
    return Pairs(early, np.exp(log_flops), np.exp(log_density), final)


def _promise(pairs: Pairs, rng: np.random.Generator) -> Promise:
    places = left_out_places(pairs, rng)
    count = len(pairs.final)
    drawn = rng.integers(count, size=(_RESAMPLES, count))

    def gain(positions: np.ndarray) -> np.ndarray:
        return _gain(places[positions], pairs.taken(positions))

    weights = best_weights(pairs)
    in_sample = float(_gain(pairs.rewards(*weights), pairs))
    return Promise(weights, in_sample, bootstrap(gain, count, drawn))


def _gain(scores: np.ndarray, pairs: Pairs) -> np.ndarray:
    return spearman(scores, pairs.final) - spearman(pairs.early, pairs.final)


def _described(promises: list[Promise]) -> str:
    recommended = sum(promise.left_out.low > 0 for promise in promises)
    in_sample = np.mean([promise.in_sample for promise in promises])
    left_out = np.mean([promise.left_out.estimate for promise in promises])
    return (
        f"gain {in_sample:.3f} in sample, {left_out:.3f} left out; its interval lies above 0 "
        f"in {recommended} of {len(promises)}"
    )


if __name__ == "__main__":
    main()
