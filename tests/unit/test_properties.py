"""Properties of what comes back from a damaged disk, and of what trials report."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playing import Experiment, metric, space, tuner

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.exchange.metrics import (
    REPEATS_LIMIT,
    REWARD_LIMIT,
    MetricError,
    parse_failure,
    parse_final_metric,
)
from nni_blockqnn.record.journal import JOURNAL_NAME, Journal, read_events

EVENTS: list[dict[str, Any]] = [
    {"event": "start", "seed": 3},
    *(
        {"event": "result", "number": n, "text": "naïve \u2028", "in": {"x": -0.5}}
        for n in range(5)
    ),
]


# --- journals


@contextmanager
def _journal(lines: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint" / JOURNAL_NAME  # as in an experiment's folder
        path.parent.mkdir()
        path.write_bytes(lines)
        yield path


def _lines(events: list[dict[str, Any]]) -> bytes:
    """As the journal writes them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / JOURNAL_NAME
        journal = Journal(path)
        for event in events:
            journal.append(event)
        return path.read_bytes() if events else b""


@st.composite
def _damage(draw: st.DrawFn, lines: bytes) -> bytes:
    """A few bits flipped, bytes lost, or bytes that were never written."""
    for _ in range(draw(st.integers(1, 4))):
        if not lines:
            break
        position = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(["flip", "write", "lose", "insert"]))
        tail = lines[position + 1 :]
        if kind == "flip":
            lines = (
                lines[:position] + bytes([lines[position] ^ 1 << draw(st.integers(0, 7))]) + tail
            )
        elif kind == "write":
            lines = lines[:position] + draw(st.binary(min_size=1, max_size=1)) + tail
        elif kind == "lose":
            lines = lines[:position] + lines[position + draw(st.integers(1, 200)) :]
        else:
            lines = lines[:position] + draw(st.binary(max_size=20)) + lines[position:]
    return lines


def _whole(event: dict[str, Any], lines: bytes) -> bool:
    return b"\n" + _lines([event]) in b"\n" + lines


def _in_order(some: list[Any], others: list[Any]) -> bool:
    """Whether all of some are among others, in the same order."""
    rest = iter(others)
    return all(item in rest for item in some)


@given(size=st.integers(0, len(_lines(EVENTS))))
def test_a_journal_cut_short_has_its_whole_lines_and_nothing_else(size: int) -> None:
    lines = _lines(EVENTS)[:size]
    with _journal(lines) as path:
        assert read_events(path) == Journal(path).events == EVENTS[: lines.count(b"\n")]


@pytest.mark.slow
@given(lines=_damage(_lines(EVENTS)))
def test_a_damaged_journal_keeps_all_whole_lines_in_order(lines: bytes) -> None:
    whole = [event for event in EVENTS if _whole(event, lines)]
    with _journal(lines) as path:
        before = read_events(path)
        assert _in_order(whole, before)
        assert len(before) <= lines.count(b"\n") + lines.count(b"\r")
        journal = Journal(path)
        assert journal.events == before
        journal.append({"n": 1}, durable=True)
        assert Journal(path).events == [*before, {"n": 1}]


def _events(lines: bytes) -> list[dict[str, Any]]:
    with _journal(lines) as path:
        return read_events(path)


_PLAYED: list[bytes] = []


def _played() -> bytes:
    """The journal of a short search with failures."""
    if not _PLAYED:
        with pytest.MonkeyPatch.context() as patch, _journal(b"") as path:
            patch.setenv("NNI_CHECKPOINT_DIRECTORY", str(path.parent))

            def end(played: Experiment, parameter_id: int) -> None:
                played.fail(parameter_id) if parameter_id % 5 == 2 else played.finish(parameter_id)

            Experiment(tuner(space(max_layers=5)), 3).run(16, end)
            _PLAYED.append(path.read_bytes())
    return _PLAYED[0]


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_search_goes_on_from_a_damaged_journal(data: st.DataObject) -> None:
    """And knows all results of whole lines, and no others."""
    lines = data.draw(_damage(_played()))
    results = [event for event in _events(_played()) if event["event"] == "result"]
    kept = [(event["block"], event["reward"]) for event in results if _whole(event, lines)]
    with _journal(lines) as path, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NNI_CHECKPOINT_DIRECTORY", str(path.parent))
        resumed = tuner(space(max_layers=5))
        counted = [(result.block.to_json(), result.reward) for result in resumed.history]
        assert sorted(counted) == sorted(kept)
        assert len(Experiment(resumed, 3, first_id=100).run(8).sent) == 8


