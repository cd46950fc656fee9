"""One process at a time writes a journal."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playing import Experiment, tuner

from nni_blockqnn.record.journal import JOURNAL_NAME, read_events
from nni_blockqnn.record.lock import JournalInUseError, lock_journal

OTHER_PROCESS = """
import sys
from pathlib import Path
from nni_blockqnn.record.lock import lock_journal
lock_journal(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(checkpoint: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the journal's lock until its standard input is closed."""
    command = [sys.executable, "-c", OTHER_PROCESS, str(checkpoint / JOURNAL_NAME)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_tuner_on_a_journal_is_refused_while_the_first_lives(
    other: subprocess.Popen[str], checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_journal, "__defaults__", (0.0,))
    with pytest.raises(JournalInUseError, match=f"{JOURNAL_NAME} is being written by another"):
        tuner()
    assert not (checkpoint / JOURNAL_NAME).exists()
    other.kill()  # a killed process holds nothing
    other.wait()
    Experiment(tuner()).run(2)
    assert [e["event"] for e in read_events(checkpoint / JOURNAL_NAME)].count("result") == 2


def test_it_waits_for_a_tuner_that_is_about_to_end(
    other: subprocess.Popen[str], checkpoint: Path
) -> None:
    """As the one of a killed manager is."""
    assert other.stdin is not None
    other.stdin.close()
    Experiment(tuner()).run(1)


def test_the_same_process_goes_on(checkpoint: Path) -> None:
    first = Experiment(tuner()).run(3).tuner
    assert tuner().history == first.history


def test_where_nothing_can_be_locked_the_search_runs(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("No locks available")

    monkeypatch.setattr("filelock.BaseFileLock.acquire", refuse)
    with caplog.at_level(logging.WARNING):
        assert len(Experiment(tuner()).run(3).tuner.history) == 3
    assert "cannot be locked (No locks available)" in caplog.text
