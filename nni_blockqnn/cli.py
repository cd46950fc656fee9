"""The command ``blockqnn``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nni_blockqnn import __version__, commands
from nni_blockqnn.checks import ConfigError
from nni_blockqnn.demo import DemoError
from nni_blockqnn.experiments import ExperimentDatabaseError, ExperimentNotFoundError
from nni_blockqnn.launch import LaunchError

_ERRORS = (
    ConfigError,
    DemoError,
    ExperimentDatabaseError,
    ExperimentNotFoundError,
    LaunchError,
    OSError,
    ValueError,
)
"""What a user can put right: shown as one line. Anything else is a bug and keeps its traceback."""


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except _ERRORS as error:
        print(f"blockqnn: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="blockqnn",
        description="Finds convolutional blocks with Q-learning (BlockQNN) on NNI.",
        epilog="start here: blockqnn demo",
    )
    parser.add_argument("--version", action="version", version=f"blockqnn {__version__}")
    commands_parser = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (
        _add_demo,
        _add_check,
        _add_create,
        _add_resume,
        _add_top,
        _add_report,
        _add_draw,
        _add_register,
    ):
        add(commands_parser)
    return parser


def _add_demo(parsers: argparse._SubParsersAction) -> None:
    parser = parsers.add_parser(
        "demo",
        help="search blocks for handwritten digits: a few minutes on a CPU, no download",
        description="Runs the quick start with a live display. Ctrl-C stops it cleanly.",
        epilog="example: blockqnn demo --trials 48 --output blockqnn-demo",
    )
    parser.add_argument("--trials", type=int, default=48, help="default: %(default)s")
    parser.add_argument(
        "--concurrency", type=int, help="trials at a time (default: one a core, at most 8)"
    )
    parser.add_argument("--seed", type=int, help="of the search (default: drawn)")
    parser.add_argument("--port", type=int, help="of the web UI (default: the first free one)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("blockqnn-demo"),
        help="folder for the best block and the report (default: %(default)s)",
    )
    parser.set_defaults(command=commands.demo)


def _add_create(parsers: argparse._SubParsersAction) -> None:
    parser = parsers.add_parser(
        "create",
        help="check a configuration, then start its search",
        description="Checks a configuration as `blockqnn check` does, then runs `nnictl create`. "
        "The web UI of a local search listens on this machine's loopback address only.",
        epilog="example: blockqnn create config_templates/blockqnn_quickstart.yml",
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("--port", type=int, help="of the web UI (default: the first free one)")
    parser.set_defaults(command=commands.create)


def _add_resume(parsers: argparse._SubParsersAction) -> None:
    parser = parsers.add_parser(
        "resume",
        help="go on with a search that was stopped or killed",
        description="Does what `nnictl resume` does, after a kill too: it ends what the old run "
        "left behind, takes a free port, and does not trust process ids that may belong to others "
        "now.",
        epilog="example: blockqnn resume AbCdEfGh",
    )
    _add_experiment(parser)
    parser.add_argument("--port", type=int, help="of the web UI (default: the first free one)")
    parser.set_defaults(command=commands.resume)


def _add_check(parsers: argparse._SubParsersAction) -> None:
    parser = parsers.add_parser(
        "check",
        help="say what would make a search hang or fail",
        description="Checks versions, the configuration, the tuner's arguments, GPUs, the trial's "
        "command, the data against the network, disk and port. Reads the data, and so downloads it "
        "if it is missing. Exits with 1 if the search would fail.",
        epilog="example: blockqnn check config_templates/blockqnn_cifar100.yml --port 8080",
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("--port", type=int, help="also check that the web UI can have this port")
    parser.set_defaults(command=commands.check)


def _add_top(parsers: argparse._SubParsersAction) -> None:
    parser = parsers.add_parser(
        "top",
        help="show the best blocks of an experiment",
        description="Shows the best distinct blocks, each with the result that its own trial "
        "reported; NNI's web UI may show results beside other trials' parameters.",
        epilog="example: blockqnn top AbCdEfGh --k 5 --by accuracy --format csv > best.csv",
    )
    _add_experiment(parser)
    parser.add_argument("--k", type=int, default=10, help="how many (default: %(default)s)")
    parser.add_argument("--by", choices=("reward", "accuracy"), default="reward")
    parser.add_argument("--format", choices=("table", "json", "csv"), default="table")
    parser.add_argument("--max-params", type=int, help="only networks of at most so many weights")
    parser.add_argument("--max-flops", type=int, help="only networks of at most so many FLOPs")
    parser.set_defaults(command=commands.top)


def _add_report(parsers: argparse._SubParsersAction) -> None:
    parser = parsers.add_parser(
        "report",
        help="write a report of an experiment as an HTML file",
        epilog="example: blockqnn report AbCdEfGh -o report.html",
    )
    _add_experiment(parser)
    parser.add_argument("-o", "--output", type=Path, default=Path("blockqnn-report.html"))
    parser.set_defaults(command=commands.report)


def _add_draw(parsers: argparse._SubParsersAction) -> None:
    parser = parsers.add_parser(
        "draw",
        help="draw a block",
        description="Draws structure codes in the terminal, and as an image if -o names a file.",
        epilog="example: blockqnn draw '[[1,1,3,0,0],[2,1,3,1,0],[3,5,0,1,2]]' -o block.svg",
    )
    parser.add_argument("block", help="structure codes as JSON text, or a file that holds them")
    parser.add_argument("-o", "--output", type=Path, help="a .svg, .png or .pdf file")
    parser.add_argument("--title")
    parser.set_defaults(command=commands.draw)


def _add_register(parsers: argparse._SubParsersAction) -> None:
    parser = parsers.add_parser(
        "register",
        help="make the tuner known to NNI by name",
        description="Registers the tuner, so that any NNI experiment can say "
        "`tuner: {name: BlockQNN}`.",
        epilog="example: blockqnn register",
    )
    parser.set_defaults(command=commands.register)


def _add_experiment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "experiment", nargs="?", help="its ID (default: the experiment started last)"
    )


if __name__ == "__main__":
    sys.exit(main())
