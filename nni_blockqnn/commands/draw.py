"""``blockqnn draw``."""

from __future__ import annotations

import argparse
from pathlib import Path

from nni_blockqnn.blocks.block import parse_block
from nni_blockqnn.commands import _block_argument as block_argument
from nni_blockqnn.reports.text_graph import draw_text


def draw(arguments: argparse.Namespace) -> int:
    codes = block_argument.codes_argument(arguments.block)
    block = parse_block(codes, "separate")  # it knows every type, and both look alike
    print(draw_text(block))
    if arguments.output is not None:
        from nni_blockqnn.reports.drawing import draw_image  # matplotlib, for images alone

        draw_image(block, arguments.output, title=arguments.title)
        print(f"wrote {arguments.output}")
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("block", help=block_argument.HELP)
    parser.add_argument("-o", "--output", type=Path, help="a .svg, .png or .pdf file")
    parser.add_argument("--title")
