"""What a search has found: the winner beside the hand-made blocks, tested once."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from nni_blockqnn.automl._chosen import Winner
from nni_blockqnn.automl._words import in_words, interval
from nni_blockqnn.blocks.block import Block, parse_block
from nni_blockqnn.blocks.named import name_of
from nni_blockqnn.common.checks import is_number
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.measure import ACCURACY, Measure, measure_of
from nni_blockqnn.tasks import CLASSIFICATION, TASKS

_FAR = 1.0
"""Points between the accuracy and the mean of the classes' own, from which on both are said."""


@dataclass(frozen=True)
class Row:
    """One network that was trained on all training data.

    Attributes:
        name: "winner", "residual" or "inception".
        block: its structure codes as JSON text.
        validated: what the finalist was chosen by, on validation images: an accuracy in percent, or
            of another task than classification a score, its first measure, turned so that more is
            better.
        accuracy: on the test images, likewise.
        low, high: the 95 % interval of it: Wilson's, of another task than classification by a
            bootstrap over the test images.
        balanced_accuracy: mean of the classes' accuracies on the test images, in percent; None of
            another task.
        width: filters of its first stage.
        cost: at which it is compared, in multiply-accumulates; None if it is at none.
        exported: the name of its exported folder; None for a hand-made block beside a winner.
        measured: what another task than classification measures on the test images, by name and in
            its own direction; default empty.
    """

    name: str
    block: str
    validated: float
    accuracy: float
    low: float
    high: float
    balanced_accuracy: float | None
    flops: int
    params: int
    width: int
    cost: int | None = None
    exported: str | None = None
    measured: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a search has found.

    Attributes:
        rows: the winner of the search's own cost first.
        tested: test images.
        seconds: that it took; of a search that was cut off, those of its stages at least.
        planned_seconds: None if the configuration was a user's own.
        experiments: NNI's IDs by stage.
        task: default "classification".
        measure: what the accuracies of the rows are, as final metrics say it (docs/metrics.md);
            None (default) for the accuracy of classes.
    """

    data: str
    rows: tuple[Row, ...]
    tested: int
    epochs: int
    trials: int
    seconds: float
    experiments: Mapping[str, str]
    planned_seconds: float | None = None
    task: str = CLASSIFICATION.name
    measure: Mapping[str, str] | None = None

    @property
    def judged_by(self) -> Measure:
        return measure_of({"measure": self.measure})

    @property
    def counts_images(self) -> bool:
        """Whether its accuracies are shares of images: only those of classification surely are."""
        return self.task == CLASSIFICATION.name

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
        left = ("block", "measured")
        columns = [name for name in asdict(self.winner) if name not in left]
        measures = list(self.winner.measured)
        writer = csv.writer(written, lineterminator="\n")
        writer.writerow([*columns, *(f"test_{name}" for name in measures), "block"])
        for row in self.rows:
            values = [getattr(row, name) for name in columns]
            writer.writerow([*values, *(row.measured.get(name) for name in measures), row.block])
        return written.getvalue()


def row_of(winner: Winner, facts: Mapping[str, Any], tested: int) -> Row:
    """
    Args:
        facts: what ``network.json`` says of its training.
        tested: test images.
    """
    cost = estimate_cost(winner.block, winner.task.spec)
    accuracy = float(facts["test_accuracy"])
    low, high = facts.get("test_interval") or interval(accuracy, tested)
    is_classes = facts.get("task") is None
    balanced = round(float(facts.get("test_balanced_accuracy", accuracy)), 4)
    return Row(
        winner.name,
        winner.block.to_json(),
        _rounded(winner.validated),
        _rounded(accuracy),
        _rounded(low),
        _rounded(high),
        balanced if is_classes else None,
        cost.flops,
        cost.params,
        winner.task.spec.filters[0],
        winner.cost,
        winner.exported,
        {} if is_classes else _measured(facts),
    )


def _rounded(value: float) -> float:
    """To four decimals, of small numbers to as many digits."""
    return round(value, 4) if abs(value) >= 1 else float(f"{value:.5g}")


def _measured(facts: Mapping[str, Any]) -> dict[str, float]:
    """The measures on the test images, by their names."""
    is_score = measure_of(facts) != ACCURACY  # which is no measure of its own
    return {
        name.removeprefix("test_"): _rounded(value)
        for name, value in facts.items()
        if name.startswith("test_") and is_number(value)
        if not (is_score and name == "test_accuracy")
    }


def answer_lines(answer: Answer, folder: Path, command: str = "blockqnn") -> Iterable[str]:
    """The answer in some ten lines.

    Args:
        command: as it is to be typed.
    """
    named = name_of(answer.block)
    what = f"the hand-made block {named}" if named else "a found block"
    measure, images = answer.judged_by, f"{answer.tested:,} test images"
    value = measure.text(answer.winner.accuracy)
    said = f"{value} of {images} are right" if answer.counts_images else f"{value} on {images}"
    head = "" if answer.counts_images else f"{measure.heading} "
    yield f"{head}{said}, by {what}, trained {answer.epochs} epochs"
    title = f"test {measure.title}"
    width = max(len(title), len("test accuracy"))
    yield f"  {'network':<10} {title:>{width}}   95 % interval    multiply-adds     weights"
    frontier = answer.frontier
    for row in (row for one in frontier for row in one.rows):
        value = measure.text(row.accuracy)
        yield (
            f"  {_label(row):<10} {value:>{width}}   {interval_text(measure, row):<15}  "
            f"{row.flops:>13,} {row.params:>11,}"
        )
    if not answer.counts_images:
        yield "  intervals: by a bootstrap over the test images, of one training each"
    yield from _classes_lines(answer)
    for one in frontier:
        which = f"{one.winner.exported}/: " if len(frontier) > 1 else ""
        yield f"  {which}{_verdict(one)}"
    planned = answer.planned_seconds
    beside = "" if planned is None else f"; planned were {in_words(planned)}"
    yield f"  it took           {in_words(answer.seconds)}{beside}"
    quoted = shlex.quote(str(folder))
    yield f"  all of it is in   {folder}: network/, report.html, block.svg, results.csv and more"
    yield f"  use it            {command} predict {quoted} photo.jpg photos/{_use_options(answer)}"
    yield f"  see the search    {command} top {answer.experiments.get('search', '')}"


def interval_text(measure: Measure, row: Row) -> str:
    """Such as "93.40 to 97.60", in the measure's own direction."""
    low, high = sorted(measure.score(end) for end in (row.low, row.high))
    return f"{measure.number(low)} to {measure.number(high)}"


