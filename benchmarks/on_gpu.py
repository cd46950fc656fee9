"""Everything that only a GPU can tell, in parts of less than nine minutes, into one Markdown file.

    python benchmarks/on_gpu.py --output DIR
    python benchmarks/on_gpu.py --output DIR --parts figure_2 sharing
    python benchmarks/on_gpu.py --output DIR --smoke --device cpu    # does it run? no figures

Each part is a process of its own, which leaves no memory behind and is ended after its time. Its
results are lines of ``DIR/PART.jsonl``: the same command goes on with what is missing, and writes
``DIR/on_gpu.md`` after each part. Parts: {parts}.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from gpu_parts import PARTS
from gpu_parts.page import page
from gpu_parts.part import Setting, run_part

from nni_blockqnn.common.files import write_whole
from nni_blockqnn.training import pick_device

SECONDS = 420
"""After which a part begins no further case."""
GRACE_SECONDS = 90
"""For a part's start and its last case, then it is ended."""
STOP_SECONDS = 25
"""After that, for a search to be stopped."""
INCOMPLETE = 3
"""The exit code of a part that has more to do."""


def in_a_process_of_its_own(part: str, arguments: argparse.Namespace) -> bool:
    """Run the part; whether it is complete."""
    command = [sys.executable, str(Path(__file__).resolve()), "--in-this-process", "--parts", part]
    command += ["--output", str(arguments.output), "--device", arguments.device]
    command += ["--smoke"] * arguments.smoke
    process = subprocess.Popen(command, start_new_session=True)
    try:
        return process.wait(SECONDS + GRACE_SECONDS) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:  # with what it has started; after Ctrl-C too
        _end(process)


def _end(process: subprocess.Popen[Any]) -> None:
    """First as Ctrl-C does it: NNI's manager is in a session of its own, and must be stopped."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").format(parts=", ".join(PARTS)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--smoke", action="store_true", help="next to no data, everything once")
    parser.add_argument("--in-this-process", action="store_true", help="no limit but --parts' own")
    arguments = parser.parse_args(argv)
    setting = Setting(pick_device(arguments.device), arguments.output, arguments.smoke)
    arguments.output.mkdir(parents=True, exist_ok=True)
    missing = []
    for name in arguments.parts:
        complete = (
            run_part(PARTS[name], setting, SECONDS)
            if arguments.in_this_process
            else in_a_process_of_its_own(name, arguments)
        )
        missing += [] if complete else [name]
        write_whole(arguments.output / "on_gpu.md", page(PARTS, setting))
    if missing:
        print(f"not complete: {', '.join(missing)}; the same command goes on", file=sys.stderr)
        return INCOMPLETE
    return 0


if __name__ == "__main__":
    sys.exit(main())
