"""A search on CIFAR-10, and `blockqnn top` that writes its finalists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from made_experiments import (
    make_experiment,
    write_list,
)

from nni_blockqnn.cli import main

SEARCHED = {
    "searchSpace": {
        "block": {"_type": "nsc", "_value": {}},
        "network": {"_type": "choice", "_value": ["cifar10"]},
    }
}


def search(home: Path, *metrics: Any, config: dict[str, Any] | None = None) -> None:
    finals = [(f"trial{number}", metric) for number, metric in enumerate(metrics)]
    make_experiment(home, finals=finals, config=SEARCHED if config is None else config)
    write_list(home, abcd1234={"startTime": 1})


def top(home: Path, *arguments: str) -> dict[str, Any]:
    output = home / "finalists.json"
    assert main(["top", "abcd1234", "--output", str(output), *arguments]) == 0
    return json.loads(output.read_text())
