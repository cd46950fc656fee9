"""Runs a command in the processor time that others leave:  python tests/background.py COMMAND ...

Linux weighs processes by ``nice`` within a session only, and sessions against each other
(autogroup). NNI starts its managers in sessions of their own, so both have to give way.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

LOWEST = 19
_OWN_SESSION = Path("/proc/self/autogroup")


def give_way() -> None:
    os.setsid()
    os.nice(LOWEST)
    with suppress(OSError):  # this system groups no sessions
        _OWN_SESSION.write_text(str(LOWEST))


def main() -> int:
    process = subprocess.Popen(sys.argv[1:], preexec_fn=give_way)
    for number in (signal.SIGINT, signal.SIGTERM):  # a session of its own hears no Ctrl-C
        signal.signal(number, lambda received, _: os.killpg(process.pid, received))
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
