"""Experiments that run, ended or failed, as their managers, trials and journals show them."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from made_experiments import ONE_CONV, final, make_experiment, write_list

from nni_blockqnn.bridge import managers
from nni_blockqnn.results.experiment import Results, find_experiment, read_results

GAVE_UP = "The search ends: the last 10 trials failed, the last one since no data in /x"


class Manager:
    """A process as psutil shows it."""

    pid = 4711

    def __init__(self, home: Path, experiment_id: str = "abcd1234", action: str = "create") -> None:
        self._command = ["node", "main.js", "--port", "8099", "--experiment-id", experiment_id]
        self._command += ["--action", action, "--experiments-directory", str(home)]

    def cmdline(self) -> list[str]:
        return self._command


def runs(monkeypatch: pytest.MonkeyPatch, *processes: Manager) -> None:
    monkeypatch.setattr(managers.psutil, "process_iter", lambda: iter(processes))


def search(
    home: Path,
    *trials: tuple[str, Any],
    status: str = "RUNNING",
    config: dict[str, Any] | None = None,
) -> Results:
    """An experiment with a trial for each status and final metric, None for no metric."""
    events = [(1_000, f"t{number}", one) for number, (one, _) in enumerate(trials)]
    finals = [(f"t{number}", one) for number, (_, one) in enumerate(trials) if one is not None]
    config = {"maxTrialNumber": 10, "experimentName": "digits"} | (config or {})
    make_experiment(home, finals=finals, events=events, config=config)
    write_list(home, abcd1234={"startTime": 1, "status": status, "port": 8099})
    return read_results(find_experiment())


def write(home: Path, path: str, text: str) -> Path:
    file = home / "abcd1234" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


DONE = ("SUCCEEDED", final())
FAILED = ("FAILED", {"failure": "no data in /x", "episode": 1, "block": ONE_CONV, "default": 0})
SILENT = ("FAILED", None)
UNDER_WAY = ("RUNNING", None)


def journal(home: Path, *events: dict[str, Any]) -> None:
    lines = []
    for event in events:
        text = json.dumps(event, separators=(",", ":"))
        lines.append(f'{text[:-1]},"crc32":{zlib.crc32(text.encode())}}}\n')
    write(home, "checkpoint/blockqnn-journal.jsonl", "".join(lines))


def suggestion(episode: int, block: str, **more: Any) -> dict[str, Any]:
    return {"event": "suggestion", "episode": episode, "block": block, "epsilon": 0.5} | more


def release(episode: int) -> dict[str, Any]:
    return {"event": "release", "episode": episode, "failed": True}
