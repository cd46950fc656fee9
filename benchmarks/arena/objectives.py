"""What a search is asked to maximise on a table of trained blocks.

The search sees the training of seed 0; it is judged by the mean of the other seeds, which it never
sees, so that luck with one training does not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from nsc_bench.table import Entry
from scipy.stats import spearmanr

from nni_blockqnn import Block, SearchSpace


@dataclass(frozen=True)
class Value:
    """An objective's value: as a search sees it, and as it is judged."""

    seen: float
    judged: float


@dataclass(frozen=True)
class Objective:
    """An objective over the blocks of a space that are in a table.

    Attributes:
        max_flops: larger blocks are illegal.
        match: the cost of every network, as a search takes it.
        best: the largest judged value of a legal block.
    """

    name: str
    space: SearchSpace
    find: Callable[[Block], Entry | None]
    value: Callable[[Entry], Value]
    max_flops: int | None = None
    best: float = math.inf
    best_seen: float = math.inf
    values: dict[str, Value | None] = field(default_factory=dict, compare=False, repr=False)
    match: dict[str, int] | None = None

    def __call__(self, block: Block) -> Value | None:
        """The block's value; ``None`` for one that is illegal or in no table."""
        if block.key not in self.values:
            trained = self.find(block)
            legal = trained is not None and (
                self.max_flops is None or trained.flops <= self.max_flops
            )
            self.values[block.key] = self.value(trained) if trained and legal else None
        return self.values[block.key]


def objectives(
    rows: Iterable[Entry], find: Callable[[Block], Entry | None], space: SearchSpace
) -> list[Objective]:
    """Accuracy, accuracy with the cost taken out, and accuracy under limits at three costs."""
    rows = list(rows)
    weight = neutral_weight(rows)
    flops = np.array([row.flops for row in rows])
    made = [
        Objective("accuracy", space, find, _accuracy),
        Objective("cost-neutral", space, find, lambda row: _minus_cost(row, weight)),
        *(
            Objective(
                f"limited to {100 * share:.0f} %",
                space,
                find,
                _accuracy,
                max_flops=int(np.quantile(flops, share)),
            )
            for share in (0.25, 0.5, 0.75)
        ),
    ]
    return [_with_best(objective, rows) for objective in made]


def neutral_weight(rows: list[Entry]) -> float:
    """The m with which accuracy - m ln FLOPs has rank correlation 0 with FLOPs in the table."""
    accuracy = np.array([np.mean(row.accuracies) for row in rows])
    log_flops = np.log([row.flops for row in rows])
    low, high = -100.0, 100.0
    for _ in range(50):
        middle = (low + high) / 2
        correlation = spearmanr(accuracy - middle * log_flops, log_flops)[0]
        low, high = (middle, high) if correlation > 0 else (low, middle)
    return (low + high) / 2


def _with_best(objective: Objective, rows: list[Entry]) -> Objective:
    values = [value for row in rows if (value := objective(row.block)) is not None]
    return Objective(
        objective.name,
        objective.space,
        objective.find,
        objective.value,
        objective.max_flops,
        best=max(value.judged for value in values),
        best_seen=max(value.seen for value in values),
        values=objective.values,
    )


def _accuracy(row: Entry) -> Value:
    return Value(row.accuracies[0], float(np.mean(row.accuracies[1:])))


def _minus_cost(row: Entry, weight: float) -> Value:
    cost = weight * math.log(row.flops)
    accuracy = _accuracy(row)
    return Value(accuracy.seen - cost, accuracy.judged - cost)
