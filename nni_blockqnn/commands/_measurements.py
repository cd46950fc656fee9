"""Results of trained blocks from an experiment or a file, and pairs of them.

A file holds what ``blockqnn top`` writes with ``--format json`` or ``--format csv``, or one JSON
object a line, as ``blockqnn pilot`` writes.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nni_blockqnn.blocks.block import Block, parse_block
from nni_blockqnn.calibration.reward_weights import Pairs
from nni_blockqnn.common.checks import is_integer, is_number
from nni_blockqnn.common.messages import shown
from nni_blockqnn.results.experiment import (
    ExperimentNotFoundError,
    Problem,
    find_experiment,
    read_results,
)

_EXPECTED = (
    'a record with "block" (structure codes), "accuracy" (percent) and "flops" (a positive '
    'number), and if they are known "repeats" and "encoding"'
)
_CSV_HINT = "if it is CSV, name it .csv: the name decides how a file is read"
_COLUMNS = ("block", "accuracy", "flops")


class Measurement(NamedTuple):
    """Of one trained network.

    Attributes:
        accuracy: in percent.
        flops: multiply-accumulates of the network for one image.
        repeats: N, None where it is not known.
    """

    block: Block
    accuracy: float
    flops: float
    repeats: int | None

    @property
    def network(self) -> tuple[str, int | None]:
        """Equal for equal networks."""
        return self.block.key, self.repeats


class WithoutResult(NamedTuple):
    """A training that has no result.

    Attributes:
        source: its "line 3" of the file or its "trial AbCdE".
    """

    source: str
    reason: str


class Measurements(NamedTuple):
    """What a file or an experiment holds.

    Attributes:
        failures: the trainings that failed.
        unreadable: the trainings of an experiment whose final metric is malformed.
    """

    results: list[Measurement]
    failures: tuple[WithoutResult, ...]
    unreadable: tuple[WithoutResult, ...]


def read_measurements(source: str) -> Measurements:
    """Those of a file, or of the experiment with that ID.

    A record with a ``failure`` instead of an accuracy is one that failed.

    Raises:
        ValueError: naming file, line, what is wrong and what is expected; or if there is neither
            such a file nor such an experiment.
        ExperimentDatabaseError: if the experiment cannot be read.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return _read_file(path)
    try:
        read = read_results(find_experiment(source))
    except ExperimentNotFoundError as error:
        raise ValueError(f"{shown(source)} is no file, nor is it an experiment: {error}") from None
    results, lacking = [], []
    for trial in read.trials:
        if trial.accuracy is None or trial.flops is None:  # of the user's own
            lacking.append(Problem(trial.trial_id, "it reported no accuracy or no FLOPs"))
        else:
            found = (trial.accuracy, float(trial.flops), trial.repeats)
            results.append(Measurement(trial.block, *found))
    return Measurements(results, _trials(read.failures), _trials([*read.malformed, *lacking]))


def _trials(problems: Iterable[Problem]) -> tuple[WithoutResult, ...]:
    return tuple(WithoutResult(f"trial {one.trial_id}", one.reason) for one in problems)


def paired(early: Sequence[Measurement], final: Sequence[Measurement]) -> Pairs:
    """Of networks that are in both: equal ``Block.key`` and equal repeats, in the order of the
    first.

    A network that has several results counts once, with their mean accuracy. FLOPs are the first
    one's.

    Raises:
        ValueError: if no network is in both, saying why.
    """
    early_by, final_by = _by_network(early), _by_network(final)
    networks = [network for network in early_by if network in final_by]
    if not networks:
        raise ValueError(_unpaired(early_by, final_by))
    first = [early_by[network][0] for network in networks]
    return Pairs(
        early=_means(early_by[network] for network in networks),
        flops=np.array([one.flops for one in first]),
        density=np.array([one.block.density for one in first]),
        final=_means(final_by[network] for network in networks),
    )


def _by_network(
    measurements: Sequence[Measurement],
) -> dict[tuple[str, int | None], list[Measurement]]:
    grouped: dict[tuple[str, int | None], list[Measurement]] = {}
    for one in measurements:
        grouped.setdefault(one.network, []).append(one)
    return grouped


def _means(groups: Iterable[list[Measurement]]) -> np.ndarray:
    return np.array([np.mean([one.accuracy for one in group]) for group in groups])


