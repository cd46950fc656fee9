"""What NNI may do to a tuner, done to BlockQNN's and to NNI's own Random, TPE and Evolution.

    python benchmarks/tuner_conformance.py [--output docs/conformance.md]

Each check of tests/conformance runs in a process of its own, so that one that hangs or crashes does
not end the table. NNI's tuners search 18 choices, BlockQNN the paper's blocks.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import re
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from conformance import CHECKS, Check, NotApplicableError, Subject
from conformance.subjects import (
    blockqnn,
    nni_evolution,
    nni_random,
    nni_tpe,
)

TUNERS: dict[str, Callable[[], Subject]] = {
    "BlockQNN, tuned": lambda: blockqnn("tuned"),
    "BlockQNN, paper": lambda: blockqnn("paper"),
    "Random": nni_random,
    "TPE": nni_tpe,
    "Evolution": nni_evolution,
}
SECONDS = 60
_REASON_LENGTH = 90


def outcome(check: Check, subject: Subject) -> str:
    """What happened, or "pass", or "n/a: why"; from a process of its own."""
    context = multiprocessing.get_context("fork")  # all is imported once
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_play, args=(check, subject, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv() if receiver.poll(SECONDS) else f"hangs for {SECONDS} s"
    except EOFError:
        process.join()
        return f"the process dies ({process.exitcode})"
    finally:
        process.kill()
        process.join()


def _play(check: Check, subject: Subject, sender: Connection[Any, Any]) -> None:
    logging.disable(logging.CRITICAL)
    try:
        check(subject)
    except NotApplicableError as reason:
        sender.send(f"n/a: {reason}")
    except AssertionError as reason:
        sender.send(str(reason))
    else:
        sender.send("pass")


def _cell(text: str) -> str:
    plain = re.sub(r"\s+", " ", text).replace("|", "\\|")
    cut = plain if len(plain) <= _REASON_LENGTH else plain[: _REASON_LENGTH - 3] + "..."
    return cut if text == "pass" or text.startswith("n/a") else f"**{cut}**"


def table(outcomes: dict[str, list[str]]) -> str:
    """A row a check, a column a tuner; what fails is bold."""
    rows = [["check", *TUNERS], ["---"] * (1 + len(TUNERS))]
    for number, check in enumerate(CHECKS):
        described = " ".join((check.__doc__ or "").split())
        cells = [_cell(outcomes[name][number]) for name in TUNERS]
        rows.append([f"{described} `{check.__name__}`", *cells])
    passed = [str(outcomes[name].count("pass")) for name in TUNERS]
    rows.append([f"passed of {len(CHECKS)}", *passed])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, help="a page whose table is replaced")
    arguments = parser.parse_args()
    outcomes: dict[str, list[str]] = {}
    for name, make_subject in TUNERS.items():
        subject = make_subject()
        outcomes[name] = [outcome(check, subject) for check in CHECKS]
        print(f"{name}: {outcomes[name].count('pass')} of {len(CHECKS)}", file=sys.stderr)
    text = table(outcomes)
    print(text)
    if arguments.output:
        page = arguments.output.read_text(encoding="utf-8")
        page = re.sub(r"(?m)(^\|.*\n)+", lambda _: text + "\n", page, count=1)
        arguments.output.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
