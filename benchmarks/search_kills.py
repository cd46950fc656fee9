"""What a kill of everything costs ``blockqnn search``, at each of its stages.

    python benchmarks/search_kills.py [--rounds 3] [--output FILE.jsonl]

In each round a search of digits runs whole, and again for each stage, in which all of its
processes are killed at once, as a reboot does, and the same command is run again. What a kill costs
is how much longer both runs took together than the whole one of that round. Lines that are in the
output already are not run again. At the end it prints a table (docs/one_command.md).
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from statistics import median
from typing import Any

from json_lines import append, read_lines

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "nni"))

from nni_shell import SCRIPTS, Nni, free_port, shell  # noqa: E402

TRIALS, FINALISTS, FINAL_EPOCHS = 16, 4, 40
COMMAND = (
    *("blockqnn", "search", "digits", "--hours", "1", "--budget", "small", "--gpus", "0"),
    *("--trials", str(TRIALS), "--finalists", str(FINALISTS)),
    *("--final-epochs", str(FINAL_EPOCHS), "-o", "found"),
)
WHOLE = "nothing"
_MOST_SECONDS = 1_800
_RESULTS = "select count(distinct trialJobId) from MetricData where type = 'FINAL'"


class Search:
    """The command, in a home and a folder of its own."""

    def __init__(self, nni: Nni, folder: Path) -> None:
        self.nni, self.output = nni, folder / "found"
        self._log = folder / "said.txt"
        self._began = time.monotonic()
        with self._log.open("a", encoding="utf-8") as said:
            self._process = subprocess.Popen(
                [SCRIPTS / COMMAND[0], *COMMAND[1:], "--port", str(free_port())],
                cwd=folder,
                env=nni.environment,
                stdout=said,
                stderr=subprocess.STDOUT,
            )

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def said(self, text: str) -> bool:
        return text in self._log.read_text(encoding="utf-8")

    def results(self, stage: int) -> int:
        """Trials with a result, of the first or the second experiment."""
        listed = self.nni.listed()
        if len(listed) <= stage:
            return 0
        database = self.nni.home / "nni-experiments" / list(listed)[stage] / "db" / "nni.sqlite"
        with (
            suppress(sqlite3.OperationalError),  # NNI is about to make it
            closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened,
        ):
            return opened.execute(_RESULTS).fetchone()[0]
        return 0

    def wait_for(self, reached: Callable[[], bool]) -> None:
        while not reached():
            if self._process.poll() is not None or self.seconds > _MOST_SECONDS:
                raise RuntimeError(self._log.read_text(encoding="utf-8"))
            time.sleep(0.05)

    def finish(self) -> float:
        """Wait for its end; returns the seconds that it took."""
        if self._process.wait(timeout=_MOST_SECONDS) != 0:
            raise RuntimeError(self._log.read_text(encoding="utf-8"))
        return self.seconds

    def kill(self) -> float:
        """Kill it and all that it started; returns the seconds that it ran."""
        seconds = self.seconds
        self.nni.kill_all()
        self._process.wait()
        return seconds


MOMENTS: dict[str, Callable[[Search], bool]] = {
    "look at the data": lambda search: search.said("times trainings"),
    "search": lambda search: search.results(0) >= TRIALS // 2,
    "finalists": lambda search: search.results(1) >= FINALISTS // 2,
    "winner": lambda search: any(search.output.glob("trained/*/blockqnn-training.pt")),
    "export": lambda search: search.said("exports the winner"),
}
"""When everything is killed."""


def run(moment: str) -> dict[str, Any]:
    """A search, whole or killed once, as fields of a line of the output."""
    with (
        tempfile.TemporaryDirectory(prefix="search-kills-") as folder,
        shell(Path(folder) / "home") as nni,
    ):
        search, before = Search(nni, Path(folder)), 0.0
        if moment != WHOLE:
            search.wait_for(lambda: MOMENTS[moment](search))
            before = search.kill()
            search = Search(nni, Path(folder))
        after = search.finish()
        answer = json.loads((search.output / "result.json").read_text(encoding="utf-8"))
        begun = [
            len(list((nni.home / "nni-experiments" / one / "trials").iterdir()))
            for one in answer["experiments"].values()
        ]
    return {
        "before": round(before, 1),
        "after": round(after, 1),
        "trials": answer["trials"],
        "begun": begun,
    }


def table(lines: Iterable[dict[str, Any]]) -> str:
    """Markdown: a row for each moment."""
    lines = list(lines)
    whole = {line["round"]: line["after"] for line in lines if line["killed in"] == WHOLE}
    rows = [
        "| killed in | s until the kill | s after it | longer than the whole search, s |",
        "| --- | ---: | ---: | ---: |",
    ]
    for moment in (WHOLE, *MOMENTS):
        own = [line for line in lines if line["killed in"] == moment and line["round"] in whole]
        if not own:
            continue
        longer = [line["before"] + line["after"] - whole[line["round"]] for line in own]
        cells = (median(line["before"] for line in own), median(line["after"] for line in own))
        each = f"{median(longer):+.0f} ({min(longer):+.0f} to {max(longer):+.0f})"
        rows.append(f"| {moment} | {cells[0]:.0f} | {cells[1]:.0f} | {each} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    default = Path(__file__).with_name("results") / "search_kills.jsonl"
    parser.add_argument("--output", type=Path, default=default)
    options = parser.parse_args()
    lines = read_lines(options.output)
    done = {(line["round"], line["killed in"]) for line in lines}
    for round_number in range(options.rounds):
        for moment in (WHOLE, *MOMENTS):
            if (round_number, moment) not in done:
                line = {"round": round_number, "killed in": moment} | run(moment)
                lines.append(line)
                append(options.output, line)
                print(json.dumps(line), flush=True)
    print(f"{os.cpu_count()} cores; {' '.join(COMMAND)}\n\n{table(lines)}")


if __name__ == "__main__":
    main()
