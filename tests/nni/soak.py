"""Searches whose processes are killed at random moments, then resumed as a user would.

A :class:`Soak` runs one local experiment of trials that train nothing (``soak_trial.py``), sends
SIGKILL to the process that a test names, and calls ``blockqnn resume``. :mod:`soak_outcome` finds
out what became of the results.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any, Literal, NamedTuple

import psutil
from nni_shell import Nni, Running, free_port, kill, of_home, write_config

Fault = Literal["trial", "dispatcher", "manager", "both", "manager, then at its resume"]
FAULTS: tuple[Fault, ...] = (
    "trial",
    "dispatcher",
    "manager",
    "both",
    "manager, then at its resume",
)
Moment = Literal["any time", "begun", "kept", "reported"]
MOMENTS: tuple[Moment, ...] = ("any time", "begun", "kept", "reported")
"""Any time, or right after a trial has noted this phase."""
ANY_TIME_SECONDS = 3.0
"""About the time from one trial's end to the next one's."""
TRIAL = Path(__file__).with_name("soak_trial.py")
SPACE = {
    "block": {"_type": "nsc", "_value": {"max_layers": 8}},
    "repeats": {"_type": "choice", "_value": [1]},
    "network": {"_type": "choice", "_value": ["digits"]},
}
TUNER_ARGUMENT = "--exp_params"
OVER = ("DONE", "NO_MORE_TRIAL")
"""Statuses in which no further trial begins."""


class Injected(NamedTuple):
    """A kill.

    Attributes:
        seconds: from the kill until the search went on; 0 for a trial's, which stops nothing.
    """

    fault: Fault
    moment: Moment
    seconds: float


@dataclass
class Soak:
    """An experiment whose processes are killed.

    Attributes:
        truth: the file in which the trials note what they did.
        patient: after the tuner's death, wait for NNI to notice it (30 s) and do not stop first.
    """

    nni: Nni
    running: Running
    truth: Path
    random: Random
    patient: bool = False
    injected: list[Injected] = field(default_factory=list)

    def inject(self, fault: Fault, moment: Moment) -> bool:
        """Kill and go on; False if the search was over before."""
        if not self._wait_for(moment):
            return False
        began = time.monotonic()
        if not kill(self._victims(fault, moment)):
            return self.inject(fault, moment)
        if fault != "trial":
            self._go_on(fault)
        self.injected.append(
            Injected(fault, moment, 0 if fault == "trial" else time.monotonic() - began)
        )
        return True

    def finish(self) -> None:
        """Wait until all trials of the budget have run, and stop."""
        self.running.wait_for_end()
        self.nni.stop(self.running.id)

    def _wait_for(self, moment: Moment) -> bool:
        if moment == "any time":
            time.sleep(self.random.uniform(0, ANY_TIME_SECONDS))
            return self.running.status() not in OVER
        seen = len(notes(self.truth))
        checked = time.monotonic()
        while all(note["phase"] != moment for note in notes(self.truth)[seen:]):
            time.sleep(0.002)
            if time.monotonic() - checked > 1:
                checked = time.monotonic()
                if self.running.status() in OVER:
                    return False
        return True

    def _victims(self, fault: Fault, moment: Moment) -> list[psutil.Process]:
        if fault == "trial" and moment == "any time":
            return self._trials()[:1]
        if fault == "trial":
            last = [note["pid"] for note in notes(self.truth) if note["phase"] == moment][-1]
            return [process for process in self._trials() if process.pid == last]
        tuner = tuner_process(self.nni, self.running)
        if fault == "dispatcher":
            return [tuner]
        manager = self.nni.processes(self.running.id)[0]
        chosen = [manager, tuner] if fault == "both" else [manager]
        return self.random.sample(chosen, len(chosen))

    def _kill_at_resume(self) -> bool:
        """Kill the new manager in the first seconds of its life; True if the search goes on.

        That is so if ``blockqnn resume`` was still there to try once more.
        """
        port = free_port()
        arguments = ("blockqnn", "resume", self.running.id, "--port", str(port))
        resuming = Thread(target=self.nni.run, args=arguments)
        resuming.start()
        while resuming.is_alive() and not (managers := self._managers()):
            time.sleep(0.05)
        time.sleep(self.random.uniform(0, ANY_TIME_SECONDS))
        kill(managers)
        resuming.join()
        self.running = replace(self.running, port=port)
        return bool(self._managers())

    def _managers(self) -> list[psutil.Process]:
        return [process for process in of_home(self.nni.home) if _is_manager(process)]

    def _trials(self) -> list[psutil.Process]:
        trials = self.nni.processes(self.running.id)
        return [process for process in trials if _is_python(process, str(TRIAL))]

    def _go_on(self, fault: Fault) -> None:
        if fault == "dispatcher":
            if self.patient:
                over = ("ERROR", "DONE")
                self.running.wait_until(
                    lambda: self.running.status() in over, "NNI to notice", or_error=True
                )
            if not self.patient or self.running.status() == "DONE":
                self.nni.stop(self.running.id)
        if fault == "manager, then at its resume" and self._kill_at_resume():
            return
        self.running = self.nni.resume(self.running, with_blockqnn=True)


def start(nni: Nni, directory: Path, *, trials: int, seed: int, seconds: float = 1.0) -> Soak:
    """
    Args:
        trials: the budget.
        seed: of the tuner and of the moments.
        seconds: the most that a trial takes.
    """
    truth = directory / "truth.jsonl"
    truth.touch()
    config = soak_config(truth, trials=trials, seed=seed, seconds=seconds)
    running = nni.create(write_config(directory, config))
    return Soak(nni, running, truth, Random(seed))


def soak_config(
    truth: Path, *, trials: int, seed: int, seconds: float = 1.0, **changes: Any
) -> dict[str, Any]:
    return {
        "searchSpace": SPACE,
        "trialCommand": f"python {TRIAL} {truth} {seconds}",
        "trialConcurrency": 2,
        "maxTrialNumber": trials,
        "tuner": {
            "className": "nni_blockqnn.tuner.BlockQNNTuner",
            "codeDirectory": ".",
            "classArgs": {"budget": trials, "seed": seed},
        },
        "trainingService": {"platform": "local"},
    } | changes


def tuner_process(nni: Nni, running: Running) -> psutil.Process:
    processes = nni.processes(running.id)
    (found,) = [process for process in processes if _is_python(process, TUNER_ARGUMENT)]
    return found


def notes(truth: Path) -> list[dict[str, Any]]:
    """What the trials noted, oldest first."""
    whole, _, _ = truth.read_text(encoding="utf-8").rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


def _is_manager(process: psutil.Process) -> bool:
    try:
        return any(argument.endswith("main.js") for argument in process.cmdline())
    except psutil.Error:
        return False


def _is_python(process: psutil.Process, argument: str) -> bool:
    try:
        command = process.cmdline()
    except psutil.Error:
        return False
    return argument in command and Path(command[0]).name.startswith("python")
