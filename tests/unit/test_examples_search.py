"""The examples of an own agent and an own predictor, through NNI's methods and the arena."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from arena.objectives import Objective, Value
from arena.play import play
from arena.players import RandomSearch, Search
from playing import Experiment, layers_reward, space, tuner

from nni_blockqnn import Block, BlockSearch, SearchSpace
from nni_blockqnn.q_learning._evolution import EvolutionAgent
from nni_blockqnn.q_learning.agent import Agent, RandomAgent

EXAMPLES = Path(__file__).parents[2] / "examples"


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
    "arguments", [{"agent": "evolution:Evolution"}, {"predictor": "nearest:Nearest"}]
)
def test_an_own_part_searches_through_nnis_methods(arguments: dict[str, Any]) -> None:
    played = Experiment(tuner(space(max_layers=8), budget=80, **arguments), 4).run(80)
    rewards = [result.reward for result in played.tuner.history]
    assert len(rewards) == 80
    assert np.mean(rewards[-20:]) > np.mean(rewards[:10]), "it learns"
    again = Experiment(tuner(space(max_layers=8), budget=80, **arguments), 4).run(80)
    assert again.sent == played.sent


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
    assert "The agent _Faulty failed: ZeroDivisionError: by nothing" in caplog.text
    assert "The agent _Faulty proposed what is no block of the space: [[1,1,5,0,0]" in caplog.text


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
