"""Ctrl-C while NNI's command starts an experiment."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import pytest

from nni_blockqnn.bridge import launch

STARTS = """
import pathlib, sys, time
pathlib.Path(sys.argv[1]).touch()
time.sleep(1)
print("Experiment ID: abcd1234", flush=True)
"""


def test_what_nnictl_has_started_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = tmp_path / "begun"
    stopped: list[str] = []
    monkeypatch.setattr(launch, "stop", stopped.append)
    monkeypatch.setattr(launch, "_PATIENT_NNICTL", (sys.executable, "-S", "-c", STARTS, str(begun)))
    monkeypatch.setenv("HOME", str(tmp_path))
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    presser = threading.Thread(target=press_ctrl_c_after, args=[begun])
    presser.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            launch.start(tmp_path / "config.yml", None, loopback=True)
    finally:
        presser.join()
        signal.signal(signal.SIGINT, handler)
    assert stopped == ["abcd1234"]


def press_ctrl_c_after(begun: Path) -> None:
    waited = threading.Event()
    while not begun.exists():
        waited.wait(0.01)
    signal.raise_signal(signal.SIGINT)
