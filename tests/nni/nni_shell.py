"""Real NNI experiments on free ports, each test in a home of its own.

``Nni`` is a user's shell: its HOME holds NNI's experiments, its registered algorithms and the data.
Tests in several processes therefore share nothing but the machine.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from nni_blockqnn.record.journal import JOURNAL_NAME, read_events

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "config_templates"
SCRIPTS = Path(sys.executable).parent
PATIENCE_SECONDS = 1500.0
"""The most that a test takes, on a busy machine; most take less than a minute."""
WAITING_SECONDS = 600.0
"""The longest wait for one event: it fails, and says what for, before the test's time is over."""
PORTS = range(20_000, 32_000)
"""Linux gives higher ones to outgoing connections, so a port found free here stays free."""
MOST_WORKERS = 8
SEARCH_TRIALS = 6
"""Those of the :class:`Search` that tests share."""
ATTEMPTS = 5
"""To start an experiment on a machine that is too busy."""
TOO_LATE = "did not connect in 10 seconds"
"""What NNI says of a tuner."""
TUNER_STARTED = "Initial search space"
"""NNI's dispatcher logs it when the manager has sent the search space."""
DIGITS_TRIAL = "python -m nni_blockqnn.trial --dataset digits --epochs 1 --threads 1 --mu 0 --rho 0"


@dataclass(frozen=True)
class Running:
    """An experiment that was started."""

    id: str
    port: int
    directory: Path

    def get(self, path: str) -> Any:
        """What NNI's REST server answers, as JSON."""
        return json.loads(self.get_text(path))

    def get_text(self, path: str) -> str:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"http://127.0.0.1:{self.port}/api/v1/nni/{path}", timeout=60) as answer:
            return answer.read().decode()

    def trials(self, *statuses: str) -> list[dict[str, Any]]:
        jobs = self.get("trial-jobs")
        return [job for job in jobs if not statuses or job["status"] in statuses]

    def status(self) -> str:
        return self.get("check-status")["status"]

    def is_given_up(self) -> bool:
        """The tuner has no more blocks and no trial runs; NNI has no other word for this end."""
        return self.status() == "TUNER_NO_MORE_TRIAL" and not self.trials("WAITING", "RUNNING")

    def statuses(self) -> dict[int, str]:
        return {job["sequenceId"]: job["status"] for job in self.trials()}

    def printed(self, trial_id: str) -> list[str]:
        """A local trial's standard output, which NNI leads into its trial.log."""
        log = self.get_text(f"trial-file/{trial_id}/trial.log")
        return re.findall(r"^\[.*?\] PRINT (.*)$", log, re.MULTILINE)

    def log(self, name: str) -> str:
        return (self.directory / "log" / name).read_text(encoding="utf-8")

    def journal(self, kind: str) -> list[dict[str, Any]]:
        """The tuner's events of a kind: "suggestion", "result", ..."""
        path = self.directory / "checkpoint" / JOURNAL_NAME
        events = read_events(path) if path.exists() else []
        return [event for event in events if event["event"] == kind]

    def wait_until(self, reached: Callable[[], Any], what: str, *, or_error: bool = False) -> None:
        deadline = time.monotonic() + WAITING_SECONDS
        while not reached():
            assert or_error or self.status() != "ERROR", self.log("dispatcher.log")
            assert time.monotonic() < deadline, f"waited in vain for {what}; {self.statuses()}"
            time.sleep(0.5)

    def tuner_starts(self) -> int:
        """How often a tuner has started and been sent the search space, as its log says."""
        log = self.directory / "log" / "dispatcher.log"
        return log.read_text(encoding="utf-8").count(TUNER_STARTED) if log.exists() else 0

    def tuner_is_too_late(self, starts_before: int) -> bool:
        """Wait for the tuner's start: True if it took more than the 10 s that NNI gives it."""
        self.wait_until(
            lambda: self.tuner_starts() > starts_before or self.status() == "ERROR",
            "the tuner to start",
            or_error=True,
        )
        errors = str(self.get("check-status")["errors"])
        return TOO_LATE in errors and "Error" not in self.log("dispatcher.log")

    def wait_for_end(self) -> None:
        self.wait_until(lambda: self.status() == "DONE", "the end")


