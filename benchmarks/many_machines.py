"""Faults of hosts in real searches over SSH, and what becomes of the results.

    python benchmarks/many_machines.py [--faults "host crashes" ...] [--output FILE.jsonl]

Three hosts are network namespaces of this machine, each with its address, sshd and home; it takes
root, iproute2 and an SSH server. Each fault has an experiment of its own, whose trials train
nothing (``tests/nni/soak_trial.py``), and a line in the output; lines that are there already are
not run again. At the end it prints a table of them all (docs/many_machines.md).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from json_lines import append, read_lines

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("", "nni", "system")]

from cluster import Cluster, Host, cluster  # noqa: E402
from nni_shell import Nni, Running, kill, shell, write_config  # noqa: E402
from remote_soak import is_on, remote_config, wait_for  # noqa: E402
from small_disk import fill, small_disk  # noqa: E402
from soak import notes  # noqa: E402
from soak_outcome import examine  # noqa: E402

HOSTS, TRIALS = 3, 18
DISK_MEGABYTES = 120
"""Of the host whose disk fills up; with less than 100 left, `blockqnn create` refuses."""
COUNTED = ("finished", "lost", "twice", "mistaken", "unlisted")


@dataclass
class Search:
    """A search on the hosts, of which the first suffers."""

    nni: Nni
    running: Running
    truth: Path
    host: Host
    stack: ExitStack

    def begun(self) -> dict[str, Any]:
        """The next trial that begins on the host."""
        return wait_for(self.truth, "begun", self.host)

    def counted(self) -> int:
        return len(self.running.journal("result"))

    def is_over(self) -> bool:
        return self.running.status() == "DONE"


def short_cut(search: Search) -> None:
    search.begun()
    search.host.cut()
    time.sleep(5)
    search.host.mend()


def long_cut(search: Search) -> None:
    search.begun()
    search.host.cut()
    search.running.wait_until(lambda: search.counted() >= TRIALS - 6, "the others' results")
    time.sleep(70)  # until the manager gives the host up
    search.host.mend()


def crash(search: Search) -> None:
    trial = search.begun()
    search.host.cut()
    wait_for(search.truth, "kept", search.host, trial)
    search.host.kill_all()
    search.host.mend()


def manager_killed(search: Search) -> None:
    trial = search.begun()
    kill(search.nni.processes(search.running.id)[:1])
    wait_for(search.truth, "kept", search.host, trial)
    search.running = search.nni.resume(search.running, with_blockqnn=True)


def gone_at_resume(search: Search) -> None:
    search.begun()
    kill(search.nni.processes(search.running.id)[:1])
    search.host.cut()
    search.running = search.nni.resume(search.running, with_blockqnn=True)
    count = search.counted()
    search.running.wait_until(lambda: search.counted() > count + 2, "the others' results")
    search.host.mend()


def slow_line(search: Search) -> None:
    search.host.slow_down("128kbit")


def full_disk(search: Search) -> None:
    search.begun()
    filler = search.host.server.home / "filler"
    fill(filler)
    time.sleep(10)
    filler.unlink()


FAULTS: dict[str, Callable[[Search], None]] = {
    "line cut for 5 s": short_cut,
    "line cut until the host is given up": long_cut,
    "line cut, host crashes, comes back": crash,
    "manager killed": manager_killed,
    "manager killed, host gone at the resume": gone_at_resume,
    "line of 128 kbit/s": slow_line,
    "disk of the host full for 10 s": full_disk,
}


def run(fault: str) -> dict[str, Any]:
    """One experiment, as a line of the output."""
    with tempfile.TemporaryDirectory(prefix="many-machines-") as name, ExitStack() as stack:
        folder = Path(name)
        hosts = stack.enter_context(cluster(folder / "hosts", HOSTS))
        nni = stack.enter_context(shell(folder / "home"))
        search = start(hosts, nni, folder, stack, with_disk=FAULTS[fault] is full_disk)
        began = time.monotonic()
        FAULTS[fault](search)
        faulty = time.monotonic() - began
        seen = len(notes(search.truth))
        search.running.wait_until(
            lambda: (
                search.is_over()
                or any(is_on(note["pid"], search.host) for note in notes(search.truth)[seen:])
            ),
            "the host to be used again",
        )
        again = time.monotonic() - began - faulty
        search.running.wait_for_end()
        nni.stop(search.running.id)
        outcome = asdict(examine(search.running, notes(search.truth)))
    counts = {name: len(outcome[name]) for name in COUNTED}
    return {"fault": fault, "fault_seconds": round(faulty), "again_seconds": round(again)} | counts


def start(hosts: Cluster, nni: Nni, folder: Path, stack: ExitStack, *, with_disk: bool) -> Search:
    host = hosts.hosts[0]
    if with_disk:
        stack.enter_context(small_disk(host.server.home, DISK_MEGABYTES))
    truth = folder / "truth.jsonl"
    truth.touch()
    (folder / "code").mkdir()
    config = write_config(folder / "code", remote_config(hosts, truth, TRIALS))
    return Search(nni, nni.create(config, with_blockqnn=True), truth, host, stack)


def table(lines: Iterable[dict[str, Any]]) -> str:
    """Markdown: a row for each fault."""
    rows = [
        f"| fault | {' | '.join(COUNTED)} | s that it lasts | s until the host is used again |",
        "| --- |" + " ---: |" * (len(COUNTED) + 2),
    ]
    for line in lines:
        counts = " | ".join(str(line[name]) for name in COUNTED)
        rows.append(
            f"| {line['fault']} | {counts} | {line['fault_seconds']} | {line['again_seconds']} |"
        )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS))
    results = ROOT / "benchmarks" / "results" / "many_machines.jsonl"
    parser.add_argument("--output", type=Path, default=results)
    arguments = parser.parse_args()
    output: Path = arguments.output
    done = read_lines(output)
    for fault in arguments.faults:
        if fault not in [line["fault"] for line in done]:
            done.append(run(fault))
            append(output, done[-1])
            print(done[-1], flush=True)
    print(table(done))


if __name__ == "__main__":
    main()
