"""Ports of this machine for NNI's web UI and its other servers."""

from __future__ import annotations

import socket

from nni_blockqnn.common.messages import UserError

FIRST_PORT = 8080
LAST_PORT = 65_535
_PORTS_TRIED = 100


class NoPortError(UserError, RuntimeError):
    """No port is free; the message says which were tried."""


def free_port(first: int = FIRST_PORT, needs_next: bool = False) -> int:
    """The first port at or above ``first`` on which nothing listens.

    Args:
        needs_next: the next port must be free too, as for NNI's remote training services.

    Raises:
        NoPortError: if a hundred ports are tried in vain.
    """
    for port in range(first, min(first + _PORTS_TRIED, LAST_PORT)):
        if is_free(port) and (not needs_next or is_free(port + 1)):
            return port
    raise NoPortError(f"ports {first} to {first + _PORTS_TRIED - 1} are all in use; give --port")


def is_free(port: int) -> bool:
    with socket.socket() as connection:
        connection.settimeout(1)
        return connection.connect_ex(("127.0.0.1", port)) != 0


def why_not_port(port: int, needs_next: bool = False) -> str | None:
    """Why the web UI cannot have this port; None if it can.

    Args:
        needs_next: as in :func:`free_port`.
    """
    for one in (port, port + 1) if needs_next else (port,):
        beside = "" if one == port else f", which a remote search needs beside {port},"
        if not 1 <= one <= LAST_PORT:
            return f"port {one}{beside} is none: ports are from 1 to {LAST_PORT}"
        if not is_free(one):
            return f"port {one}{beside} is in use; leave --port out for the next free one"
        if not _may_listen(one):
            return f"port {one}{beside} is the administrator's; take one from 1024 with --port"
    return None


def _may_listen(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except PermissionError:
            return False
        except OSError:  # why_not_port() has asked whether it is in use
            return True
    return True
