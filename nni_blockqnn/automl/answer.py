"""What a search has found: the winner beside the hand-made blocks, tested once."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nni_blockqnn.automl._chosen import Winner
from nni_blockqnn.automl._words import in_words, interval
from nni_blockqnn.blocks.block import Block, parse_block
from nni_blockqnn.blocks.named import name_of
from nni_blockqnn.network.cost import estimate_cost

_FAR = 1.0
"""Points between the accuracy and the mean of the classes' own, from which on both are said."""


@dataclass(frozen=True)
class Row:
    """One network that was trained on all training data.

    Attributes:
        name: "winner", "residual" or "inception".
        block: its structure codes as JSON text.
        validated: what the finalist was chosen by, in percent, on validation images.
        accuracy: on the test images, in percent.
        low, high: the 95 % interval of it (Wilson).
        balanced_accuracy: mean of the classes' accuracies on the test images, in percent.
        width: filters of its first stage.
        cost: at which it is compared, in multiply-accumulates; None if it is at none.
        exported: the name of its exported folder; None for a hand-made block beside a winner.
    """

    name: str
    block: str
    validated: float
    accuracy: float
    low: float
    high: float
    balanced_accuracy: float
    flops: int
    params: int
    width: int
    cost: int | None = None
    exported: str | None = None


@dataclass(frozen=True)
class Answer:
    """What a search has found.

    Attributes:
        rows: the winner of the search's own cost first.
        tested: test images.
        seconds: that it took; of a search that was cut off, those of its stages at least.
        planned_seconds: None if the configuration was a user's own.
        experiments: NNI's IDs by stage.
    """

    data: str
    rows: tuple[Row, ...]
    tested: int
    epochs: int
    trials: int
    seconds: float
    experiments: Mapping[str, str]
    planned_seconds: float | None = None

    @property
    def winner(self) -> Row:
        return self.rows[0]

    @property
    def block(self) -> Block:
        return parse_block(self.winner.block)

    @property
    def frontier(self) -> tuple[Answer, ...]:
        """The answer apart for each cost at which blocks are compared, the smallest first."""
        costs = sorted({row.cost or 0 for row in self.rows})
        return tuple(
            replace(self, rows=tuple(row for row in self.rows if (row.cost or 0) == cost))
            for cost in costs
        )

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Answer:
        """
        Raises:
            ValueError: if it is no answer of this version.
        """
        try:
            fields = json.loads(text)
            rows = tuple(Row(**row) for row in fields.pop("rows"))
            return cls(rows=rows, **fields)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it is no result of blockqnn search: {error}") from None

    def to_csv(self) -> str:
        written = io.StringIO()
        columns = [name for name in asdict(self.winner) if name != "block"]
        writer = csv.writer(written, lineterminator="\n")
        writer.writerow([*columns, "block"])
        for row in self.rows:
            values = asdict(row)
            writer.writerow([*(values[name] for name in columns), values["block"]])
        return written.getvalue()


def row_of(winner: Winner, facts: Mapping[str, Any], tested: int) -> Row:
    """
    Args:
        facts: what ``network.json`` says of its training.
        tested: test images.
    """
    cost = estimate_cost(winner.block, winner.task.spec)
    accuracy = float(facts["test_accuracy"])
    low, high = interval(accuracy, tested)
    return Row(
        winner.name,
        winner.block.to_json(),
        round(winner.validated, 4),
        round(accuracy, 4),
        round(low, 4),
        round(high, 4),
        round(float(facts.get("test_balanced_accuracy", accuracy)), 4),
        cost.flops,
        cost.params,
        winner.task.spec.filters[0],
        winner.cost,
        winner.exported,
    )


def answer_lines(answer: Answer, folder: Path, command: str = "blockqnn") -> Iterable[str]:
    """The answer in some ten lines.

    Args:
        command: as it is to be typed.
    """
    named = name_of(answer.block)
    what = f"the hand-made block {named}" if named else "a found block"
    yield (
        f"{answer.winner.accuracy:.2f} % of {answer.tested:,} test images are right, by {what}, "
        f"trained {answer.epochs} epochs"
    )
    yield f"  {'network':<10} {'test accuracy':>13}   95 % interval    multiply-adds     weights"
    frontier = answer.frontier
    for row in (row for one in frontier for row in one.rows):
        yield (
            f"  {_label(row):<10} {row.accuracy:>11.2f} %   {row.low:5.2f} to {row.high:6.2f}  "
            f"{row.flops:>13,} {row.params:>11,}"
        )
    if any(abs(row.balanced_accuracy - row.accuracy) >= _FAR for row in answer.rows):
        means = (f"{_label(row)} {row.balanced_accuracy:.2f} %" for row in answer.rows)
        yield f"  mean of the classes' accuracies: {', '.join(means)}"
    for one in frontier:
        which = f"{one.winner.exported}/: " if len(frontier) > 1 else ""
        yield f"  {which}{_verdict(one)}"
    planned = answer.planned_seconds
    beside = "" if planned is None else f"; planned were {in_words(planned)}"
    yield f"  it took           {in_words(answer.seconds)}{beside}"
    quoted = shlex.quote(str(folder))
    yield f"  all of it is in   {folder}: network/, report.html, block.svg, results.csv and more"
    yield f"  use it            {command} predict {quoted} photo.jpg photos/ > answers.csv"
    yield f"  see the search    {command} top {answer.experiments.get('search', '')}"


def _label(row: Row) -> str:
    return name_of(parse_block(row.block)) or "found"


def _verdict(answer: Answer) -> str:
    """Whether the winner is better than the hand-made blocks by more than chance may make it."""
    others = answer.rows[1:]
    if not others:
        return "nothing to compare it with"
    best = max(others, key=lambda row: row.accuracy)
    gain = answer.winner.accuracy - best.accuracy
    text = f"{abs(gain):.2f} points {'above' if gain >= 0 else 'below'} {best.name} at equal cost"
    clear = answer.winner.low > best.high or answer.winner.high < best.low
    return f"{text}{'' if clear else '; the intervals overlap, so this may be chance'}"
