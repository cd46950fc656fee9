"""Rank correlations and weights worked out by hand, and sets whose best weights are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nni_blockqnn.calibration import judging
from nni_blockqnn.calibration.judging import Calibration, Criterion, calibrate
from nni_blockqnn.calibration.rank_statistics import bootstrap, percentiles, spearman
from nni_blockqnn.calibration.reward_weights import Pairs, Weights, best_weights, left_out_places


@pytest.fixture
def few_refits(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what does not ask for the fitted weights' intervals, which take nearly all the time."""
    monkeypatch.setattr(judging, "_REFITS", 10)


def pairs_of(count: int, seed: int = 0, *, mu: float, rho: float, noise: float = 0.0) -> Pairs:
    """Final accuracies are the reward of early ones under these weights, and noise."""
    rng = np.random.default_rng(seed)
    early = rng.normal(60, 5, count)
    flops, density = np.exp(rng.normal(15, 1, count)), np.exp(rng.normal(0.1, 0.2, count))
    final = 60 + early - mu * np.log(flops) - rho * np.log(density)
    return Pairs(early, flops, density, final + noise * rng.normal(size=count))


def calibrated(pairs: Pairs, mu: float = 1.0, rho: float = 8.0) -> Calibration:
    return calibrate(pairs, mu, rho, rng=np.random.default_rng(0))


def criterion(calibration: Calibration, name: str) -> Criterion:
    (found,) = [one for one in calibration.criteria if one.name == name]
    return found


def test_spearman_by_hand() -> None:
    # ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4; their deviations from 2.5 have the products 2.25, 0, 0,
    # 2.25 and the squares' sums 4.5 and 5
    value = spearman(np.array([1, 2, 2, 4]), np.array([10, 30, 20, 40]))
    assert value == pytest.approx(4.5 / math.sqrt(4.5 * 5), abs=1e-12)
    assert spearman(np.array([1, 2, 3]), np.array([9, 8, 7])) == pytest.approx(-1)


def test_spearman_of_many_rows_is_scipys() -> None:
    rng = np.random.default_rng(0)
    rows, other = rng.integers(6, size=(20, 15)), rng.integers(6, size=15)
    expected = [stats.spearmanr(row, other)[0] for row in rows]
    assert spearman(rows, other) == pytest.approx(expected)


def test_of_a_constant_nothing_is_said() -> None:
    assert math.isnan(spearman(np.array([1, 1, 1]), np.array([1, 2, 3])))


def test_percentiles_leave_out_what_says_nothing() -> None:
    resampled = np.array([math.nan, *np.linspace(0, 1, 41)])
    assert percentiles(0.5, resampled) == pytest.approx((0.5, 0.025, 0.975))
    assert math.isnan(percentiles(0.5, np.array([math.nan, math.nan, 1.0])).low)


def test_bootstrap_resamples_observations() -> None:
    values = np.array([1.0, 2.0, 6.0])
    drawn = np.array([[0, 0, 0], [2, 2, 2]])
    interval = bootstrap(lambda positions: values[positions].mean(axis=-1), 3, drawn)
    assert interval == pytest.approx((3.0, 1 + 0.025 * 5, 6 - 0.025 * 5))


@pytest.mark.parametrize(("mu", "rho"), [(2.0, -3.0), (-4.0, 8.0), (0.0, 10.0)])
def test_known_weights_are_found(mu: float, rho: float) -> None:
    pairs = pairs_of(60, mu=mu, rho=rho)
    weights = best_weights(pairs)
    assert spearman(pairs.rewards(*weights), pairs.final) > 0.9999
    assert weights == pytest.approx((mu, rho), abs=0.4)


def test_of_equally_good_weights_the_nearest_to_zero_count() -> None:
    """Any small weights rank these the same."""
    pairs = Pairs(
        early=np.array([10.0, 20, 30, 40]),
        flops=np.array([3.0, 1, 2, 4]),
        density=np.array([1.0, 2, 1, 1]),
        final=np.array([1.0, 2, 3, 4]),
    )
    assert best_weights(pairs) == Weights(0, 0)
    turned = pairs._replace(final=np.array([2.0, 1, 3, 4]))  # the second is better than it looks
    mu, rho = best_weights(turned)
    assert spearman(turned.rewards(mu, rho), turned.final) == pytest.approx(1)
    assert spearman(turned.rewards(0.8 * mu, 0.8 * rho), turned.final) < 1


