"""The way from a host back to this machine, on the port that NNI's manager is to have."""

from __future__ import annotations

import secrets
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class WayBack(NamedTuple):
    """Where hosts are to find NNI's manager.

    Attributes:
        token: what they send; the answer is the same text backwards.
    """

    address: str
    port: int
    token: str


@contextmanager
def listening(address: str, port: int) -> Iterator[WayBack]:
    """A listener in the place of NNI's manager, on every address as that one.

    Args:
        address: what the hosts are told, ``nniManagerIp``.
        port: 0 for any that is free.

    Raises:
        OSError: if the port is not free.
    """
    token = secrets.token_hex(16)

    class Answer(socketserver.StreamRequestHandler):
        timeout = 10.0

        def handle(self) -> None:
            if self.rfile.readline(100).strip() == token.encode():
                self.wfile.write(token[::-1].encode() + b"\n")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("", port), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield WayBack(address, server.server_address[1], token)
        finally:
            server.shutdown()
            thread.join()
