"""The tuner's arguments: what is taken, what is refused and in which words."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from nni import ClassArgsValidator

from nni_blockqnn.exchange.class_args import BlockQNNClassArgsValidator, check_class_args
from nni_blockqnn.q_learning.arguments import RULES, SearchArguments
from nni_blockqnn.q_learning.settings import PRESETS, TABLE_2, AgentSettings
from nni_blockqnn.tuner import BlockQNNTuner

HUGE = 10**400

GOOD: dict[str, list[Any]] = {
    "preset": ["tuned", "paper"],
    "budget": [1, 11_392],
    "seed": [0, 2**40],
    "epsilon_schedule": [[[1.0, 95], [0.1, 12]], [(0, 0.5)], ((1, 1),)],
    "batch_size": [1, 64],
    "learning_rate": [0.01, 1, 1.0],
    "step_size": ["constant", "visits"],
    "discount": [0, 0.9, 1],
    "initial_q": [0, -3.5, 50],
    "replay_updates": [0, 64],
    "replay_capacity": [1, 100_000],
    "reward_shaping": [True, False],
    "standardise": [True, False],
    "exploration": ["type", "kernel", "uniform"],
    "agent": ["q", "random", "evolution"],
    "predictor": [None, "wl"],
    "candidates": [{}, {"pool": 200, "mutant_share": 0.6}],
    "limits": [{}, {"max_params": 10_000_000}, {"max_flops": 1, "max_activations": 2}],
    "match": [{"flops": 40_000_000}, {"params": 1}, {"flops": "residual"}],
    "start_blocks": [[], ["residual", [[1, 1, 3, 0, 0]]], ("inception", "[[1,1,3,0,0]]")],
    "repeats_rule": ["largest", "agent"],
    "known_blocks": ["replay", "train"],
    "optimize_mode": ["maximize", "minimize"],
}

AN_INTEGER = ["x", 1.0, True, None, [1]]
A_NUMBER = ["0.5", True, None, float("nan"), float("inf"), HUGE, [0.5]]

BAD: dict[str, tuple[str, list[Any]]] = {
    "preset": ("one of paper, tuned", ["papers", 1, ["tuned"], True, {}]),
    "budget": ("an integer of at least 1", [0, -1, "x", 1.0, True, [1]]),
    "seed": ("an integer of at least 0", [-1, "x", 1.0, False, [1]]),
    "epsilon_schedule": (
        "a list of [epsilon from 0 to 1, iterations above 0] pairs",
        [
            [],
            "1.0",
            5,
            [1.0, 95],
            [[1.0]],
            [[1.0, 95, 3]],
            [[1.1, 5]],
            [[-0.1, 5]],
            [[0.5, 0]],
            [[0.5, -1]],
            [[0.5, float("inf")]],
            [[float("nan"), 5]],
            [["1", 5]],
            [[True, 5]],
            [[1.0, 5], None],
            {"1.0": 95},
        ],
    ),
    "batch_size": ("an integer of at least 1", [0, *AN_INTEGER]),
    "learning_rate": ("a number in (0, 1]", [0, -0.1, 1.1, *A_NUMBER]),
    "step_size": ("one of constant, visits", ["constants", 1, None, ["visits"]]),
    "discount": ("a number in [0, 1]", [-0.1, 1.1, *A_NUMBER]),
    "initial_q": ("a finite number", A_NUMBER),
    "replay_updates": ("an integer of at least 0", [-1, *AN_INTEGER]),
    "replay_capacity": ("an integer of at least 1", [0, *AN_INTEGER]),
    "reward_shaping": ("true or false", [0, 1, "true", None]),
    "standardise": ("true or false", [0, 1, "yes", None]),
    "exploration": ("one of type, kernel, uniform", ["types", None, 0, []]),
    "agent": ("one of q, random, evolution", ["Q", None, 0, "module:", int]),
    "predictor": ("one of wl", ["gp", True, 0, str]),
    "candidates": ("an object of numbers of candidates", [5, "x", [["pool", 5]], None]),
    "limits": ("an object of limits", [5, "x", [["max_params", 5]], True]),
    "match": ('{"flops": N} or {"params": N}', [5, "residual", [["flops", 5]], True]),
    "start_blocks": ("a list of names or structure codes", ["residual", 5, {"residual": 1}, True]),
    "repeats_rule": ("one of largest, agent", ["smallest", None, 2]),
    "known_blocks": ("one of replay, train", ["skip", None, True]),
    "optimize_mode": ("one of maximize, minimize", ["maximise", None, 1]),
}


def test_every_argument_has_its_cases() -> None:
    """All of DESIGN.md's, and the settings of the agent, which are arguments too."""
    assert set(GOOD) == set(BAD) == set(RULES) >= set(AgentSettings._fields)


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in GOOD.items() for value in values]
)
def test_a_good_value_is_taken(name: str, value: Any) -> None:
    expected = {} if value is None else {name: value}
    assert check_class_args({name: value}) == expected
    BlockQNNTuner(**{name: value})