# --- metrics

_NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([10**400, 1e300, np.float32(3), np.int64(0), np.array([1.0, 2.0])]),
)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.text() | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
_CHANGES = {
    "default": st.sampled_from([math.nan, math.inf, 10**400, -1e300]) | _NUMBERS | _VALUES,
    "episode": st.integers(-1, 3) | _VALUES,
    "block": st.sampled_from(["[[1,1,2,0,0]]", [[1, 1, 99, 0, 0]]]) | _VALUES,
    "repeats": st.integers(-1, 1) | st.integers(999, 1002) | _VALUES,
    "failure": st.text() | _VALUES,
    "failure_of_block": st.booleans() | _NUMBERS,
    "accuracy": _NUMBERS,
}


@st.composite
def _metrics(draw: st.DrawFn) -> Any:
    """A final metric of which a field or two are something else, or anything at all."""
    if draw(st.integers(0, 4)) == 0:
        return draw(_VALUES)
    names = draw(st.lists(st.sampled_from(list(_CHANGES)), max_size=2))
    right = {"default": 61.5, "episode": 0, "block": "[[1,4,0,0,0],[2,7,0,0,0]]", "repeats": 4}
    return right | {name: draw(_CHANGES[name]) for name in names}


def _check_words(error: MetricError) -> None:
    assert 0 < len(str(error)) < 1000


@given(value=_metrics())
def test_a_metric_is_read_or_refused_in_words_of_ours(value: Any) -> None:
    try:
        read = parse_final_metric(value)
    except MetricError as error:
        _check_words(error)
        return
    assert type(read.episode) is int
    assert read.episode == value["episode"]
    assert read.block == Block.parse(value["block"])
    assert math.isfinite(read.reward)
    assert abs(read.reward) <= REWARD_LIMIT
    assert read.reward == pytest.approx(float(value["default"]))
    assert read.repeats in (None, value["repeats"])
    assert read.repeats is None or 1 <= read.repeats <= REPEATS_LIMIT


@given(value=_metrics())
def test_a_failure_is_read_or_refused_in_words_of_ours(value: Any) -> None:
    try:
        read = parse_failure(value)
    except MetricError as error:
        _check_words(error)
        return
    if read is None:
        assert not isinstance(value, dict) or "failure" not in value
        return
    assert read.episode == value["episode"]
    assert len(read.reason) <= 1000
    assert "\n" not in read.reason
    assert type(read.of_block) is bool


@pytest.mark.parametrize(
    ("fields", "reason", "of_block"),
    [
        ({"failure": "no\n memory", "failure_of_block": True}, "no memory", True),
        ({"failure": 10**5000}, "a int", False),
        ({"failure": [1, "x" * 5000]}, f"[1, '{'x' * 992}...", False),
        ({"failure": None, "failure_of_block": np.array([1, 2])}, "None", False),
    ],
)
def test_a_strange_reason_is_a_reason_all_the_same(
    fields: dict[str, Any], reason: str, of_block: bool
) -> None:
    read = parse_failure({"episode": 0, "block": "[[1,4,0,0,0]]"} | fields)
    assert read is not None
    assert (read.reason, read.of_block) == (reason, of_block)


_RECEIVER: list[Experiment] = []


@pytest.mark.slow
@settings(deadline=None)
@given(value=_metrics())
def test_no_metric_ends_the_search(value: Any) -> None:
    """One search gets them all, so its history and failures grow from example to example."""
    if not _RECEIVER:
        _RECEIVER.append(Experiment(tuner()))
    played = _RECEIVER[0]
    played.fill()
    (parameter_id,) = played.in_flight
    parameters = played.in_flight[parameter_id]
    own = value | {"block": parameters["block"]} if isinstance(value, dict) else value
    for reported in (value, own):
        played.tuner.receive_trial_result(parameter_id, parameters, reported)
        played.tuner.import_data([{"parameter": parameters, "value": reported}])
    counted = len(played.tuner.history)
    played.tuner.receive_trial_result(parameter_id, parameters, metric(parameters))
    assert len(played.tuner.history) in (counted, counted + 1)
    played.tuner.trial_end(parameter_id, True)
    del played.in_flight[parameter_id]
    assert all(math.isfinite(result.reward) for result in played.tuner.history)
