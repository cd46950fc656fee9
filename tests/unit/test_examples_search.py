"""The examples of an own agent and an own predictor, through NNI's methods and the arena."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from arena.objectives import Objective, Value
from arena.play import play
from arena.players import RandomSearch, Search
from playing import Experiment, layers_reward, space, tuner

from nni_blockqnn import Block, BlockSearch, SearchSpace
from nni_blockqnn.blocks.layer import Layer
from nni_blockqnn.predictor.predictor import Network, Predictor
from nni_blockqnn.q_learning._evolution import EvolutionAgent
from nni_blockqnn.q_learning.agent import Agent, RandomAgent
from nni_blockqnn.q_learning.replay import Experience
from nni_blockqnn.q_learning.search import Suggestion

EXAMPLES = Path(__file__).parents[2] / "examples"
FEW = {"pool": 40}
"""Candidates that a predictor ranks, as in searches whose trials take seconds."""


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a configuration's codeDirectory makes them."""
    for folder in ("own_agent", "own_predictor"):
        monkeypatch.syspath_prepend(str(EXAMPLES / folder))


@pytest.mark.parametrize("name", ["own_agent/evolution.py", "own_predictor/nearest.py"])
def test_an_example_is_short(name: str) -> None:
    assert len((EXAMPLES / name).read_text().splitlines()) < 60


def test_the_loop_of_ask_and_tell_runs() -> None:
    run = subprocess.run(
        [sys.executable, str(EXAMPLES / "ask_and_tell.py")],
        capture_output=True,
        text=True,
        check=True,
    )
    rewards = [float(line.split()[0]) for line in run.stdout.splitlines()]
    assert len(rewards) == 3
    assert rewards == sorted(rewards, reverse=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [{"agent": "evolution:Evolution"}, {"predictor": "nearest:Nearest", "candidates": FEW}],
)
def test_an_own_part_searches_through_nnis_methods(arguments: dict[str, Any]) -> None:
    played = Experiment(tuner(space(max_layers=8), budget=80, **arguments), 4).run(80)
    rewards = [result.reward for result in played.tuner.history]
    assert len(rewards) == 80
    assert np.mean(rewards[-20:]) > np.mean(rewards[:10]), "it learns"
    again = Experiment(tuner(space(max_layers=8), budget=80, **arguments), 4).run(30)
    assert again.sent == played.sent[:30]


def test_the_example_is_the_packages_evolution() -> None:
    from evolution import Evolution

    def sent(agent: Any) -> list[Block]:
        search, blocks = BlockSearch(SearchSpace(max_layers=8), agent=agent, seed=3), []
        for _ in range(60):
            suggestion = search.ask()
            assert suggestion is not None
            search.tell(suggestion.episode, layers_reward(suggestion.block))
            blocks.append(suggestion.block)
        return blocks

    assert sent(Evolution) == sent(EvolutionAgent) == sent("evolution")
    assert sent("evolution")[:25] == sent("random")[:25] != sent("q")[:25]


def test_an_own_agent_plays_in_the_arena() -> None:
    objective = Objective(
        "layers",
        SearchSpace(max_layers=10),
        find=lambda block: cast(Any, block),  # the entry of a table that has every block
        value=lambda block: Value(*2 * (layers_reward(cast(Any, block)),)),
    )
    found = {}
    for name, player in (
        ("own", Search(objective, 0, 120, agent="evolution:Evolution")),
        ("random", RandomSearch(objective, np.random.default_rng(0))),
    ):
        played = play(player, objective, 120, 4, np.random.default_rng(1))
        assert len(set(played.blocks)) == 120
        found[name] = max(played.seen)
    assert found["own"] > found["random"]


class _Faulty(RandomAgent):
    """Every second proposal is a fault of its own kind."""

    calls = 0

    def propose(self, epsilon: float, rng: np.random.Generator) -> Block:
        self.calls += 1
        if self.calls % 4 == 1:
            raise ZeroDivisionError("by nothing")
        if self.calls % 4 == 3:
            return Block.parse([[1, 1, 5, 0, 0]])  # the space has no 5x5
        return super().propose(epsilon, rng)


def test_an_agent_that_fails_is_named_and_the_search_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    search = BlockSearch(SearchSpace(max_layers=6, conv_kernels=(1, 3)), agent=_Faulty, seed=0)
    for _ in range(20):
        suggestion = search.ask()
        assert suggestion is not None
        assert search.space.contains(suggestion.block)
        search.tell(suggestion.episode, 50.0)
    assert "_Faulty failed: ZeroDivisionError: by nothing. A random block takes" in caplog.text
    assert "_Faulty failed: InvalidBlockError: row 1" in caplog.text


