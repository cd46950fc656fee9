"""Benchmarks' files of results, which a kill may cut short (benchmarks/json_lines.py)."""

from __future__ import annotations

from pathlib import Path

import pytest
from json_lines import append, read_lines


def test_what_is_added_is_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "partial" / "results.jsonl"
    assert read_lines(path) == []
    append(path, {"a": 1})
    append(path, {"a": 2}, {"a": "é\n"})
    assert read_lines(path) == [{"a": 1}, {"a": 2}, {"a": "é\n"}]
    assert path.read_text().count("\n") == 3


@pytest.mark.parametrize("length", range(len('{"a": 2}')))
def test_a_line_that_was_cut_short_spoils_no_other(tmp_path: Path, length: int) -> None:
    path = tmp_path / "results.jsonl"
    append(path, {"a": 1}, {"a": 2})
    path.write_bytes(path.read_bytes()[: len('{"a": 1}\n') + length])
    assert read_lines(path) == [{"a": 1}]
    append(path, {"a": 3})
    assert read_lines(path) == [{"a": 1}, {"a": 3}]


def test_a_line_that_lacks_its_end_alone_counts(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text('{"a": 1}')
    append(path, {"a": 2})
    assert read_lines(path) == [{"a": 1}, {"a": 2}]
