"""Proxies are for the network: NNI's parts talk to each other on this machine's loopback address.

The libraries that they use (requests, urllib, websockets) take a proxy from ``http_proxy``,
``all_proxy`` and the like, also for that address, unless ``no_proxy`` names it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NAMES = ("no_proxy", "NO_PROXY")


def without_proxy_to_loopback(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment, in which the hosts that it excepts from proxies and the loopback address are
    excepted under both spellings of the variable."""
    excepted = [host.strip() for name in _NAMES for host in variables.get(name, "").split(",")]
    hosts = (
        "*" if "*" in excepted else ",".join(dict.fromkeys([*filter(None, excepted), *_LOOPBACK]))
    )
    return {**variables, **dict.fromkeys(_NAMES, hosts)}


def keep_loopback_direct(environment: MutableMapping[str, str] = os.environ) -> None:
    """The same in this process and those that it starts."""
    environment.update(without_proxy_to_loopback(environment))
