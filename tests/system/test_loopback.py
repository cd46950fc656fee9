"""Who reaches the web server of a local search: this machine, and nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from addresses import answers, other_addresses
from components import missing
from nni_shell import Nni, Search, write_config


@pytest.fixture(scope="module")
def others() -> list[str]:
    found = other_addresses()
    if not found:
        missing("this machine has no other address than 127.0.0.1")
    return found


def test_blockqnn_create_listens_on_the_loopback_address_only(
    search: Search, others: list[str]
) -> None:
    port = search.running.port
    assert answers("127.0.0.1", port)
    assert [address for address in others if answers(address, port)] == []


def test_nnictl_create_listens_on_every_address(
    nni: Nni, quick_start: dict[str, Any], others: list[str], tmp_path: Path
) -> None:
    running = nni.create(write_config(tmp_path, quick_start | {"trialCommand": "true"}))
    assert [address for address in others if not answers(address, running.port)] == []
