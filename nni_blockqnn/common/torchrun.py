"""This process among those that torchrun has started, and what it tells the user.

All of them meet most errors, and each would print its own; torchrun then shows a long summary,
whose last lines are what a failed process has left in a file for it.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

_HEAD_START = 3.0
"""Seconds that the first process has to report an error: torchrun then ends the others."""


@dataclass(frozen=True)
class Place:
    """Which of torchrun's processes this one is; by default it is alone.

    Attributes:
        rank: 0 to `size - 1`, over all machines.
        local_rank: 0 to `local_size - 1`, over those of this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def own_place() -> Place:
    """This process's place, from the environment that torchrun sets."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:  # WORLD_SIZE may be of something else
        return Place()
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    return Place(*(int(os.environ[name]) for name in names))


def let_first_process_report() -> None:
    """Wait for this machine's first process: if it fails too, torchrun ends this one."""
    if own_place().local_rank:
        time.sleep(_HEAD_START)


def wait_for_the_end() -> None:
    """Another process has ended, so torchrun is about to end this one."""
    time.sleep(_HEAD_START)


def say_error(message: str) -> None:
    """One line on stderr, of several processes' one; torchrun's summary shows it as well."""
    let_first_process_report()
    rank = own_place().rank
    speaker = f"blockqnn, process {rank}" if rank else "blockqnn"
    print(f"{speaker}: {message}", file=sys.stderr, flush=True)
    leave_for_summary(message)


def leave_for_summary(message: str) -> None:
    """Have torchrun's summary end in this, if this process is the first to fail."""
    path = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if path and own_place().size > 1:
        extra = {"timestamp": str(int(time.time()))}
        content = json.dumps({"message": {"message": message, "extraInfo": extra}})
        Path(path).write_text(content, encoding="utf-8")


def end_with(main: Callable[[], int]) -> NoReturn:
    """Run `main` and exit with what it returns.

    One of several processes exits without Python's cleaning up. If it failed, NCCL would wait there
    for the others, and they for torchrun, which waits for this one's end; if not, it hung now and
    then all the same (PyTorch 2.14, gloo, without a Python frame).
    """
    if own_place().size == 1:
        sys.exit(main())
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        let_first_process_report()
        leave_for_summary(f"{type(error).__name__}: {error}")
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
