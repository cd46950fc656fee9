"""The command ``blockqnn``."""

from __future__ import annotations

import sys

from nni_blockqnn.commands.parsers import command_parser
from nni_blockqnn.commands.table import COMMANDS
from nni_blockqnn.common.closed_pipe import (
    ENDED_BY_SIGPIPE,
    drop_unread_output,
    flush_output,
    reader_may_go,
)
from nni_blockqnn.common.messages import UserError
from nni_blockqnn.common.streams import print_everything
from nni_blockqnn.common.torchrun import say_error

_ERRORS = (UserError, OSError, ValueError)
"""What a user can put right: shown as one line. Anything else is a bug and keeps its traceback."""


def main(argv: list[str] | None = None) -> int:
    print_everything()
    code = ENDED_BY_SIGPIPE
    try:
        with reader_may_go():
            code = _run(argv)
    except SystemExit:  # of argparse, which has printed help
        with reader_may_go():
            flush_output()
        raise
    return code


def _run(argv: list[str] | None) -> int:
    try:
        arguments = command_parser(COMMANDS).parse_args(argv)
        return int(arguments.command(arguments))
    except _ERRORS as error:
        if isinstance(error, BrokenPipeError) and drop_unread_output():
            return ENDED_BY_SIGPIPE
        say_error(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
