"""Output whose reader has gone, as in ``blockqnn top | head -1``: no error, and nothing to say."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

ENDED_BY_SIGPIPE = 141
"""What a shell says of a program that ended so: 128 and the signal's number."""


@contextmanager
def reader_may_go() -> Iterator[None]:
    """End the block quietly once nobody reads stdout or stderr; later output is dropped.

    Raises:
        BrokenPipeError: if it is another pipe, or a connection, that has broken.
    """
    try:
        yield
        flush_output()
    except BrokenPipeError:
        if not drop_unread_output():
            raise


def flush_output() -> None:
    """Write what is buffered of stdout and stderr.

    Raises:
        BrokenPipeError: if nobody reads it.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # Python sets it so where the shell closed it
            stream.flush()


def drop_unread_output() -> bool:
    """Send those of stdout and stderr nowhere that nobody reads; returns whether there is one.

    Else Python would complain at its end, when it flushes them.
    """
    unread = [stream for stream in (sys.stdout, sys.stderr) if _is_unread(stream)]
    for stream in unread:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    return bool(unread)


def _is_unread(stream: IO[str] | None) -> bool:
    if stream is None:
        return False
    with suppress(AttributeError, OSError, ValueError):  # closed, or no file of the system's
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    return False
