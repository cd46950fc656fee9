"""Where NNI's one manager becomes the limit: real searches of 100 to 11,392 quick trials.

    nice python benchmarks/manager_scale.py [--trials 100 1000 5000 11392] [--folder FOLDER]

The search is the paper's (``blockqnn_cifar100.yml``): its space, tuner and settings, under the real
NNI on this machine. Its trials train nothing and start in milliseconds (``quick_trial.py``), but
report as often as a real one, so that the manager has weeks of work in minutes. The longest search
is stopped and resumed in the middle. Near the end of each of over 1,000, what NNI's web page asks
for is asked for during two minutes, as if the page were open with its automatic refresh.

Each finished search has a line in the output, and so has each tenth of it. What is there is not run
again, and a search that was interrupted goes on from its experiment in FOLDER. At the end it prints
tables of them all (docs/many_machines.md). NNI's database takes 16 commits a trial; on a disk
that takes 20 ms for one, that alone is 2 to 3 trials a second, so FOLDER may be one in memory.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import yaml
from json_lines import append, read_lines

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "nni"))

from nni_shell import SCRIPTS, TEMPLATES, Nni, Running, write_config  # noqa: E402
from soak import notes, tuner_process  # noqa: E402
from soak_outcome import examine  # noqa: E402

SIZES = (100, 1000, 5000, 11_392)
STOPPED = 11_392
"""This size is stopped and resumed in the middle."""
INTERMEDIATES = 12
"""The paper's epochs, of which each is reported."""
PAGE_SECONDS, PAGE_TRIALS, PAGE_PAUSE = 120.0, 20, 10.0
"""NNI's page asks for 20 trials' metrics at once, and 10 s later for all of them again."""
PAGE_CONNECTIONS = 6
"""Those of a browser to one server."""
COUNTED = ("finished", "lost", "twice", "invented", "mistaken", "unlisted")
REQUESTS = ("trial-jobs", "metric-data", "metric-data-latest", "metric-data-range/0/20")
MB = 1e6


