"""The reference of the commands, made from what ``blockqnn COMMAND --help`` says."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from nni_blockqnn.cli import COMMANDS
from nni_blockqnn.commands.parsers import full_parser

_INTRODUCTION = """# Commands

What `blockqnn COMMAND --help` says of each, on one page.
`blockqnn completion bash` (or `zsh`, `fish`) lets the shell complete them.
"""


def page() -> str:
    _, parsers = full_parser(COMMANDS)
    parts = [_INTRODUCTION, f"| command | |\n| --- | --- |\n{_contents()}\n"]
    parts += ["\n".join(_command(parsers[command.name])) for command in COMMANDS]
    return "\n".join(parts)


def _contents() -> str:
    return "\n".join(f"| [`{one.name}`](#blockqnn-{one.name}) | {one.help} |" for one in COMMANDS)


def _command(parser: argparse.ArgumentParser) -> Iterator[str]:
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=88)
    usage = parser.format_usage().removeprefix("usage: ").rstrip()
    yield f"## {parser.prog}\n\n{parser.description or ''}\n\n```text\n{usage}\n```\n"
    for group in parser._action_groups:
        rows = [row for action in group._group_actions for row in _row(parser, action)]
        if rows:
            yield f"| {group.title} | |\n| --- | --- |\n" + "\n".join(rows) + "\n"
    yield from _examples(parser.epilog or "")


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> Iterator[str]:
    if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
        return
    formatter = parser._get_formatter()
    name = formatter._format_action_invocation(action)
    text = formatter._expand_help(action) if action.help else ""
    yield f"| `{name}` | {_cell(text)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _examples(epilog: str) -> Iterator[str]:
    """'examples: blockqnn draw inception; blockqnn draw -' as lines of a shell."""
    title, _, lines = epilog.partition(": ")
    if lines:
        yield f"{title.capitalize()}:\n\n```sh\n" + "\n".join(lines.split("; ")) + "\n```\n"
