"""Real NNI experiments for ``nni/`` and ``system/``; marks that follow from fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from nni_shell import PATIENCE_SECONDS, SEARCH_TRIALS, TEMPLATES, Nni, Search, shell, write_config

EXPERIMENTS = {"nni", "search"}
DEAD_PROXIES = {"http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "socks5://127.0.0.1:9"}
"""Nothing that NNI's parts tell each other on this machine may go through them."""
LONGEST = "test_whole_search.py"
SHARED = {"search", "of_ranks", "stopped", "exported", "whole", "surrogate", "usual_trial", "hosts"}
"""Fixtures that take seconds and serve several tests: pytest-xdist runs these in one process."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what uses a real experiment or a costly fixture as slow; group what shares one.

    Any later, pytest-xdist has read the groups already.
    """
    used = getattr(item, "fixturenames", ())
    if EXPERIMENTS.intersection(used):
        item.add_marker(pytest.mark.slow)
        item.add_marker(pytest.mark.timeout(PATIENCE_SECONDS))
    for name in SHARED.intersection(used):
        item.add_marker(pytest.mark.slow)
        item.add_marker(pytest.mark.xdist_group(name))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test first: as the last one, it would go on alone for a minute."""
    items.sort(key=lambda item: item.path.name != LONGEST)


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What takes seconds to make and is the same in each home: a list of fonts, decoded digits."""
    folder = tmp_path_factory.mktemp("caches")
    return {"MPLCONFIGDIR": str(folder / "fonts"), "NNI_BLOCKQNN_CACHE": str(folder / "images")}


@pytest.fixture
def nni(tmp_path: Path, caches: dict[str, str]) -> Iterator[Nni]:
    """A user's shell for one test."""
    with shell(tmp_path / "home") as opened:
        opened.environment |= caches
        yield opened


@pytest.fixture(scope="session")
def quick_start() -> dict[str, Any]:
    """The quick start with few trials of one epoch."""
    config = yaml.safe_load((TEMPLATES / "blockqnn_quickstart.yml").read_text(encoding="utf-8"))
    config["searchSpace"]["block"]["_value"]["max_layers"] = 6
    config["trialCommand"] += " --epochs 1"
    config["maxTrialNumber"] = SEARCH_TRIALS
    config["tuner"]["classArgs"] |= {"budget": SEARCH_TRIALS, "seed": 0}
    return config


@pytest.fixture(scope="session")
def search(
    quick_start: dict[str, Any], caches: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Search]:
    """A search by ``blockqnn create`` that is done, for all tests that only read it."""
    directory = tmp_path_factory.mktemp("search")
    with shell(directory / "home") as opened:
        opened.environment |= caches | DEAD_PROXIES
        running = opened.create(write_config(directory, quick_start), with_blockqnn=True)
        running.wait_for_end()
        for name in DEAD_PROXIES:
            del opened.environment[name]
        yield Search(opened, running)
