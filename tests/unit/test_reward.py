"""The reward, worked out by hand (paper, Section 3.3)."""

from __future__ import annotations

import math

import pytest

from nni_blockqnn import reward


def test_by_hand() -> None:
    assert reward(70.0, 1_000_000, 1.0) == pytest.approx(70.0)  # both logarithms vanish
    assert reward(70.0, 100_000_000, 1.0) == pytest.approx(70 - 2 * math.log(10))  # ln(1e8 / 1e6)
    assert reward(70.0, 1_000_000, 2.0) == pytest.approx(70 - 5.545177)  # 8 ln 2
    assert reward(70.0, 1_000_000, 2 / 3) == pytest.approx(70 + 3.243721)  # -8 ln(2/3)
    assert reward(70.0, 2_000_000, 0.5, mu=3.0, rho=2.0) == pytest.approx(70 - 1.0 * math.log(2))


def test_weights_of_zero_leave_the_accuracy() -> None:
    assert reward(63.5, 123_456_789, 1.7, mu=0.0, rho=0.0) == 63.5


def test_a_negative_mu_rewards_size() -> None:
    assert reward(50.0, 10**9, 1.0, mu=-1.0) > reward(50.0, 10**6, 1.0, mu=-1.0)


def test_flops_beyond_64_bits() -> None:
    assert reward(70.0, 10**400, 1.0) == pytest.approx(70 - 394 * math.log(10))


@pytest.mark.parametrize(
    ("flops", "density"), [(0, 1.0), (-5, 1.0), (10, 0.0), (10, -1.0), (10, math.nan)]
)
def test_what_has_no_logarithm_is_refused_with_its_value(flops: int, density: float) -> None:
    with pytest.raises(ValueError, match=f"flops={flops}, density={density}"):
        reward(50.0, flops, density)