class Scale:
    """One search, with its experiment in a folder of its own."""

    def __init__(self, folder: Path, trials: int, concurrency: int, write: Callable) -> None:
        self.trials, self.concurrency = trials, concurrency
        self.truth = folder / "truth.jsonl"
        self._config = folder / "config"
        self._write = lambda kind, line: write({"trials": trials, "kind": kind} | line)
        self._offset = self._counted = 0
        folder.mkdir(parents=True, exist_ok=True)
        self.nni = Nni(folder / "home")
        self.running = self._start()

    def _start(self) -> Running:
        listed = self.nni.listed()
        if listed:
            (experiment,) = listed
            directory = self.nni.home / "nni-experiments" / experiment
            return self.nni.resume(Running(experiment, 0, directory), with_blockqnn=True)
        self.truth.touch()
        self._config.mkdir(exist_ok=True)
        config = yaml.safe_load((TEMPLATES / "blockqnn_cifar100.yml").read_text(encoding="utf-8"))
        trial = Path(__file__).with_name("quick_trial.py")
        config |= {
            "trialCommand": f"python -I -S {trial} {self.truth} {INTERMEDIATES}",
            "trialConcurrency": self.concurrency,
            "maxTrialNumber": self.trials,
        }
        config["tuner"]["classArgs"] |= {"budget": self.trials, "seed": 0}
        return self.nni.create(write_config(self._config, config), with_blockqnn=True)

    def finished(self) -> int:
        """How many trials have kept their results."""
        with self.truth.open("rb") as file:
            file.seek(self._offset)
            new = file.read()
        self._offset += len(new)
        self._counted += new.count(b"\n")
        return self._counted

    def run(self) -> None:
        step = max(self.trials // 10, 50)
        stop_at = self.trials // 2 if self.trials == STOPPED else None
        page_at = self.trials * 95 // 100 if self.trials >= 1000 else None
        while (done := self.finished()) < self.trials and self.running.status() != "DONE":
            goals = [done // step * step + step, self.trials, stop_at or done, page_at or done]
            self._write("course", self._advance(min(goal for goal in goals if goal > done)))
            if stop_at and done < stop_at <= self.finished():
                self._write("resumed", self._stop_and_resume())
            if page_at and done < page_at <= self.finished():
                self._write("page", self._with_page_open())
        self.running.wait_until(lambda: self.running.status() == "DONE", "the end")
        self._write("end", self._end())

    def _advance(self, goal: int, seconds: float = float("inf")) -> dict[str, Any]:
        """Wait for so many trials, or so long; what became of time and memory meanwhile."""
        (manager, *_), tuner = self.nni.processes(self.running.id), self._tuner()
        before = self._processor_seconds(manager, tuner)
        done, began = self.finished(), time.monotonic()
        while self.finished() < goal and time.monotonic() - began < seconds:
            if time.monotonic() - began > 10 and self.running.status() in ("ERROR", "DONE"):
                break
            time.sleep(1)
        took, count = time.monotonic() - began, self.finished() - done
        spent = self._processor_seconds(manager, tuner)
        each = [1000 * (b - a) / max(count, 1) for a, b in zip(before, spent, strict=True)]
        return {
            "done": self.finished(),
            "per_minute": round(60 * count / took, 1),
            "manager_ms": round(each[0], 1),
            "tuner_ms": round(each[1], 1),
            "manager_mb": round(manager.memory_info().rss / MB),
            "tuner_mb": round(tuner.memory_info().rss / MB),
            "load": round(os.getloadavg()[0], 1),
            "commit_ms": self._commit_ms(),
        } | self._requests()

    def _tuner(self) -> psutil.Process:
        return tuner_process(self.nni, self.running)

    @staticmethod
    def _processor_seconds(*processes: psutil.Process) -> list[float]:
        return [sum(process.cpu_times()[:2]) for process in processes]

    def _commit_ms(self) -> float:
        """The median of a commit of SQLite's beside NNI's database."""
        times = []
        with closing(sqlite3.connect(self._config / "commits.sqlite")) as database:
            database.execute("create table if not exists numbers (value)")
            for number in range(11):
                began = time.monotonic()
                with database:
                    database.execute("insert into numbers values (?)", (number,))
                times.append(1000 * (time.monotonic() - began))
        return round(statistics.median(times), 2)

    def _requests(self) -> dict[str, Any]:
        """Seconds and megabytes of the answers of NNI's REST server."""
        answers: dict[str, Any] = {}
        for request in REQUESTS:
            began = time.monotonic()
            size = len(self._ask(request))
            answers[request] = [round(time.monotonic() - began, 3), round(size / MB, 2)]
        return answers

    def _ask(self, request: str) -> bytes:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        url = f"http://127.0.0.1:{self.running.port}/api/v1/nni/{request}"
        with direct.open(url, timeout=600) as answer:
            return answer.read()

    def _stop_and_resume(self) -> dict[str, Any]:
        began = time.monotonic()
        self.nni.stop(self.running.id)
        stopped, done = time.monotonic(), self.finished()
        self.running = self.nni.resume(self.running, with_blockqnn=True)
        return {
            "done": done,
            "stop_seconds": round(stopped - began, 1),
            "resume_seconds": round(time.monotonic() - stopped, 1),
        }

    def _with_page_open(self) -> dict[str, Any]:
        with self._page() as refreshes:
            course = self._advance(self.trials, PAGE_SECONDS)
            seconds = list(refreshes)
        return course | {"refreshes": [round(one, 1) for one in seconds]}

    @contextmanager
    def _page(self) -> Iterator[list[float]]:
        """Ask for what NNI's page asks for; the seconds of each whole refresh."""
        refreshes: list[float] = []
        closed = threading.Event()

        def ask(request: str) -> None:
            if not closed.is_set():
                with suppress(OSError):
                    self._ask(request)

        def refresh() -> None:
            while not closed.is_set():
                began, last = time.monotonic(), self._counted
                ranges = range(0, last, PAGE_TRIALS)
                requests = [f"metric-data-range/{i}/{i + PAGE_TRIALS}" for i in ranges]
                list(pool.map(ask, ["trial-jobs", *requests, "metric-data-latest"]))
                if not closed.is_set():
                    refreshes.append(time.monotonic() - began)
                closed.wait(PAGE_PAUSE)

        with ThreadPoolExecutor(PAGE_CONNECTIONS) as pool:
            thread = threading.Thread(target=refresh)
            thread.start()
            try:
                yield refreshes
            finally:
                closed.set()
                thread.join()

    def _end(self) -> dict[str, Any]:
        """What there is at the end, and what it takes to look at it."""
        line: dict[str, Any] = {
            "top": self._command("top", self.running.id),
            "report": self._command("report", self.running.id, "-o", str(self._config / "r.html")),
        }
        began = time.monotonic()
        self.nni.stop(self.running.id)
        line["stop_seconds"] = round(time.monotonic() - began, 1)
        database = self.running.directory / "db" / "nni.sqlite"
        line["database_mb"] = round(database.stat().st_size / MB, 1)
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
            counted = "select count(*) from MetricData where type = 'FINAL'"
            (line["finals_in_nni"],) = opened.execute(counted).fetchone()
        space = yaml.safe_load((self._config / "config.yml").read_text(encoding="utf-8"))
        began = time.monotonic()
        outcome = asdict(examine(self.running, notes(self.truth), space["searchSpace"]))
        line["examine_seconds"] = round(time.monotonic() - began, 1)
        return line | {name: len(outcome[name]) for name in COUNTED}

    def _command(self, *arguments: str) -> list[float]:
        """Seconds, processor seconds and peak megabytes of a command of ours."""
        began = time.monotonic()
        program = str(SCRIPTS / "blockqnn")
        with Path(os.devnull).open("wb") as nowhere:
            actions = [(os.POSIX_SPAWN_DUP2, nowhere.fileno(), 1)]
            pid = os.posix_spawn(
                program, ["blockqnn", *arguments], self.nni.environment, file_actions=actions
            )
            _, status, usage = os.wait4(pid, 0)
        if status != 0:
            raise RuntimeError(f"blockqnn {' '.join(arguments)} ended with {status}")
        seconds = time.monotonic() - began
        return [
            round(seconds, 1),
            round(usage.ru_utime + usage.ru_stime, 1),
            round(usage.ru_maxrss * 1024 / MB),
        ]


def tables(lines: Iterable[dict[str, Any]]) -> str:
    """Markdown: the course of the searches, then their ends."""
    lines = list(lines)
    rows = [
        "| trials | of | a minute | ms of the manager a trial | ms of the tuner | manager, MB "
        "| tuner, MB | list of trials, s | all metrics, s | 20 trials' metrics, s |",
        "|" + " ---: |" * 10,
    ]
    for line in lines:
        if line["kind"] in ("course", "page"):
            asked = " | ".join(
                f"{line[request][0]:.2f}" for request in REQUESTS if request != "metric-data-latest"
            )
            page = ", page open" if line["kind"] == "page" else ""
            rows.append(
                f"| {line['done']:,}{page} | {line['trials']:,} | {line['per_minute']:.0f} "
                f"| {line['manager_ms']:.0f} | {line['tuner_ms']:.0f} | {line['manager_mb']} "
                f"| {line['tuner_mb']} | {asked} |"
            )
    rows += [
        "",
        "| trials | `top`, s | MB | `report`, s | MB | database, MB | "
        + " | ".join(COUNTED)
        + " |",
        "|" + " ---: |" * (6 + len(COUNTED)),
    ]
    for line in lines:
        if line["kind"] == "end":
            top, page = line["top"], line["report"]
            counts = " | ".join(f"{line[name]:,}" for name in COUNTED)
            rows.append(
                f"| {line['trials']:,} | {top[0]} | {top[2]} | {page[0]} | {page[2]} "
                f"| {line['database_mb']} | {counts} |"
            )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=SIZES)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()) / "manager-scale"
    )
    results = ROOT / "benchmarks" / "results" / "manager_scale.jsonl"
    parser.add_argument("--output", type=Path, default=results)
    arguments = parser.parse_args()
    output: Path = arguments.output
    lines = read_lines(output)

    def write(line: dict[str, Any]) -> None:
        lines.append(line)
        append(output, line)
        print(line, flush=True)

    for trials in arguments.trials:
        if not any(line["trials"] == trials and line["kind"] == "end" for line in lines):
            scale = Scale(arguments.folder / str(trials), trials, arguments.concurrency, write)
            try:
                scale.run()
            finally:
                scale.nni.kill_all()
    print(tables(lines))


if __name__ == "__main__":
    main()
