"""``blockqnn completion``: what lets a shell complete the commands and their options."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import shtab

from nni_blockqnn.commands.parsers import full_parser

_EXPERIMENTS = {"experiment", "experiments", "early", "final", "finals"}
"""Arguments that may be the ID of an experiment."""
_LIST_EXPERIMENTS = "ls ~/nni-experiments 2>/dev/null | grep -v '^_'"
"""NNI has a folder for each, and ``_latest``; one that keeps them elsewhere is not completed."""


def completion(arguments: argparse.Namespace) -> int:
    """Print the script; it is the same until the options change, so it takes no time when used."""
    parser, commands = full_parser(arguments.commands)
    for command in commands.values():
        for action in command._actions:
            _say_what_completes(action)
    print(shtab.complete(parser, arguments.shell))
    return 0


def _say_what_completes(action: Any) -> None:
    """Give shtab what it looks for at an argument: ``complete``."""
    if action.dest in _EXPERIMENTS:
        action.complete = shtab.cmd(_LIST_EXPERIMENTS)
    elif action.type is Path:
        action.complete = shtab.FILE
