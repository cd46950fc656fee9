"""Progress with an expected end, where somebody sees it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def with_progress(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """The items, with a bar on stderr of how many there were and when the last one may come.

    Nothing is shown where stderr is no terminal, as in a trial. The bar goes when all is done.

    Args:
        what: is done, such as "reads images".
    """
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console  # here: a trial does without
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(items, total=total)
