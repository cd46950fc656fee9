"""The answer of a search: its table, its lines, and its words for times and intervals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from found_searches import ANSWER, ROW

from nni_blockqnn.automl._words import in_words, interval
from nni_blockqnn.automl.answer import Answer, answer_lines
from nni_blockqnn.automl.found import Found
from nni_blockqnn.blocks.named import NAMED_BLOCKS


def test_the_answer_has_a_frontier() -> None:
    own = replace(ROW, cost=340_000, exported="network")
    small = replace(ROW, cost=170_000, exported="network-170k", accuracy=90.0, low=86.5, high=92.7)
    beside = replace(small, name="residual", exported=None, accuracy=80.0, low=75.6, high=83.8)
    answer = replace(ANSWER, rows=(own, small, beside))
    assert [one.winner.cost for one in answer.frontier] == [170_000, 340_000]
    assert answer.frontier[0].rows == (small, beside)
    assert Answer.from_json(answer.to_json()) == answer
    text = "\n".join(answer_lines(answer, Path("found")))
    assert "96.00 % of 359 test images" in text
    assert "  network-170k/: 10.00 points above residual at equal cost\n" in text
    assert "  network/: nothing to compare it with\n" in text
    found = Found(Path("found"), answer)
    assert [one.accuracy for one in (found, *found.frontier)] == [96.0, 90.0, 96.0]
    assert [row["name"] for row in found.frontier[0].table] == ["winner", "residual"]


def test_the_answer_is_read_as_it_was_written() -> None:
    assert Answer.from_json(ANSWER.to_json()) == ANSWER
    earlier = json.loads(ANSWER.to_json())
    for entry in (earlier, *earlier["rows"]):
        for name in ("planned_seconds", "cost", "exported"):
            entry.pop(name, None)
    assert Answer.from_json(json.dumps(earlier)) == ANSWER
    header, *rows = ANSWER.to_csv().splitlines()
    assert header.startswith("name,validated,accuracy,low,high")
    assert len(rows) == 2
    for text in ("{}", "[]", "{", '{"rows": [{}]}'):
        with pytest.raises(ValueError, match=r"no result of blockqnn search|Expecting"):
            Answer.from_json(text)


def test_the_answer_in_ten_lines() -> None:
    lines = list(answer_lines(ANSWER, Path("/my found")))
    assert len(lines) <= 10
    text = "\n".join(lines)
    assert "96.00 % of 359 test images" in text
    assert "1.00 points above residual at equal cost; the intervals overlap" in text
    assert "it took           17 min\n" in text
    planned = replace(ANSWER, planned_seconds=900.0)
    assert "17 min; planned were 15 min" in "\n".join(answer_lines(planned, Path("found")))
    assert "blockqnn predict '/my found'" in text
    clear = replace(ANSWER, rows=(replace(ROW, low=96.9), ANSWER.rows[1]))
    assert "overlap" not in "\n".join(answer_lines(clear, Path("found")))


def test_the_mean_of_the_classes_is_said_where_it_is_another() -> None:
    assert "mean of the classes" not in "\n".join(answer_lines(ANSWER, Path("found")))
    far = replace(ANSWER, rows=(replace(ROW, balanced_accuracy=60.0), *ANSWER.rows[1:]))
    lines = list(answer_lines(far, Path("found")))
    assert len(lines) <= 10
    assert "  mean of the classes' accuracies: found 60.00 %, found 95.90 %" in lines


def test_a_hand_made_winner_is_called_so() -> None:
    residual = replace(ROW, block=NAMED_BLOCKS["residual"].to_json())
    text = next(iter(answer_lines(replace(ANSWER, rows=(residual, ROW)), Path("found"))))
    assert "by the hand-made block residual" in text


@pytest.mark.parametrize(
    ("percent", "count", "expected"),
    [
        (100.0, 359, (98.94, 100.0)),
        (0.0, 100, (0.0, 3.70)),
        (50.0, 100, (40.38, 59.62)),  # as R's prop.test without correction says
    ],
)
def test_the_interval_of_an_accuracy(
    percent: float, count: int, expected: tuple[float, float]
) -> None:
    assert interval(percent, count) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (45, "45 s"), (360, "6 min"), (7_500, "2 h 5 min"), (3_599, "1 h 0 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