def _unpaired(
    early: Mapping[tuple[str, int | None], Any], final: Mapping[tuple[str, int | None], Any]
) -> str:
    text = f"no network is in both, of {len(early)} stopped early and {len(final)} final"
    shared = {key for key, _ in early} & {key for key, _ in final}
    if shared:
        early_repeats, final_repeats = (_repeats(side, shared) for side in (early, final))
        text += (
            f"; in both are blocks, {len(shared)} of them, but with N = {early_repeats} and "
            f"N = {final_repeats}, and pairs need equal N"
        )
    return text


def _repeats(side: Iterable[tuple[str, int | None]], shared: set[str]) -> str:
    found = {"not given" if n is None else str(n) for key, n in side if key in shared}
    return ", ".join(sorted(found))


def _read_file(path: Path) -> Measurements:
    text = path.read_text(encoding="utf-8-sig")
    measurements = []
    failures = []
    records = _csv_records if path.suffix.lower() == ".csv" else _json_records
    try:
        for line, record in records(text):
            if isinstance(record, Mapping) and "failure" in record:
                failures.append(WithoutResult(f"line {line}", str(record["failure"])))
                continue
            try:
                measurements.append(_measurement(record))
            except ValueError as error:
                raise _LineError(line, f"{error}; expected {_EXPECTED}") from None
    except _LineError as error:
        raise ValueError(f"{path}, line {error.line}: {error.what}") from None
    return Measurements(measurements, tuple(failures), ())


class _LineError(Exception):
    def __init__(self, line: int, what: str) -> None:
        super().__init__(line, what)
        self.line = line
        self.what = what


def _csv_records(text: str) -> Iterator[tuple[int, Any]]:
    rows = csv.DictReader(text.splitlines())
    missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise _LineError(
            1, f"expected a heading with {', '.join(_COLUMNS)}, got {shown(rows.fieldnames)}"
        )
    for row in rows:
        yield rows.line_num, {name: _cell(name, value) for name, value in row.items() if value}


def _cell(name: str, value: Any) -> Any:
    """A number as JSON has it; anything else as it is."""
    if name not in ("accuracy", "flops", "repeats"):
        return value
    try:
        return json.loads(value)
    except (TypeError, ValueError, RecursionError):
        return value


def _json_records(text: str) -> Iterator[tuple[int, Any]]:
    """The elements of an array, or one value after the other, each with its line."""
    position = _skipped(text, 0)
    is_array = text.startswith("[", position)
    position = _skipped(text, position + is_array)
    while position < len(text) and not (is_array and text[position] == "]"):
        record, end = _decoded(text, position)
        yield _line(text, position), record
        position = _skipped(text, end)
    if is_array and position == len(text):
        raise _LineError(_line(text, position), "the list ends without a ]; is it cut short?")


def _decoded(text: str, position: int) -> tuple[Any, int]:
    try:
        return json.JSONDecoder().raw_decode(text, position)
    except json.JSONDecodeError as error:
        hint = "" if text.lstrip()[:1] in ("{", "[") else f"; {_CSV_HINT}"
        what = f"no JSON ({error.msg}); expected {_EXPECTED}{hint}"
        raise _LineError(error.lineno, what) from None
    except (ValueError, RecursionError):  # numbers of thousands of digits, deep nesting
        line = _line(text, position)
        raise _LineError(line, f"no record that can be read; expected {_EXPECTED}") from None


def _skipped(text: str, position: int) -> int:
    """Where the next value begins."""
    while position < len(text) and text[position] in " \t\r\n,":
        position += 1
    return position


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _measurement(record: Any) -> Measurement:
    if not isinstance(record, Mapping):
        raise ValueError(f"got {shown(record)}")
    repeats = record.get("repeats")
    if repeats is not None and (not is_integer(repeats) or repeats < 1):
        raise ValueError(f"repeats must be a positive integer, got {shown(repeats)}")
    block = parse_block(record.get("block"), record.get("encoding", "pcc"))
    accuracy = _number("accuracy", record.get("accuracy"))
    flops = _number("flops", record.get("flops"))
    if not 0 <= accuracy <= 100:
        raise ValueError(f"accuracy must be from 0 to 100 percent, got {shown(accuracy)}")
    if flops <= 0:
        raise ValueError(f"flops must be positive, got {shown(flops)}")
    return Measurement(block, accuracy, flops, repeats)


def _number(name: str, value: Any) -> float:
    if not is_number(value):
        raise ValueError(f"{name} must be a number, got {shown(value)}")
    return float(value)