@pytest.mark.slow
def test_known_weights_are_recommended_with_what_they_gain() -> None:
    calibration = calibrated(pairs_of(40, mu=2, rho=-3))
    assert calibration.pairs == 40
    assert calibration.recommended == calibration.fit.weights
    assert calibration.fit.mu.low <= calibration.fit.mu.estimate <= calibration.fit.mu.high
    left_out = criterion(calibration, "fitted, left out")
    assert left_out.correlation.estimate > 0.98
    accuracy = criterion(calibration, "accuracy").correlation.estimate
    assert left_out.gain.estimate == pytest.approx(left_out.correlation.estimate - accuracy)
    assert left_out.gain.low > 0
    assert left_out.top_correlation.estimate > 0.95
    assert not any("fitted" in warning for warning in calibration.warnings)


@pytest.mark.usefixtures("few_refits")
def test_right_weights_that_were_given_stay() -> None:
    """Those that are fitted can rank left-out pairs no better."""
    calibration = calibrated(pairs_of(30, mu=2, rho=-3, noise=0.2), 2.0, -3.0)
    assert calibration.recommended == (2, -3)


@pytest.mark.usefixtures("few_refits")
def test_noise_is_not_taken_for_weights() -> None:
    """The fit gains in sample, as it must; what it gains on pairs left out decides."""
    calibration = calibrated(pairs_of(30, seed=3, mu=0, rho=0, noise=4))
    assert criterion(calibration, "fitted, in sample").gain.estimate > 0.02
    assert criterion(calibration, "fitted, left out").gain.low < 0
    assert calibration.recommended == (0, 0)
    assert any("may gain nothing" in warning for warning in calibration.warnings)


@pytest.mark.usefixtures("few_refits")
def test_wrong_weights_that_were_given_are_warned_of() -> None:
    calibration = calibrated(pairs_of(60, mu=-5, rho=0, noise=0.1), 20.0, 0.0)
    assert any(w.startswith("the given weights rank worse") for w in calibration.warnings)


@pytest.mark.usefixtures("few_refits")
def test_too_few_pairs_set_no_weights() -> None:
    calibration = calibrated(pairs_of(12, mu=5, rho=0))
    assert calibration.fit.mu.estimate != 0
    assert calibration.recommended == (0, 0)
    assert calibration.warnings[0].startswith("12 pairs are too few")


@pytest.mark.usefixtures("few_refits")
def test_fractions_are_warned_of_and_set_no_weights() -> None:
    pairs = pairs_of(40, mu=2, rho=-3)
    assert calibrated(pairs).recommended != (0, 0)
    fractions = pairs._replace(early=pairs.early / 100, final=pairs.final / 200)
    calibration = calibrated(fractions)
    assert calibration.warnings[0].startswith("no early-stop accuracy exceeds 1, and")
    assert calibration.warnings[1].startswith("no final accuracy exceeds 1")
    assert calibration.recommended == (0, 0)
    assert not any("exceeds 1" in warning for warning in calibrated(pairs).warnings)


@pytest.mark.usefixtures("few_refits")
def test_flops_are_said_to_rank_better_only_if_their_interval_says_so() -> None:
    def warning(count: int) -> str:
        pairs = pairs_of(count, seed=1, mu=0, rho=0)
        noise = np.random.default_rng(2).normal(size=count)
        calibration = calibrated(pairs._replace(final=70 + 5 * np.log(pairs.flops) + noise))
        gain = criterion(calibration, "largest first").gain
        assert gain.estimate > 0
        assert (gain.low > 0) == (count > 5)
        (said,) = [text for text in calibration.warnings if text.startswith("FLOPs alone")]
        return said

    assert "5 pairs cannot tell" in warning(5)
    assert "train for longer before the early stop" in warning(60)


