"""The predictor learns from results which networks are promising."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playing import Experiment, layers_reward, space, tuner
from scipy.stats import spearmanr

from nni_blockqnn import Block, NetworkSpec, SearchSpace, estimate_cost
from nni_blockqnn.network.cost import Cost
from nni_blockqnn.predictor._features import LEAST_SPREADS, NUMBERS, Features, features
from nni_blockqnn.predictor._gaussian_process import GaussianProcess, Kernel, likeliest_kernel
from nni_blockqnn.predictor.guide import Guide, GuideSettings

SPEC = NetworkSpec("digits")
COST = Cost(flops=math.e**3, params=math.e**2, activations=1)


def _features(rows: str) -> Features:
    return features(Block.parse(rows), COST)


def _network(block: Block, repeats: int) -> Cost:
    return estimate_cost(block, SPEC.with_repeats(repeats))


# --- features


def test_numbers_of_the_residual_block() -> None:
    """Identity skipped: input, two convolutions, add, output; one leaf; density of the codes; two
    convolutions and two pixels on the way."""
    found = _features("[[1,4,0,0,0],[2,1,3,1,0],[3,1,3,2,0],[4,5,0,1,3]]")
    assert found.numbers == (3.0, 2.0, 5.0, 3.0, 1.0, 1.0, 2.0, 2.0, 2.0)
    assert len(found.numbers) == len(NUMBERS) == len(LEAST_SPREADS)


def test_convolutions_and_reach_are_of_paths() -> None:
    """A convolution, from which two poolings lead to one leaf, and two convolutions, of which the
    last is a depthwise one, to the other."""
    rows = "[[1,1,5,0,0],[2,2,3,1,0],[3,1,3,1,0],[4,3,3,2,0],[5,11,5,3,0],[6,6,0,4,5]]"
    assert _features(rows).numbers[4:] == (2.0, 1.0, 3.0, 1.0, 5.0)


def test_a_difference_of_rounding_in_the_cost_says_nothing() -> None:
    """At equal cost FLOPs differ by some percent, and by that must not tell networks apart."""
    rows = [f"[[1,1,{kernel},0,0]]" for kernel in (1, 3, 5)]
    results = np.array([1.0, 2.0, 3.0])

    def predicted(flops: list[float]) -> np.ndarray:
        networks = [
            features(Block.parse(text), Cost(int(1e6 * factor), 100, 1))
            for text, factor in zip(rows, flops, strict=True)
        ]
        return GaussianProcess(Kernel(1, 0.3, 1.0, 0.1), networks, results).predict(networks)[0]

    np.testing.assert_allclose(predicted([1.0, 1.001, 0.999]), predicted([1.0, 1.0, 1.0]), 1e-3)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("[[1,1,3,0,0]]", "[[1,4,0,0,0],[2,1,3,1,0]]"),
        ("[[1,1,3,0,0]]", "[[1,2,1,0,0],[2,1,3,1,0],[3,3,1,2,0]]"),
        (
            "[[1,1,1,0,0],[2,1,3,1,0],[3,2,3,1,0]]",
            "[[1,1,1,0,0],[2,1,3,1,0],[3,2,3,1,0],[4,6,0,2,3]]",
        ),
        (
            "[[1,1,1,0,0],[2,1,3,1,0],[3,2,3,1,0],[4,6,0,1,2],[5,6,0,3,4]]",
            "[[1,1,1,0,0],[2,1,3,1,0],[3,2,3,1,0],[4,6,0,2,3],[5,6,0,1,4]]",
        ),
    ],
)
def test_labels_are_those_of_the_function(one: str, other: str) -> None:
    np.testing.assert_array_equal(_features(one).labels, _features(other).labels)


@pytest.mark.parametrize(
    ("one", "other", "first_difference"),
    [
        ("[[1,1,3,0,0]]", "[[1,1,5,0,0]]", 0),
        ("[[1,1,3,0,0],[2,2,3,1,0]]", "[[1,2,3,0,0],[2,1,3,1,0]]", 1),
    ],
)
def test_labels_of_depth_h_see_h_layers(one: str, other: str, first_difference: int) -> None:
    same = (_features(one).labels == _features(other).labels).all(axis=1)
    assert list(same) == [depth < first_difference for depth in range(len(same))]


def test_labels_are_normalised_at_each_depth() -> None:
    labels = _features("[[1,1,3,0,0],[2,1,3,1,0],[3,5,0,1,2]]").labels
    np.testing.assert_allclose(np.square(labels).sum(axis=1), 1.0, rtol=1e-6)


# --- the process


def _some_networks(count: int, max_layers: int = 5) -> list[Features]:
    rng, blocks = np.random.default_rng(0), SearchSpace(max_layers=max_layers)
    keys: dict[str, Block] = {}
    while len(keys) < count:
        block = blocks.random_block(rng)
        keys.setdefault(block.key, block)
    return [features(block, _network(block, 1)) for block in keys.values()]


def test_with_little_noise_it_goes_through_the_results() -> None:
    networks = _some_networks(30)
    results = np.array([f.numbers[0] + f.numbers[4] for f in networks])
    process = GaussianProcess(Kernel(3, 0.5, 2.0, 1e-6), networks, results)
    mean, deviation = process.predict(networks)
    np.testing.assert_allclose(mean, results, atol=0.05 * results.std())
    assert deviation.max() < 0.1 * results.std()


def test_it_ranks_networks_that_it_has_not_seen() -> None:
    networks = _some_networks(150)
    rng = np.random.default_rng(1)
    worth = np.array([3 * f.numbers[0] - f.numbers[4] ** 2 for f in networks])
    results = worth + 0.2 * worth.std() * rng.normal(size=len(worth))
    kernel = likeliest_kernel(networks[:80], results[:80])
    mean, _ = GaussianProcess(kernel, networks[:80], results[:80]).predict(networks[80:])
    assert spearmanr(mean, worth[80:])[0] > 0.8


def test_an_awaited_network_moves_no_mean_but_is_less_uncertain() -> None:
    networks = _some_networks(40)
    results = np.array([f.numbers[0] for f in networks[:30]])
    process = GaussianProcess(Kernel(2, 0.5, 2.0, 0.1), networks[:30], results)
    mean, deviation = process.predict(networks[30:])
    mean_then, deviation_then = process.predict(networks[30:], pending=networks[30:31])
    np.testing.assert_array_equal(mean, mean_then)
    assert (deviation_then <= deviation + 1e-12).all()
    assert deviation_then[0] < 0.9 * deviation[0]


def test_equal_results_predict_themselves() -> None:
    networks = _some_networks(12)
    mean, deviation = GaussianProcess(
        likeliest_kernel(networks, np.full(12, 7.0)), networks, np.full(12, 7.0)
    ).predict(networks)
    np.testing.assert_allclose(mean, 7.0)
    assert np.isfinite(deviation).all()


# --- the guide


def _guide(results: int, **settings: int) -> Guide:
    guide = Guide(_network, GuideSettings(**settings))
    rng, blocks = np.random.default_rng(0), SearchSpace(max_layers=5)
    for _ in range(results):
        block = blocks.random_block(rng)
        guide.observe((block, 1), layers_reward(block))
    return guide


def test_promising_candidates_come_first() -> None:
    guide = _guide(100)
    blocks, rng = SearchSpace(max_layers=5), np.random.default_rng(1)
    candidates = [(blocks.random_block(rng), 1) for _ in range(60)]
    ranked = [layers_reward(block) for block, _ in guide.rank(candidates)]
    assert np.mean(ranked[:10]) > np.mean(ranked) > np.mean(ranked[-10:])
    assert sorted(ranked) == sorted(layers_reward(block) for block, _ in candidates)


def test_units_do_not_matter() -> None:
    blocks, rng = SearchSpace(max_layers=5), np.random.default_rng(1)
    candidates = [(blocks.random_block(rng), 1) for _ in range(30)]
    rankings = []
    for scale, offset in ((1.0, 0.0), (0.01, 0.0), (1.0, -1000.0)):
        guide = Guide(_network)
        for block, repeats in candidates[:20]:
            guide.observe((block, repeats), scale * layers_reward(block) + offset)
        rankings.append(guide.rank(candidates[20:]))
    assert rankings[0] == rankings[1] == rankings[2]


def test_what_it_says_does_not_depend_on_when_it_was_asked() -> None:
    asked, silent = _guide(0, trained_limit=30), _guide(0, trained_limit=30)
    blocks, rng = SearchSpace(max_layers=6), np.random.default_rng(2)
    for _ in range(80):
        block = blocks.random_block(rng)
        for guide in (asked, silent):
            guide.observe((block, 1), layers_reward(block))
        asked.prepare()
    candidates = [(blocks.random_block(rng), 1) for _ in range(30)]
    assert asked.rank(candidates) == silent.rank(candidates)


def test_of_many_results_it_keeps_the_best_and_the_newest() -> None:
    guide = _guide(60, trained_limit=20)
    results = guide._results
    kept = guide._selected(60, 20)
    assert len(kept) == 20
    assert {results[at] for at in kept} >= set(sorted(results)[-10:])
    assert set(range(60 - 5, 60)) <= set(kept)


# --- in the tuner

GUIDED: dict[str, Any] = {"predictor": "wl", "candidates": {"pool": 40}}
"""As trials of seconds have it; by default it would be four times as many here, and as slow."""


@pytest.mark.slow
def test_a_guided_search_finds_better_blocks_sooner() -> None:
    def best(seed: int, **class_args: object) -> float:
        made = tuner(space(max_layers=6), seed=seed, budget=60, **class_args)
        played = Experiment(made, 8).run(60)
        return max(result.reward for result in played.tuner.history)

    guided = [best(seed, **GUIDED) for seed in range(4)]
    random = [best(seed, epsilon_schedule=[[1.0, 1]]) for seed in range(4)]
    assert np.mean(guided) > np.mean(random)
    assert sum(g >= r for g, r in zip(guided, random, strict=True)) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("limits", [{}, {"max_params": 300_000}])
def test_a_guided_search_goes_on_after_a_kill(checkpoint: Path, limits: dict[str, int]) -> None:
    made = GUIDED | {"limits": limits, "budget": 60}
    killed = Experiment(tuner(**made)).run(25)
    resumed = Experiment(tuner(**made), first_id=100).run(10)
    assert resumed.sent == killed.run(10).sent[-10:]


@pytest.mark.slow
def test_a_guided_search_sends_no_network_twice_and_none_over_the_limits() -> None:
    limits = {"max_flops": 60_000_000}
    played = Experiment(tuner(**GUIDED, limits=limits), 8).run(50)
    spec = NetworkSpec("cifar100")
    blocks = [Block.parse(parameters["block"]) for parameters in played.sent]
    assert len({block.key for block in blocks}) == 50
    assert max(estimate_cost(block, spec).flops for block in blocks) <= 60_000_000


@pytest.mark.slow
def test_an_exhausted_space_ends_the_guided_search() -> None:
    played = Experiment(tuner(space(max_layers=3), **GUIDED), 4).run(60)
    assert played.exhausted
    assert len(played.sent) == 42


@pytest.mark.slow
def test_failed_trials_do_not_disturb_it() -> None:
    def end(played: Experiment, parameter_id: int) -> None:
        if parameter_id % 3 == 0:
            played.fail(parameter_id)
        else:
            played.finish(parameter_id)

    played = Experiment(tuner(space(max_layers=6), **GUIDED), 8).run(60, end)
    assert len(played.tuner.history) == 40
