"""A parser of command lines that guesses which option a misspelt one was meant to be."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from nni_blockqnn.common.messages import did_you_mean


class ArgumentParser(argparse.ArgumentParser):
    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            hints = [did_you_mean(word.partition("=")[0], _options(self)) for word in unknown]
            hint = next(filter(None, hints), "")
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return found


def _options(parser: argparse.ArgumentParser) -> list[str]:
    """All options of the parser and of its commands."""
    own = [name for name in parser._option_string_actions if name.startswith("--")]
    return [*own, *(name for one in _commands(parser) for name in _options(one))]


def _commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()
