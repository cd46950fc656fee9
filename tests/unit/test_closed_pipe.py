"""A reader that goes before all is written, as in ``blockqnn top | head -1``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nni_blockqnn.common.closed_pipe import drop_unread_output, reader_may_go

LOOP = r"""
import io, os, sys
from nni_blockqnn.cli import main

def run(*arguments, to_stderr=False):
    "Exit code of a command whose output nobody reads; its messages go to the real stderr."
    kept = os.dup(1), os.dup(2)
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 1)
    if to_stderr:
        os.dup2(writer, 2)
    os.close(writer)
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False))
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), line_buffering=True)
    try:
        code = main(list(arguments))
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()  # as Python does at its end
    sys.stderr.flush()
    os.dup2(kept[0], 1), os.dup2(kept[1], 2)
    sys.stdout = sys.__stdout__
    return code

results = [
    run("--help"),
    run("top", "--help"),
    run("draw", "residual"),
    run("list"),
    run("top", "nothing", to_stderr=True),
    run("--nothing", to_stderr=True),
]
print(results)
"""


def test_every_command_is_quiet(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", LOOP],
        capture_output=True,
        text=True,
        env=os.environ | {"HOME": str(tmp_path)},
    )
    assert run.stderr == ""
    assert run.stdout == "[0, 0, 0, 141, 141, 2]\n"


def test_another_pipe_that_breaks_is_an_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError), reader_may_go():
        os.write(writer, b"x")
    os.close(writer)


def test_output_that_is_read_stays() -> None:
    assert not drop_unread_output()