class _FaultyEverywhere(RandomAgent):
    def observe(self, experience: Experience) -> None:
        raise KeyError("observe")

    def recall(self, experience: Experience) -> None:
        raise KeyError("recall")

    def choose_repeats(
        self, choices: tuple[int, ...], epsilon: float, rng: np.random.Generator
    ) -> int:
        return 7


class _ForwardReading(RandomAgent):
    def propose(self, epsilon: float, rng: np.random.Generator) -> Block:
        return Block((Layer(1, 1, 3, 2, 0), Layer(2, 1, 3, 1, 0)))


class _FaultyPredictor(Predictor):
    fault = "rank"

    def observe(self, network: Network, result: float) -> None:
        if self.fault == "observe":
            raise KeyError("observe")

    def prepare(self) -> None:
        if self.fault == "prepare":
            raise KeyError("prepare")

    def rank(self, candidates: Sequence[Network], pending: Sequence[Network]) -> list[Network]:
        if self.fault == "rank":
            raise KeyError("rank")
        return [(Block.parse([[1, 1, 1, 0, 0]]), 99)] if self.fault == "foreign" else [*candidates]

    def mean(self, networks: Sequence[Network]) -> np.ndarray:
        if self.fault == "mean":
            raise KeyError("mean")
        return np.zeros(len(networks) + 1 if self.fault == "shape" else len(networks))


def _searched(**arguments: Any) -> BlockSearch:
    search = BlockSearch(SearchSpace(max_layers=4, repeats=(1, 2)), seed=0, **arguments)
    for _ in range(40):
        suggestion = search.ask()
        assert suggestion is not None
        assert search.space.parse(suggestion.block) == suggestion.block
        assert suggestion.repeats in (1, 2)
        search.tell(suggestion.episode, layers_reward(suggestion.block))
        search.prepare()
    assert len(search.history) == 40
    assert len(search.best(3)) == 3
    return search


def test_no_method_of_an_own_agent_ends_the_search(caplog: pytest.LogCaptureFixture) -> None:
    search = _searched(agent=_FaultyEverywhere, repeats_rule="agent")
    assert "_FaultyEverywhere failed: KeyError: 'observe'. It has not learnt" in caplog.text
    assert "N must be one of (1, 2), got 7. N is drawn at random" in caplog.text
    block = search.history[0].block
    recalled = (Experience(block, 1, 3.0),)
    search.record_suggestion(Suggestion(40, block, 1, 1.0, recalled))
    assert "_FaultyEverywhere failed: KeyError: 'recall'" in caplog.text


def test_a_block_that_reads_what_comes_later_is_not_trained(
    caplog: pytest.LogCaptureFixture,
) -> None:
    _searched(agent=_ForwardReading)
    assert "_ForwardReading failed: InvalidBlockError: row 1" in caplog.text


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("observe", "KeyError: 'observe'. It has not learnt from this result"),
        ("prepare", "KeyError: 'prepare'. It tries again at the next suggestion"),
        ("rank", "KeyError: 'rank'. The agent's next block is taken"),
        ("foreign", "rank must return candidates, got ("),
        ("mean", "KeyError: 'mean'. Results are picked by their own rewards"),
        ("shape", "mean must be (40,), got shape (41,)"),
    ],
)
def test_no_method_of_an_own_predictor_ends_the_search(
    fault: str,
    message: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_FaultyPredictor, "fault", fault)
    search = _searched(predictor=_FaultyPredictor, candidates=FEW)
    assert f"_FaultyPredictor failed: {message}" in caplog.text.replace("ValueError: ", "")
    if fault in ("mean", "shape"):
        rewards = [result.reward for result in search.history]
        assert search.best(1)[0].reward == max(rewards)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"agent": "gone:Agent"}, "cannot load an agent from 'gone:Agent': there is no module"),
        ({"agent": "collections:Counter"}, "an agent must be a subclass of Agent, got <class"),
        (
            {"predictor": "evolution:Evolution"},
            "a predictor must be a subclass of Predictor",
        ),
        ({"predictor": "nearest:Farthest"}, "has no Farthest"),
        ({"agent": Agent}, "cannot make an agent of Agent: .*abstract"),
    ],
)
def test_what_cannot_be_loaded_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BlockSearch(SearchSpace(), **arguments)
