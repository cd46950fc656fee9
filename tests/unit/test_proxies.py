"""The loopback address never goes through a proxy, whatever the environment says."""

from __future__ import annotations

import os
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

import pytest
import requests.utils

from nni_blockqnn.bridge import launch
from nni_blockqnn.bridge._proxies import keep_loopback_direct, without_proxy_to_loopback

PROXIES = {"http_proxy": "http://proxy:1", "ALL_PROXY": "socks5://proxy:2"}


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ({}, "localhost,127.0.0.1,::1"),
        ({"no_proxy": ""}, "localhost,127.0.0.1,::1"),
        ({"no_proxy": "a.org, .b"}, "a.org,.b,localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "a.org"}, "a.org,localhost,127.0.0.1,::1"),
        ({"no_proxy": "a", "NO_PROXY": "b,a"}, "a,b,localhost,127.0.0.1,::1"),
        ({"no_proxy": "127.0.0.1"}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "*"}, "*"),
    ],
)
def test_both_spellings_are_merged(given: dict[str, str], hosts: str) -> None:
    variables = without_proxy_to_loopback(PROXIES | given)
    assert variables == PROXIES | {"no_proxy": hosts, "NO_PROXY": hosts}


@pytest.mark.parametrize("given", [{}, {"no_proxy": "a.org"}, {"NO_PROXY": "*"}])
def test_the_libraries_understand_it(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (PROXIES | given).items():
        monkeypatch.setenv(name, value)
    # restored with the others afterwards
    monkeypatch.setenv("no_proxy", given.get("no_proxy", ""))
    monkeypatch.setenv("NO_PROXY", given.get("NO_PROXY", ""))
    started = launch.environment(loopback=True)
    keep_loopback_direct()
    assert started["NO_PROXY"] == started["no_proxy"] == os.environ["no_proxy"]
    for host in ("localhost", "127.0.0.1"):
        assert proxy_bypass_environment(f"{host}:8080")
        assert requests.utils.get_environ_proxies(f"http://{host}:8080/api") == {}
    other = requests.utils.get_environ_proxies("http://example.org")
    assert bool(other) is (given.get("NO_PROXY") != "*")
