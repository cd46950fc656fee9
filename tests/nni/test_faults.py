"""Kills, a full disk and a read-only folder: no finished result is lost, and none counts twice."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

import psutil
import pytest
from nni_shell import Nni, Running
from small_disk import fill, small_disk
from soak import notes, start, tuner_process
from soak_outcome import Outcome, examine

from nni_blockqnn.record.journal import JOURNAL_NAME

CANNOT_WRITE = f"{JOURNAL_NAME} cannot be written"


def test_no_kill_loses_a_result(nni: Nni, tmp_path: Path) -> None:
    """``benchmarks/fault_soak.py`` does this for longer and at random."""
    soak = start(nni, tmp_path, trials=7, seed=0)
    assert soak.inject("trial", "kept")
    assert soak.inject("manager", "kept")
    assert soak.inject("dispatcher", "reported")
    assert soak.inject("both", "begun")
    soak.finish()
    check(examine(soak.running, notes(soak.truth)), at_least=7)


def test_a_journal_that_cannot_be_written(nni: Nni, tmp_path: Path) -> None:
    """First for want of room, then since the folder is read-only; the search goes on."""
    soak = start(nni, tmp_path, trials=12, seed=0)
    running = soak.running
    for prevented in (no_room(nni, running), read_only(running)):
        running.wait_until(lambda: running.trials("RUNNING"), "a trial")
        with prevented:
            wait_for_complaints(running, complaints(running) + 2)
            assert running.status() == "RUNNING"
            assert journal_of(running).read_bytes().endswith(b"\n")
    soak.finish()
    check(examine(soak.running, notes(soak.truth)), at_least=12)


def test_a_full_disk(nni: Nni, tmp_path: Path) -> None:
    """NNI cannot write its database, stops and mostly says so; the user makes room and resumes."""
    experiments = nni.home / "nni-experiments"
    experiments.mkdir()
    with small_disk(experiments):
        soak = start(nni, tmp_path, trials=6, seed=0)
        soak.running.wait_until(lambda: soak.running.journal("result"), "a result")
        filler = experiments / "filler"
        fill(filler)
        if wait_for_error(soak.running):
            assert "disk is full" in str(soak.running.get("check-status")["errors"])
        filler.unlink()
        soak.running = nni.resume(soak.running, with_blockqnn=True)
        soak.finish()
        check(examine(soak.running, notes(soak.truth)), at_least=6)


def check(outcome: Outcome, at_least: int) -> None:
    assert len(outcome.finished) >= at_least
    assert outcome.counted == outcome.finished
    assert not any((outcome.twice, outcome.mistaken, outcome.reused))
    assert outcome.damaged == 0


def wait_for_error(running: Running) -> bool:
    """Until NNI's manager has stopped the search; returns whether it still answers."""
    try:
        running.wait_until(lambda: running.status() == "ERROR", "NNI", or_error=True)
    except URLError:  # it could not write its log either
        return False
    return True


def wait_for_complaints(running: Running, count: int) -> None:
    running.wait_until(lambda: complaints(running) >= count, f"{count} complaints in the log")


def complaints(running: Running) -> int:
    return running.log("dispatcher.log").count(CANNOT_WRITE)


def journal_of(running: Running) -> Path:
    return running.directory / "checkpoint" / JOURNAL_NAME


@contextmanager
def no_room(nni: Nni, running: Running) -> Iterator[None]:
    """Let no file of the tuner grow past the journal's size, so that its next line is cut short."""
    tuner = tuner_process(nni, running)
    size = max(journal_of(running).stat().st_size, len(running.log("dispatcher.log")) + 3000)
    _, highest = tuner.rlimit(psutil.RLIMIT_FSIZE)
    tuner.rlimit(psutil.RLIMIT_FSIZE, (size + 40, highest))
    try:
        yield
    finally:
        tuner.rlimit(psutil.RLIMIT_FSIZE, (highest, highest))


@contextmanager
def read_only(running: Running) -> Iterator[None]:
    """Root ignores permissions, but not that a file is immutable, where the disk knows that."""
    prevent, permit = (["chmod", "a-w"], ["chmod", "u+w"])
    if os.geteuid() == 0:
        prevent, permit = (["chattr", "+i"], ["chattr", "-i"])
    if shutil.which(prevent[0]) is None:
        pytest.skip(f"there is no {prevent[0]}")
    journal = journal_of(running)
    paths = [str(journal), str(journal.parent)]
    try:
        prevented = subprocess.run([*prevent, *paths], capture_output=True, text=True)
        if prevented.returncode != 0:
            pytest.skip(f"this disk has no immutable files: {prevented.stderr.strip()}")
        yield
    finally:
        subprocess.run([*permit, *paths], capture_output=True)