@pytest.mark.usefixtures("few_refits")
def test_of_a_better_half_of_three_nothing_is_said() -> None:
    few, enough = (calibrated(pairs_of(count, mu=2, rho=0)) for count in (6, 8))
    assert (few.top_pairs, enough.top_pairs) == (3, 4)
    assert math.isnan(few.top_fit.mu.estimate)
    for one in few.criteria:
        assert math.isnan(one.top_correlation.estimate)
        assert math.isnan(one.top_gain.low)
    assert not math.isnan(criterion(enough, "accuracy").top_correlation.estimate)


@pytest.mark.usefixtures("few_refits")
def test_final_trainings_that_end_lower_set_no_weights() -> None:
    pairs = pairs_of(40, mu=2, rho=-3)
    calibration = calibrated(pairs._replace(final=pairs.final - 60))
    assert calibration.recommended == (0, 0)
    assert "end below" in calibration.reason


def test_a_left_out_pair_is_placed_by_the_others_weights() -> None:
    """All weights that rank the other nine have mu > 0, so that the tenth, which alone would turn
    the sign, takes the last place."""
    flops = np.exp(np.arange(10.0))
    final = np.arange(10.0)[::-1].copy()
    final[9] = 100
    early = np.array([5.0, 5.1, 5, 5.1, 5, 5.1, 5, 5.1, 5, 5.05])
    pairs = Pairs(early, flops, np.ones(10), final)
    places = left_out_places(pairs, np.random.default_rng(0))
    assert places[9] == 0


@pytest.mark.usefixtures("few_refits")
def test_regrets_by_hand() -> None:
    """Eleven pairs, so the first tenth are two. The accuracy puts a tie first, of which fewer
    FLOPs win."""
    early = np.array([60.0, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51])
    final = np.array([80.0, 82, 90, 81, 80, 80, 80, 80, 80, 80, 85])
    flops = np.array([9.0, 8, 1, 2, 3, 4, 5, 6, 7, 10, 11])
    calibration = calibrated(Pairs(early, flops, np.linspace(1, 2, 11), final))
    accuracy = criterion(calibration, "accuracy")
    assert (accuracy.regret, accuracy.regret_of_tenth) == (90 - 82, 90 - 82)
    largest = criterion(calibration, "largest first")
    assert (largest.regret, largest.regret_of_tenth) == (90 - 85, 90 - 85)


@pytest.mark.usefixtures("few_refits")
def test_the_better_half_is_by_early_accuracy() -> None:
    """Only there the ranks agree."""
    early = np.array([1.0, 2, 3, 4, 5, 6, 7, 8])
    final = np.array([14.0, 13, 12, 11, 15, 16, 17, 18])
    flops = np.array([3.0, 1, 2, 5, 4, 8, 6, 7])
    calibration = calibrated(Pairs(early, flops, np.linspace(1, 2, 8), final))
    assert criterion(calibration, "accuracy").top_correlation.estimate == pytest.approx(1)
    # 4, 8, 6, 7 against 1, 2, 3, 4: differences of ranks 0, 2, -1, -1
    largest = criterion(calibration, "largest first").top_correlation.estimate
    assert largest == pytest.approx(1 - 6 * (4 + 1 + 1) / (4 * 15))


@pytest.mark.usefixtures("few_refits")
def test_the_same_seed_says_the_same() -> None:
    pairs = pairs_of(20, mu=1, rho=1, noise=1)
    assert repr(calibrated(pairs)) == repr(calibrated(pairs))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"early": [50.0] * 5}, "all early-stop accuracies are 50"),
        ({"final": [90.0] * 5}, "all final accuracies are 90"),
        ({"flops": [1.0, 2, 3, 4, 0]}, "FLOPs and densities must be positive"),
        ({"final": [1.0, 2, 3, 4, math.nan]}, "must be finite"),
    ],
)
def test_pairs_that_say_nothing(changes: dict[str, list[float]], message: str) -> None:
    pairs = pairs_of(5, mu=1, rho=1)
    changed = pairs._replace(**{name: np.array(value) for name, value in changes.items()})
    with pytest.raises(ValueError, match=message):
        calibrated(changed)
    with pytest.raises(ValueError, match="at least 4 pairs, got 3"):
        calibrated(pairs.taken(np.arange(3)))
