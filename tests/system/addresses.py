"""This machine's addresses, and whether NNI's web server answers on them."""

from __future__ import annotations

import ipaddress
import socket
import urllib.request

import psutil


def answers(address: str, port: int) -> bool:
    """Whether NNI's REST server answers there."""
    host = f"[{address}]" if ":" in address else address
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{host}:{port}/api/v1/nni/check-status", timeout=20) as answer:
            return b"status" in answer.read()
    except OSError:
        return False


def other_addresses() -> list[str]:
    """All but 127.0.0.1. On Linux 127.0.0.2 is always among them, without any network."""
    of_interfaces = [
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in (socket.AF_INET, socket.AF_INET6)
    ]
    return [address for address in ("127.0.0.2", *of_interfaces) if _is_another(address)]


def _is_another(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    if address == "127.0.0.1" or parsed.is_link_local:
        return False
    try:
        with socket.socket(socket.AF_INET if parsed.version == 4 else socket.AF_INET6) as ours:
            ours.bind((address, 0))
    except OSError:
        return False
    return True
