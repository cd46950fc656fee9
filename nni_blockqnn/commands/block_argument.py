"""A block on the command line: a name, its codes, or a file that holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nni_blockqnn.commands.finalists import read_finalist
from nni_blockqnn.named_blocks import NAMED_BLOCKS, codes_of, names

HELP = f"{names()} (the paper's Fig. 2), structure codes as JSON text, or a file that holds them"


def codes_argument(text: str, encoding: str = "pcc") -> str:
    """Codes as JSON text, unread.

    Raises:
        ValueError, OSError: if the text is neither codes nor a name nor a file that can be read.
    """
    return block_parameters(text, encoding=encoding)["block"]


def block_parameters(text: str, rank: int | None = None, encoding: str = "pcc") -> dict[str, Any]:
    """A trial's parameters, as far as the text says them: ``block`` at least.

    Args:
        rank: of the block in a file of finalists, which says ``repeats``, ``network`` and ``space``
            too; by default the first.

    Raises:
        ValueError, OSError: as :func:`codes_argument`.
    """
    content = codes_of(text, encoding)
    if text not in NAMED_BLOCKS and not text.lstrip().startswith("["):
        path = Path(text)
        if not path.is_file():
            raise ValueError(f"a block must be {HELP}; there is no file {text}")
        content = path.read_text(encoding="utf-8").strip()
        if content.startswith("{"):
            return read_finalist(path, 1 if rank is None else rank)
    if rank is not None:
        raise ValueError("rank chooses from a file of finalists (blockqnn top --output) only")
    return {"block": content}
