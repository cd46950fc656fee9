"""Searches of the full space at equal cost, each result that of one short training.

The short training is the early stop's surrogate, noise included; each search has noise of its own.
Trials run one after the other, as in ``found_against_handmade.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from json_lines import read_lines

from arena.full_space import FullArena, load_full
from nni_blockqnn import Block, BlockSearch

ARENA = "CIFAR-10, 22 layers at equal cost"

_PREDICTOR: dict[str, Any] = {"predictor": "wl", "candidates": {"pool": 160}}
"""As in the real verdict: the candidates must not depend on how busy the machine is."""


def _candidates(**changed: Any) -> dict[str, Any]:
    return _PREDICTOR | {"candidates": _PREDICTOR["candidates"] | changed}


SEARCHES: dict[str, dict[str, Any]] = {
    "random": {"agent": "random"},
    "evolution": {"agent": "evolution"},
    "Q, tuned": {},
    "predictor": _PREDICTOR,
    "predictor after 50 random": _candidates(first_results=50),
    "predictor, fresh candidates": _candidates(mutant_share=0.2, splice_share=0.0, fresh_share=0.8),
    "predictor, Thompson": _PREDICTOR | {"predictor": "arena.guides:Thompson"},
    "predictor, families apart": _PREDICTOR | {"predictor": "arena.guides:Apart"},
    "predictor, wide": _PREDICTOR | {"predictor": "arena.guides:Wide"},
}
"""Arguments of :class:`BlockSearch` by name."""

REFERENCE = 55.86
"""The best final accuracy, in percent, at the end of six walks uphill of 200 steps each by what
blocks are worth in the end, which no search could do: ``load_full(ARENA).objectives()``. Drawn
errors are part of it, so there are better blocks yet; of the real ones the best has 55.98."""

ANY_LENGTH = ("random", "evolution")
"""Searches that do not ask how long they are: shorter ones are beginnings of longer ones."""


class Task(NamedTuple):
    """One search."""

    search: str
    trials: int
    seed: int


class Trial(NamedTuple):
    block: Block
    accuracy: float


def play(task: Task) -> Iterator[Trial]:
    """The search's trials, one after the other."""
    arena = load_full(ARENA)
    arguments = SEARCHES[task.search] | {"match": arena.match}
    search = BlockSearch(arena.space, seed=task.seed, budget=task.trials, **arguments)
    for _ in range(task.trials):
        suggestion = search.ask()
        assert suggestion is not None, "the space is not exhausted"
        accuracy = early(arena, suggestion.block, task.seed)
        search.tell(suggestion.episode, accuracy, {"accuracy": accuracy, "rho": 0.0})
        yield Trial(suggestion.block, accuracy)


def early(arena: FullArena, block: Block, seed: int) -> float:
    """What a short training shows in the search of this seed, in percent."""
    return arena.surrogate.early.accuracy(block, seed)


def record(task: Task, trials: Iterator[Trial]) -> dict[str, Any]:
    """A search as JSON; its accuracies follow from its blocks."""
    return task._asdict() | {"blocks": [trial.block.to_json() for trial in trials]}


def read(path: Path) -> dict[Task, list[str]]:
    """The blocks of each search."""
    return {
        Task(*(line[name] for name in Task._fields)): line["blocks"] for line in read_lines(path)
    }
