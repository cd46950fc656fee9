"""A block on the command line: a name, its codes, or a file that holds them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from nni_blockqnn.blocks.block import stated_encoding
from nni_blockqnn.blocks.named import NAMED_BLOCKS, codes_of, names
from nni_blockqnn.common.messages import shown
from nni_blockqnn.exchange.finalists import finalist_in

HELP = (
    f"{names()} (the paper's Fig. 2), structure codes as JSON text, or a file that holds them "
    "(- for standard input)"
)


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
    content, place = codes_of(text, encoding), ""
    if text not in NAMED_BLOCKS and not text.lstrip().startswith(("[", "{")):
        content, place = _read(text)
    if content in NAMED_BLOCKS:
        content = codes_of(content, encoding)
    elif place:
        if content.startswith("{") and not _is_block_object(content):
            return finalist_in(content, place, 1 if rank is None else rank)
        _check_content(content, place)
    if rank is not None:
        raise ValueError("rank chooses from a file of finalists (blockqnn top --output) only")
    return {"block": content}


def _of_folder(path: Path) -> str:
    if (path / "network.json").is_file():
        return (
            f"{path} is the folder of a trained network, not a block: `blockqnn train BLOCK "
            f"--init-from {path}` begins with its weights, `blockqnn export {path} -o DIR` takes "
            "it away; its block's codes are in network.json"
        )
    return f"{path} is a folder; a block must be {HELP}"


def _read(text: str) -> tuple[str, str]:
    """What a file or standard input holds, and what messages call it."""
    path, is_input = Path(text), text == "-"
    if not is_input and path.is_dir():
        raise ValueError(_of_folder(path))
    if not is_input and not path.exists():
        raise ValueError(f"a block must be {HELP}; there is no file {text}")
    place = "standard input" if is_input else text
    try:
        read = _standard_input() if is_input else path.read_bytes()
        return read.decode("utf-8-sig").strip(), place
    except UnicodeDecodeError:
        raise ValueError(f"{place} is no text file: {_WANTED}") from None


def _standard_input() -> bytes:
    """All of it; nothing if the shell closed it."""
    return b"" if sys.stdin is None else sys.stdin.buffer.read()


def _is_block_object(content: str) -> bool:
    """Whether it is a block of another encoding, which names it, and not finalists."""
    try:
        return stated_encoding(content)[0] is not None
    except ValueError:
        return False


def _check_content(content: str, place: str) -> None:
    """So that what is neither rows nor a block's object is refused with its name."""
    try:
        _, rows = stated_encoding(content)
    except ValueError:
        rows = None
    if not isinstance(rows, list):
        found = f"begins with {shown(content, 40)}" if content else "is empty"
        raise ValueError(f"{place} {found}: {_WANTED}")
    if any(isinstance(row, dict) for row in rows):
        raise ValueError(
            f"{place} is a list of results, as `blockqnn top --format json` prints them, and no "
            "block: write them with `blockqnn top --output FILE`, and name that file"
        )


_WANTED = (
    "a file of a block must hold its codes as JSON text, or finalists as `blockqnn top --output` "
    "writes them"
)
