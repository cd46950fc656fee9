"""Bars are for people: in a file or a pipe there are none."""

from __future__ import annotations

import io

import pytest

from nni_blockqnn.data._progress import with_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_how_much_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    assert list(with_progress(iter("abc"), 3, "reads images")) == ["a", "b", "c"]
    assert "reads images" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()


def test_a_file_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", file := io.StringIO())
    assert list(with_progress(iter("abc"), 3, "reads images")) == ["a", "b", "c"]
    assert file.getvalue() == ""