def _classes_lines(answer: Answer) -> Iterable[str]:
    balanced = [(row, row.balanced_accuracy) for row in answer.rows]
    if any(value is not None and abs(value - row.accuracy) >= _FAR for row, value in balanced):
        means = (f"{_label(row)} {value:.2f} %" for row, value in balanced)
        yield f"  mean of the classes' accuracies: {', '.join(means)}"


def _use_options(answer: Answer) -> str:
    """What `blockqnn predict` is called with beside the images."""
    if answer.counts_images:
        return " > answers.csv"
    own = "" if answer.task in TASKS else f" --task {shlex.quote(answer.task)}"
    return f"{own} > answers.jsonl"


def _label(row: Row) -> str:
    return name_of(parse_block(row.block)) or "found"


def _verdict(answer: Answer) -> str:
    """Whether the winner is better than the hand-made blocks by more than chance may make it."""
    others = answer.rows[1:]
    if not others:
        return "nothing to compare it with"
    best = max(others, key=lambda row: row.accuracy)
    text = _gain(answer.judged_by, answer.winner.accuracy - best.accuracy, best.name)
    clear = answer.winner.low > best.high or answer.winner.high < best.low
    return f"{text}{'' if clear else '; the intervals overlap, so this may be chance'}"


def _gain(measure: Measure, gain: float, name: str) -> str:
    """
    Args:
        gain: of the score.
    """
    if measure == ACCURACY:
        return f"{abs(gain):.2f} points {'above' if gain >= 0 else 'below'} {name} at equal cost"
    unit = "points" if measure.unit == "%" else measure.unit
    amount = f"{measure.number(abs(gain))} {unit}".rstrip()
    return f"{amount} {'better' if gain >= 0 else 'worse'} than {name} at equal cost"
