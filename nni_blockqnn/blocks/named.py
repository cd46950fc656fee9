"""The hand-made blocks of the paper's Fig. 2, to compare found blocks with."""

from __future__ import annotations

from difflib import get_close_matches

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.common.messages import alternatives, shown

NAMED_BLOCKS = {
    "residual": Block.parse([[1, 4, 0, 0, 0], [2, 1, 3, 1, 0], [3, 1, 3, 2, 0], [4, 5, 0, 1, 3]]),
    "inception": Block.parse(
        [
            [1, 4, 0, 0, 0],
            [2, 1, 1, 1, 0],
            [3, 1, 3, 2, 0],
            [4, 1, 1, 1, 0],
            [5, 1, 5, 4, 0],
            [6, 6, 0, 3, 5],
            [7, 2, 3, 1, 0],
            [8, 1, 1, 7, 0],
            [9, 6, 0, 6, 8],
        ]
    ),
}
"""The right block of Fig. 2, two 3x3 PCCs with a short-cut, and the left one."""

_NAMES = {block.key: name for name, block in NAMED_BLOCKS.items()}


def codes_of(text: str, encoding: str = "pcc") -> str:
    """The codes of the block of that name as JSON text; any other text as it is.

    Args:
        encoding: in which the codes will be read. The named blocks are made of PCCs.

    Raises:
        ValueError: for a named block and the encoding "separate".
    """
    if text not in NAMED_BLOCKS:
        return text
    if encoding != "pcc":
        raise ValueError(
            f'the block {text} is one of the encoding "pcc", not of {shown(encoding)}: leave the '
            "encoding out, or write its layers as codes of their own"
        )
    return NAMED_BLOCKS[text].to_json()


def found_name(what: str, text: str) -> str:
    """The text, if it is the name of a hand-made block.

    Args:
        what: it is, for the message.

    Raises:
        ValueError: naming the text, the names, and one that it may have meant.
    """
    if text in NAMED_BLOCKS:
        return text
    near = get_close_matches(text.strip().lower(), NAMED_BLOCKS, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    raise ValueError(f"{what}: no block is called {shown(text)}, but {names()}{meant}")


def name_of(block: Block) -> str | None:
    """The name of the hand-made block that this one is, by their keys; ``None`` for others."""
    return _NAMES.get(block.key)


def names() -> str:
    """'residual or inception'"""
    return alternatives(list(NAMED_BLOCKS))
