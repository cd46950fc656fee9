"""A block on the command line: a name, its codes, or a file that holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nni_blockqnn.blocks.named import NAMED_BLOCKS, codes_of, names
from nni_blockqnn.common.json_text import read_json
from nni_blockqnn.common.messages import shown
from nni_blockqnn.exchange.finalists import read_finalist

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
        content = _read(path)
        if content.startswith("{"):
            return read_finalist(path, 1 if rank is None else rank)
        _check_rows(content, path)
    if rank is not None:
        raise ValueError("rank chooses from a file of finalists (blockqnn top --output) only")
    return {"block": content}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text file: {_WANTED}") from None


def _check_rows(content: str, path: Path) -> None:
    """So that what is no list of rows at all is refused with the file's name."""
    try:
        rows = read_json(content)
    except ValueError:
        rows = None
    if not isinstance(rows, list):
        found = f"begins with {shown(content, 40)}" if content else "is empty"
        raise ValueError(f"{path} {found}: {_WANTED}")
    if any(isinstance(row, dict) for row in rows):
        raise ValueError(
            f"{path} is a list of results, as `blockqnn top --format json` prints them, and no "
            "block: write them with `blockqnn top --output FILE`, and name that file"
        )


_WANTED = (
    "a file of a block must hold a JSON list of rows, or finalists as `blockqnn top --output` "
    "writes them"
)
