"""Arguments of commands that need nothing to be loaded."""

from __future__ import annotations

import argparse
from pathlib import Path

from nni_blockqnn.common.messages import shown

_LAST_PORT = 65_535


def experiment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "experiment",
        nargs="?",
        help="its ID, the beginning of its ID, or its folder (default: the experiment started "
        "last)",
    )


def stop_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", help="its ID, the beginning of its ID, or its folder")


def port(
    parser: argparse.ArgumentParser, text: str = "of the web UI (default: the first free one)"
) -> None:
    parser.add_argument("--port", type=_port_number, help=text)


def _port_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _LAST_PORT):
        allowed = f"must be a port from 1 to {_LAST_PORT}"
        raise argparse.ArgumentTypeError(f"{allowed}, got {shown(text)}")
    return int(text)


def no_estimate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-estimate",
        dest="estimate",
        action="store_false",
        help="do not time a few steps of a training to say how long the search would take",
    )


def config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path)


def create_arguments(parser: argparse.ArgumentParser) -> None:
    config(parser)
    port(parser)
    no_estimate(parser)


def check_arguments(parser: argparse.ArgumentParser) -> None:
    config(parser)
    port(parser, "also check that the web UI can have this port")
    no_estimate(parser)
    as_json(parser)


def as_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for scripts: JSON on stdout")


def resume_arguments(parser: argparse.ArgumentParser) -> None:
    experiment(parser)
    port(parser)


def retry_arguments(parser: argparse.ArgumentParser) -> None:
    experiment(parser)
    port(parser, "of the web UI, if it is resumed (default: the first free one)")


def report_arguments(parser: argparse.ArgumentParser) -> None:
    experiment(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("blockqnn-report.html"),
        help="a page (.html), or a folder for the page and every figure as SVG, PNG and CSV "
        "(default: %(default)s)",
    )


def completion_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def demo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--trials", type=int, default=24, help="of the search (default: %(default)s)"
    )
    parser.add_argument(
        "--concurrency", type=int, help="trials at a time (default: one a core, at most 8)"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    port(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="folder for everything; run again, it goes on there (default: blockqnn-demo, or "
        "blockqnn-demo-2 and so on once that is finished)",
    )
