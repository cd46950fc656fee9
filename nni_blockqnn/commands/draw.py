"""``blockqnn draw``."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.text import Text

from nni_blockqnn.blocks.block import Block, parse_block
from nni_blockqnn.commands import _block_argument as block_argument
from nni_blockqnn.commands._console import TableConsole
from nni_blockqnn.reports.text_graph import draw_text, layer_styles


def draw(arguments: argparse.Namespace) -> int:
    codes = block_argument.codes_argument(arguments.block)
    block = parse_block(codes, "separate")  # it knows every type, and both look alike
    _print(block)
    if arguments.output is not None:
        from nni_blockqnn.reports.drawing import draw_image  # matplotlib, for images alone

        draw_image(block, arguments.output, title=arguments.title)
        print(f"wrote {arguments.output}")
    return 0


def _print(block: Block) -> None:
    """The block's graph; in a terminal its layers have the colours of pictures."""
    console = TableConsole()
    if not console.is_terminal:
        print(draw_text(block))
        return
    for text, layer in zip(draw_text(block).splitlines(), layer_styles(block), strict=True):
        line = Text(text)
        start = text.index(layer.name, text.index("●"))
        line.stylize(f"#0f172a on {layer.fill}", start, start + len(layer.name))
        if layer.is_idle:
            line.append("  (does nothing)", "dim")
        console.print(line, soft_wrap=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("block", help=block_argument.HELP)
    parser.add_argument(
        "-o", "--output", type=Path, help="a .svg, .png, .pdf or .tex file; .tex is TikZ"
    )
    parser.add_argument("--title")
