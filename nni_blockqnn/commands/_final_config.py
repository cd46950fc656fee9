"""The configuration of the experiment that trains finalists, out of a template."""

from __future__ import annotations

import json
import re
from pathlib import Path

from nni_blockqnn.commands._templates import template
from nni_blockqnn.common.json_text import read_json
from nni_blockqnn.common.messages import shown
from nni_blockqnn.network.spec import PRESETS

_GENERAL = "cifar100"
"""Whose template also serves data sets that have none of their own."""


def write_config(finalists: Path, network: str, trials: int) -> Path:
    """Write it beside the file of finalists; returns its path.

    One that is there already keeps all that it says but for the number of trials.

    Args:
        network: a preset's name or JSON text of NetworkSpec's fields.

    Raises:
        ValueError: if a file of its name is not the configuration of these finalists.
        OSError: if it cannot be read or written.
    """
    path = finalists.with_suffix(".yml")
    searched = f"searchSpaceFile: {json.dumps(finalists.name)}"
    if not path.exists():
        text = _from_template(_dataset(network), searched)
    elif searched not in (text := path.read_text(encoding="utf-8")).splitlines():
        raise ValueError(
            f"{path} would be the finalists' configuration, but it is there and has no line "
            f"{shown(searched)}: name another file with --output"
        )
    path.write_text(_with_line(text, f"maxTrialNumber: {trials}"), encoding="utf-8")
    return path


def _from_template(dataset: str, searched: str) -> str:
    try:
        text = template(f"train_top_{dataset}.yml").read_text(encoding="utf-8")
    except FileNotFoundError:
        text = template(f"train_top_{_GENERAL}.yml").read_text(encoding="utf-8")
        text = text.replace(f"--dataset {_GENERAL} ", f"--dataset {dataset} ")
        text = _with_line(text, f"experimentName: BlockQNN finalists on {dataset}")
    return _with_line(text, searched)


def _dataset(network: str) -> str:
    """The data set that a network's preset is made for."""
    if network in PRESETS:
        return network
    fields = read_json(network)
    return fields.get("preset", "cifar10") if isinstance(fields, dict) else "cifar10"


def _with_line(text: str, line: str) -> str:
    """The text with this line in the place of the one of its key."""
    key, _, _ = line.partition(":")
    return re.sub(rf"^{key}:.*$", lambda _: line, text, flags=re.MULTILINE)
