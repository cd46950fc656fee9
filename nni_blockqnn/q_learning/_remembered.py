"""An iterator that may be gone through again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """Goes through ``items``, each of which is worked out once, on the first passage."""

    def __init__(self, items: Iterator[T]) -> None:
        self._seen: list[T] = []
        self._rest = items

    def __iter__(self) -> Iterator[T]:
        position = 0
        while True:
            if position == len(self._seen):
                try:
                    self._seen.append(next(self._rest))
                except StopIteration:
                    return
            yield self._seen[position]
            position += 1
