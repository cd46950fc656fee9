"""Change three rooms in small ways with mutmut, and show which changes no quick test notices.

    python tests/mutants.py [--minutes 120] [ROOM ...]

``[tool.mutmut]`` in pyproject.toml says which files are changed and which tests are tried. What was
tried is kept in mutants/: the same command goes on there, and tries again what was changed since.
It prints the score of each file and the survivors as diffs, which are also in mutants/survivors.md.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

MUTANTS = Path("mutants")
ROOMS = ("q_learning", "exchange", "record")
EXIT_CODES: dict[int | None, str] = {
    None: "not tried",
    2: "not tried",  # interrupted
    0: "survived",
    5: "no test",
    33: "no test",
}
"""By mutmut; all others are of tests that failed, timeouts among them."""


class Tried(NamedTuple):
    """A source file, and what became of each mutant of it by mutmut's name for that."""

    path: Path
    outcomes: dict[str, str]


def try_mutants(rooms: list[str], minutes: float) -> None:
    """Run mutmut for at most this time; it keeps what it has found."""
    patterns = [f"nni_blockqnn.{room}.*" for room in rooms]
    process = subprocess.Popen([sys.executable, "-m", "mutmut", "run", *patterns])
    try:
        process.wait(minutes * 60)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.send_signal(signal.SIGINT)
        process.wait()


def read_tried(rooms: list[str]) -> list[Tried]:
    found = []
    for room in rooms:
        for path in sorted(MUTANTS.glob(f"nni_blockqnn/{room}/*.meta")):
            exit_codes = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
            outcomes = {name: EXIT_CODES.get(code, "killed") for name, code in exit_codes.items()}
            if outcomes:
                found.append(Tried(path.relative_to(MUTANTS).with_suffix(""), outcomes))
    return found


def table(tried: list[Tried]) -> str:
    """Markdown: mutants of each file, and which share of those tried was killed."""
    rows = ["| file | mutants | killed | survived | no test | not tried | score |"]
    rows.append("| --- |" + " ---: |" * 6)
    total: Counter[str] = Counter()
    for each in tried:
        counts = Counter(each.outcomes.values())
        rows.append(_row(f"`{each.path}`", counts))
        total += counts
    return "\n".join([*rows, _row("all", total)])


def _row(name: str, counts: Counter[str]) -> str:
    killed, others = counts["killed"], [counts[x] for x in ("survived", "no test", "not tried")]
    score = f"{100 * killed / max(killed + others[0] + others[1], 1):.1f} %"
    return f"| {name} | {' | '.join(map(str, (counts.total(), killed, *others, score)))} |"


def survivors(tried: list[Tried]) -> str:
    """The diffs of those mutants that no test notices."""
    names = [
        name
        for each in tried
        for name, outcome in each.outcomes.items()
        if outcome in ("survived", "no test")
    ]
    show = [sys.executable, "-m", "mutmut", "show"]
    return "\n".join(
        subprocess.run([*show, name], capture_output=True, text=True, check=True).stdout
        for name in names
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("rooms", nargs="*", choices=ROOMS, default=list(ROOMS), metavar="ROOM")
    parser.add_argument("--minutes", type=float, default=120, help="stop after (default: 120)")
    arguments = parser.parse_args()
    try_mutants(arguments.rooms, arguments.minutes)
    tried = read_tried(arguments.rooms)
    diffs = survivors(tried)
    (MUTANTS / "survivors.md").write_text(
        f"{table(tried)}\n\n```diff\n{diffs}```\n", encoding="utf-8"
    )
    print(f"\n{diffs}\n{table(tried)}")


if __name__ == "__main__":
    main()
