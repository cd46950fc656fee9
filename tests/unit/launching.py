"""torchrun, as a user starts it, but for the CPU."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import nni_blockqnn

LAUNCHER = (sys.executable, "-m", "torch.distributed.run")
HERE = Path(__file__).parent


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start(*arguments: str) -> subprocess.Popen[str]:
    """torchrun with these arguments, its output to be read."""
    paths = (Path(nni_blockqnn.__file__).parents[1], HERE)
    return subprocess.Popen(
        [*LAUNCHER, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
        },
    )


def two_processes(*arguments: str) -> tuple[str, ...]:
    """Arguments for two processes of this machine, which run what the others say."""
    return ("--nproc-per-node", "2", "--master-port", str(free_port()), *arguments)


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Its exit status and all that it has printed; killed if that takes minutes."""
    with process:
        try:
            out, err = process.communicate(timeout=400)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
