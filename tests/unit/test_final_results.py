"""A few long trainings correct what early ones let expect, family by family."""

from __future__ import annotations

import numpy as np
import pytest

from nni_blockqnn import Block, NetworkSpec, estimate_cost
from nni_blockqnn.network.cost import Cost
from nni_blockqnn.predictor.final_results import FinalResults
from nni_blockqnn.predictor.guide import Guide
from nni_blockqnn.predictor.predictor import Network

SPEC = NetworkSpec("digits")
KERNELS = (1, 3, 5)
CHAINS: list[Network] = [
    (Block.parse([[1, 1, a, 0, 0], [2, 1, b, 1, 0], [3, 1, c, 2, 0], [4, 1, a, 3, 0]]), 1)
    for a in KERNELS
    for b in KERNELS
    for c in KERNELS
]
FANS: list[Network] = [
    (Block.parse([[1, 1, a, 0, 0], [2, 2, 3, 1, 0], [3, 1, b, 1, 0], [4, 3, 3, 1, 0]]), 1)
    for a in KERNELS
    for b in KERNELS
]


def _cost(block: Block, repeats: int) -> Cost:
    return estimate_cost(block, SPEC.with_repeats(repeats))


def _early(scale: float = 1.0) -> Guide:
    """Chains reach about 41 and fans 40, both with some noise."""
    guide, rng = Guide(_cost), np.random.default_rng(0)
    for networks, level in ((CHAINS, 41.0), (FANS, 40.0)):
        for network in networks:
            guide.observe(network, scale * (level + rng.normal() * 0.3))
    return guide


def _final(scale: float = 1.0) -> FinalResults:
    """Chains end at 50 and fans at 53."""
    final = FinalResults(_early(scale), scale * 0.6)
    for networks, level in ((CHAINS, 50.0), (FANS, 53.0)):
        for network in networks[:2]:
            final.observe(network, scale * level)
    return final


def test_what_a_family_gains_is_expected_of_its_other_members() -> None:
    chains, fans = (_final().predict(networks[2:]).mean for networks in (CHAINS, FANS))
    assert fans.min() > chains.max(), "though early results say otherwise"
    assert fans.mean() > 51.5
    assert set(_final().rank([*CHAINS[2:], *FANS[2:]])[:5]) < set(FANS)


def test_with_one_long_result_the_early_ones_decide() -> None:
    early = _early()
    final = FinalResults(early, 0.6)
    final.observe(CHAINS[0], 50.0)
    mean, deviation = final.predict(CHAINS)
    assert mean[0] == pytest.approx(50.0, abs=1e-3)
    assert np.corrcoef(mean, early.mean(CHAINS))[0, 1] > 0.9
    assert deviation[0] == deviation.min()


def test_more_trainings_of_one_network_make_it_surer() -> None:
    final = _final()
    once = final.predict(FANS[:1])
    for _ in range(2):
        final.observe(FANS[0], 53.0)
    assert final.predict(FANS[:1]).deviation < once.deviation


def test_units_do_not_matter() -> None:
    small, large = (_final(scale).predict(FANS) for scale in (1.0, 1000.0))
    np.testing.assert_allclose(large.mean / 1000, small.mean, rtol=1e-4)
    np.testing.assert_allclose(large.deviation / 1000, small.deviation, rtol=1e-2)


def test_without_a_long_result_nothing_is_predicted() -> None:
    with pytest.raises(ValueError, match="no long results yet"):
        FinalResults(_early(), 0.0).predict(FANS)