class Nni:
    """A user's shell with a home of its own."""

    def __init__(self, home: Path) -> None:
        home.mkdir(exist_ok=True)
        self.home = home
        self.environment = {
            name: os.environ[name] for name in ("LANG", "PYTHONPATH") if name in os.environ
        } | {
            "HOME": str(home),
            "PATH": os.pathsep.join([str(SCRIPTS), os.environ["PATH"]]),
            "NNI_CONFIG_DIR": str(home / "nni-config"),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "100",
        }

    def run(self, *command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess:
        return subprocess.run(
            [str(SCRIPTS / command[0]), *map(str, command[1:])],
            cwd=cwd,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )

    def create(self, config: Path, *, with_blockqnn: bool = False) -> Running:
        """``nnictl create``, or ``blockqnn create``."""
        if with_blockqnn:
            return self._start("blockqnn", "create", "--no-estimate", str(config))
        return self._start("nnictl", "create", "--config", str(config))

    def resume(self, running: Running, *, with_blockqnn: bool = False) -> Running:
        """``nnictl resume``, or ``blockqnn resume``, on another port."""
        command = ("blockqnn" if with_blockqnn else "nnictl", "resume", running.id)
        return self._start(*command, starts_before=running.tuner_starts())

    def _start(self, *command: str, starts_before: int = 0) -> Running:
        """Run the command; again if this machine is too busy for the patience of NNI."""
        for _ in range(ATTEMPTS):
            port = free_port()
            started = self.run(*command, "--port", str(port))
            if started.returncode != 0 and self._was_too_busy(started):
                continue
            assert started.returncode == 0, started.stdout + started.stderr
            found = re.search(r"xperiment (?:ID: )?(\w{8})\b", plain(started.stdout))
            assert found, started.stdout
            directory = self.home / "nni-experiments" / found.group(1)
            running = Running(found.group(1), port, directory)
            if not running.tuner_is_too_late(starts_before):
                return running
            kill(self.processes(running.id))
        raise AssertionError(f"{ATTEMPTS} attempts to start it: {started.stdout}{started.stderr}")

    def _was_too_busy(self, started: subprocess.CompletedProcess) -> bool:
        """Whether nnictl gave up the manager after 4 s, or NNI the tuner after 10 s."""
        late = re.search(rf"experiment (\w{{8}}) could not start: .*{TOO_LATE}", started.stderr)
        if late is None:
            return "Timeout, retry..." in started.stdout
        log = self.home / "nni-experiments" / late.group(1) / "log" / "dispatcher.log"
        return not log.exists() or "Error" not in log.read_text(encoding="utf-8")

    def stop(self, experiment_id: str) -> None:
        """``nnictl stop``; returns when the manager and all that it started are gone."""
        processes = self.processes(experiment_id)
        stopped = self.run("nnictl", "stop", experiment_id)
        assert stopped.returncode == 0, stopped.stdout + stopped.stderr
        left = psutil.wait_procs(processes, timeout=60)[1]
        for process in left:
            process.kill()
        assert not left

    def kill_all(self) -> None:
        """End every process of this home. ``nnictl stop`` takes 3 to 9 s for each experiment."""
        while kill(list(of_home(self.home))):
            pass  # once more, for what they started meanwhile

    def processes(self, experiment_id: str) -> list[psutil.Process]:
        """The experiment's manager and all that it started; none if it does not run."""
        try:
            manager = psutil.Process(self.listed()[experiment_id]["pid"])
            if experiment_id not in manager.cmdline():
                return []  # its pid is another process's by now
            return [manager, *manager.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def listed(self) -> dict[str, dict[str, Any]]:
        """NNI's list of the experiments of this home."""
        path = self.home / "nni-experiments" / ".experiment"
        while path.exists():
            try:
                return json.loads(path.read_text(encoding="utf-8"))
            except ValueError:  # NNI rewrites it in place, so it may be seen half written
                time.sleep(0.05)
        return {}


@dataclass(frozen=True)
class Search:
    """A search that is done; its manager still runs.

    Attributes:
        nni: the shell in which it was started.
    """

    nni: Nni
    running: Running

    def finals(self) -> dict[str, dict[str, Any]]:
        """The final metric of each trial that succeeded, by the trial's ID."""
        return {job["trialJobId"]: final_metric(job) for job in self.running.trials("SUCCEEDED")}


def final_metric(job: dict[str, Any]) -> dict[str, Any]:
    """What a trial reported at its end, out of NNI's record of it."""
    (record,) = job["finalMetricData"]
    return json.loads(json.loads(record["data"]))


@contextmanager
def shell(home: Path) -> Iterator[Nni]:
    """A shell that leaves no process behind."""
    opened = Nni(home)
    try:
        yield opened
    finally:
        opened.kill_all()


def kill(processes: list[psutil.Process]) -> bool:
    """Whether there was one to kill; returns when they are gone."""
    killed = False
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
            killed = True
    psutil.wait_procs(processes, timeout=10)
    return killed


def of_home(home: Path) -> Iterator[psutil.Process]:
    """All processes whose HOME this is."""
    for process in psutil.process_iter():
        if variable(process, "HOME") == str(home):
            yield process


def runs(process: psutil.Process, argument: str) -> bool:
    """Whether its command has this argument."""
    try:
        return argument in process.cmdline()
    except psutil.Error:  # gone, or another user's
        return False


def variable(process: psutil.Process, name: str) -> str | None:
    """One of the environment that the process was started with."""
    try:
        return process.environ().get(name)
    except psutil.Error:  # gone, or another user's
        return None


def search_config(max_layers: int, trials: int, **changes: Any) -> dict[str, Any]:
    """A search for digits whose trials take a moment."""
    return {
        "searchSpace": {
            "block": {"_type": "nsc", "_value": {"max_layers": max_layers}},
            "repeats": {"_type": "choice", "_value": [1]},
            "network": {"_type": "choice", "_value": ["digits"]},
        },
        "trialCommand": DIGITS_TRIAL,
        "trialConcurrency": 2,
        "maxTrialNumber": trials,
        "tuner": {
            "className": "nni_blockqnn.tuner.BlockQNNTuner",
            "codeDirectory": ".",
            "classArgs": {"budget": trials, "seed": 0},
        },
        "trainingService": {"platform": "local"},
    } | changes


def write_config(directory: Path, config: dict[str, Any]) -> Path:
    path = directory / "config.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def free_port() -> int:
    """A port on which nothing listens, out of this pytest-xdist worker's own share."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = PORTS[worker % MOST_WORKERS :: MOST_WORKERS]
    for port in random.sample(own, len(own)):
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("", port))
            return port
    raise OSError(f"no port of {own} is free")


def plain(text: str) -> str:
    """The text without colours."""
    return re.sub(r"\x1b\[[\d;]*m", "", text)
