"""The parser of ``blockqnn``: of a command line, and of all that there is."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

from nni_blockqnn import __version__
from nni_blockqnn.common.command_line import ArgumentParser
from nni_blockqnn.common.torchrun import leave_for_summary, let_first_process_report


def _no_arguments(parser: argparse.ArgumentParser) -> None:
    """Of a command that has none, or only late ones."""


@dataclass(frozen=True)
class Command:
    """A command of ``blockqnn``.

    Attributes:
        name: also that of the function that runs it, with _ for -.
        module: of ``commands/``, where that function is.
        add_arguments: adds the arguments that need nothing to be loaded.
        has_late_arguments: whether the module has a function ``add_arguments`` for further ones,
            which is loaded once the command is used.
    """

    name: str
    module: str
    help: str
    description: str | None
    epilog: str
    add_arguments: Callable[[argparse.ArgumentParser], None] = _no_arguments
    has_late_arguments: bool = False

    @property
    def function(self) -> str:
        return self.name.replace("-", "_")


class _Parser(ArgumentParser):
    """Says what is wrong with a command once, although all of torchrun's processes read it."""

    def error(self, message: str) -> NoReturn:
        let_first_process_report()
        leave_for_summary(message)
        super().error(message)


class _CommandParser(_Parser):
    """A command's parser, whose further arguments are added when it is used, if it has any."""

    add_late: Callable[[argparse.ArgumentParser], None] | None = None

    def load_arguments(self) -> None:
        if self.add_late is not None:
            add_late, self.add_late = self.add_late, None
            add_late(self)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.load_arguments()
        return super().parse_known_args(args, namespace)


def _late(module: str, function: str) -> Callable[..., Any]:
    """A function of a command's module, which is imported when it is called.

    NNI, PyTorch and matplotlib take seconds to load: a command loads only what it uses.
    """

    def call(argument: Any) -> Any:
        return getattr(import_module(f"nni_blockqnn.commands.{module}"), function)(argument)

    return call


def command_parser(commands: Iterable[Command]) -> argparse.ArgumentParser:
    """Reads a command line; a command's further arguments are added when it is used."""
    return _with_commands(commands)[0]


def full_parser(
    commands: Iterable[Command],
) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser with all arguments of all commands, and the commands' parsers by name.

    That loads PyTorch.
    """
    parser, parsers = _with_commands(commands)
    for one in parsers.values():
        one.load_arguments()
    return parser, dict(parsers)


def _with_commands(
    commands: Iterable[Command],
) -> tuple[argparse.ArgumentParser, dict[str, _CommandParser]]:
    parser = _Parser(
        prog="blockqnn",
        description="Finds convolutional blocks with Q-learning (BlockQNN) on NNI.",
        epilog="start here: blockqnn demo",
    )
    parser.add_argument("--version", action="version", version=f"blockqnn {__version__}")
    added = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_CommandParser)
    for command in commands:
        one = added.add_parser(
            command.name, help=command.help, description=command.description, epilog=command.epilog
        )
        command.add_arguments(one)
        if command.has_late_arguments:
            one.add_late = _late(command.module, "add_arguments")
        one.set_defaults(command=_late(command.module, command.function), commands=commands)
    return parser, added.choices
