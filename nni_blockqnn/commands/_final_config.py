"""The configuration of the experiment that trains finalists, made from a template."""

from __future__ import annotations

import json
import re
from pathlib import Path

from nni_blockqnn.commands._templates import template
from nni_blockqnn.common.files import write_whole
from nni_blockqnn.common.json_text import read_json
from nni_blockqnn.common.messages import shown
from nni_blockqnn.network.spec import PRESETS

_GENERAL = "cifar100"
"""The data set whose template also serves those without a template of their own."""


def write_config(finalists: Path, network: str, trials: int) -> Path:
    """Write the configuration beside the file of finalists; returns its path.

    If it exists already, only its number of trials is changed.

    Args:
        finalists: the file of finalists.
        network: a preset's name or JSON text of NetworkSpec's fields.
        trials: how many finalists there are.

    Raises:
        ValueError: if another file has the configuration's name.
        OSError: if it cannot be read or written.
    """
    path = finalists.with_suffix(".yml")
    searched = f"searchSpaceFile: {json.dumps(finalists.name)}"
    if not path.exists():
        text = _from_template(_dataset(network), searched)
    elif searched not in (text := path.read_text(encoding="utf-8")).splitlines():
        raise ValueError(
            f"{path} would be the finalists' configuration, but a file of that name is there "
            f"without the line {shown(searched)}: name another file with --output"
        )
    write_whole(path, _with_line(text, f"maxTrialNumber: {trials}"))
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
