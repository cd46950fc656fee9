"""Action values Q(s, a); only those that were ever updated take memory."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

_ROUNDING = 1e-9

State = Hashable
Action = TypeVar("Action", bound=Hashable)


class Entry(NamedTuple):
    """A value that was updated ``visits`` times."""

    state: State
    action: Hashable
    value: float
    visits: int


class QTable:
    """A table over states and actions, in which unknown values are ``initial_q``."""

    def __init__(self, initial_q: float, entries: Iterable[Entry] = ()) -> None:
        self.initial_q = initial_q
        self._values: dict[State, dict[Any, float]] = {}
        self._visits: dict[tuple[State, Hashable], int] = {}
        for state, action, value, visits in entries:
            self._values.setdefault(state, {})[action] = value
            self._visits[state, action] = visits

    def entries(self) -> Iterator[Entry]:
        """All values that were ever updated."""
        for (state, action), visits in self._visits.items():
            yield Entry(state, action, self._values[state][action], visits)

    def value(self, state: State, action: Hashable) -> float:
        return self._values.get(state, {}).get(action, self.initial_q)

    def visits(self, state: State, action: Hashable) -> int:
        """How often the value was updated."""
        return self._visits.get((state, action), 0)

    def maximum(self, state: State, action_count: int) -> float:
        """max over a of Q(s, a), if the state has ``action_count`` legal actions."""
        known = self._values.get(state)
        if not known:
            return self.initial_q
        best = max(known.values())
        return best if len(known) >= action_count else max(best, self.initial_q)

    def greedy(self, state: State, actions: Sequence[Action], rng: np.random.Generator) -> Action:
        """One of ``actions`` of the highest value; ties are broken at random.

        Values that differ by rounding alone tie, so that the unit of the rewards decides nothing.
        """
        ties = self._quick_best(state, actions) or self._best(state, actions)
        return ties[int(rng.integers(len(ties)))]

    def _quick_best(self, state: State, actions: Sequence[Action]) -> Sequence[Action]:
        """Empty if known and unknown actions might tie, or where ``actions`` lack the best.

        A large space has hundreds of actions, few of them known, so that looking at each one's
        value takes most of a search's time.
        """
        known = self._values.get(state)
        if not known:
            return actions
        best = max(known.values())
        if _least_tie(best) > self.initial_q:
            ties = [action for action, value in known.items() if value >= _least_tie(best)]
            return [action for action in ties if action in actions]
        if best < _least_tie(self.initial_q):
            return [action for action in actions if action not in known]
        return []

    def _best(self, state: State, actions: Sequence[Action]) -> list[Action]:
        known = self._values.get(state, {})
        values = [known.get(action, self.initial_q) for action in actions]
        least = _least_tie(max(values))
        return [action for action, value in zip(actions, values, strict=True) if value >= least]

    def update(self, state: State, action: Hashable, target: float, step: float) -> None:
        """Q(s, a) <- (1 - step) Q(s, a) + step target."""
        old = self.value(state, action)
        self._values.setdefault(state, {})[action] = (1 - step) * old + step * target
        self._visits[state, action] = self.visits(state, action) + 1


def _least_tie(best: float) -> float:
    return best - _ROUNDING * max(1.0, abs(best))