@pytest.mark.parametrize(
    ("name", "allowed", "value"),
    [(name, allowed, value) for name, (allowed, values) in BAD.items() for value in values],
    ids=repr,
)
def test_a_bad_value_is_refused_with_name_value_and_what_is_allowed(
    name: str, allowed: str, value: Any
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        check_class_args({name: value})
    words = allowed.split(" of ")[0] if allowed.startswith("one of") else allowed
    assert str(caught.value).startswith(f"tuner argument {name} must be {words}")
    if value is not HUGE:
        assert str(caught.value).endswith(f"got {value!r}")
    with pytest.raises(ValueError, match=f"tuner argument {name} must be"):
        BlockQNNTuner(**{name: value})


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            {"max_param": 5},
            "limit 'max_param' is unknown; allowed are max_params, max_flops, max_ac",
        ),
        ({1: 5}, "limit 1 is unknown"),
        ({"max_params": 0}, "limit max_params must be an integer of at least 1, got 0"),
        ({"max_flops": 1e6}, "limit max_flops must be an integer of at least 1, got 1000000.0"),
        ({"max_flops": "10M"}, "limit max_flops must be an integer of at least 1, got '10M'"),
        ({"max_params": None}, "limit max_params must be an integer of at least 1, got None"),
        (
            {"max_activations": True},
            "limit max_activations must be an integer of at least 1, got Tr",
        ),
    ],
)
def test_a_bad_limit_is_refused(limits: dict[Any, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        check_class_args({"limits": limits})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("match", "message"),
    [
        ({}, 'match must be {"flops": N} or {"params": N}, N a number or residual or inception'),
        ({"flops": 1, "params": 1}, 'match must be {"flops": N} or {"params": N}'),
        ({"macs": 5}, 'match must be {"flops": N} or {"params": N}'),
        ({5: 5}, 'match must be {"flops": N} or {"params": N}'),
        ({"flops": 0}, "match flops must be an integer from 1 to 9223372036854775807, got 0"),
        ({"flops": 4e7}, "match flops must be an integer from 1 to 9223372036854775807, got 40000"),
        ({"flops": "4e7"}, "match flops must be an integer from 1 to 9223372036854775807, got '4e"),
        ({"params": True}, "match params must be an integer from 1 to"),
        ({"params": None}, "match params must be an integer from 1 to"),
        ({"params": 2**63}, "match params must be an integer from 1 to"),
        ({"flops": "residul"}, "match flops: no block is called 'residul', but residual or incep"),
        ({"flops": "x"}, "match flops: no block is called 'x', but residual or inception"),
    ],
)
def test_a_bad_match_is_refused(match: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        check_class_args({"match": match})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ({"pools": 5}, "number of candidates 'pools' is unknown; allowed are agent_draws, whole_"),
        ({"pool": 0}, "number of candidates pool must be an integer of at least 1, got 0"),
        ({"pool": 10**9}, "number of candidates pool must be at most 10000, got 1000000000"),
        ({"mutant_share": 2}, "number of candidates mutant_share must be a number in [0, 1], got"),
    ],
)
def test_a_bad_number_of_candidates_is_refused(candidates: dict[Any, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        check_class_args({"candidates": candidates})
    assert str(caught.value).startswith(message)


def test_the_search_and_the_tuner_take_the_same_arguments() -> None:
    shown = inspect.signature(BlockQNNTuner).parameters
    assert set(shown) - {"unknown"} == set(RULES)
    assert "<the preset's>" in str(inspect.signature(BlockQNNTuner))


@pytest.mark.parametrize("name", ["epsilon", "Seed", "", "max_params", "{braces}"])
def test_an_unknown_argument_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(ValueError, match="is unknown; allowed are preset, budget, seed") as caught:
        check_class_args({name: 1})
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("value", ["{", "{0}", "{name}", "%s", "x" * 10_000])
def test_values_with_braces_and_long_ones_do_no_harm(value: str) -> None:
    with pytest.raises(ValueError, match="tuner argument preset must be one of") as caught:
        check_class_args({"preset": value})
    assert len(str(caught.value)) < 200


# --- presets


def _settings(class_args: dict[str, Any]) -> AgentSettings:
    return SearchArguments.of(class_args).settings


def test_the_presets() -> None:
    paper = PRESETS["paper"]
    assert paper.epsilon_schedule == TABLE_2
    assert (paper.learning_rate, paper.discount, paper.batch_size) == (0.01, 1.0, 64)
    assert (paper.replay_updates, paper.reward_shaping, paper.standardise) == (64, True, False)
    assert PRESETS["tuned"].standardise is True


def test_tuned_is_the_default() -> None:
    assert _settings({}) == PRESETS["tuned"]
    assert _settings({"preset": None}) == PRESETS["tuned"]
    assert _settings({"preset": "paper"}) == PRESETS["paper"]


def test_an_argument_beside_a_preset_wins() -> None:
    settings = _settings({"preset": "paper", "batch_size": 8, "standardise": True})
    assert settings == PRESETS["paper"]._replace(batch_size=8, standardise=True)


def test_a_schedule_of_lists_becomes_one_of_tuples() -> None:
    settings = _settings({"epsilon_schedule": [[1, 5], [0.5, 2]]})
    assert settings.epsilon_schedule == ((1.0, 5.0), (0.5, 2.0))


@pytest.mark.parametrize(
    "name",
    [
        *("preset", "budget", "seed", "epsilon_schedule", "limits", "predictor"),
        *("match", "start_blocks"),
    ],
)
def test_none_says_the_same_as_leaving_out(name: str) -> None:
    assert check_class_args({name: None, "batch_size": 4}) == {"batch_size": 4}


# --- NNI


def test_nnis_validator() -> None:
    validator = BlockQNNClassArgsValidator()
    assert isinstance(validator, ClassArgsValidator)
    validator.validate_class_args()
    validator.validate_class_args(preset="paper", budget=100, limits={"max_params": 5})
    with pytest.raises(ValueError, match="tuner argument budget must be an integer of at least 1"):
        validator.validate_class_args(budget=0)
