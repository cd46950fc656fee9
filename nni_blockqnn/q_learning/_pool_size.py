"""How many candidates a suggestion looks at: as many as a small share of a trial's time pays for.

A trial of minutes leaves time for many candidates, which find better blocks; one of seconds should
not wait for them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import Any

from nni_blockqnn.common.checks import is_number

UNKNOWN = 160
"""Candidates where no result says how long its trial took."""
SIZES = (40, 80, 160, 320, 640)
"""Far enough apart that a search on a busy machine is the same one."""
_REMEMBERED = 20
"""The newest trials and suggestions count."""


class PoolSize:
    """Measures what candidates cost and what trials take."""

    def __init__(self, fixed: int | None, time_share: float) -> None:
        """
        Args:
            fixed: the number of candidates, whatever they cost; ``None`` for one of ``SIZES``.
            time_share: of a trial's time, the most that a suggestion may take.
        """
        self._fixed = fixed
        self._share = time_share
        self._trials: deque[float] = deque(maxlen=_REMEMBERED)
        self._candidates: deque[float] = deque(maxlen=_REMEMBERED)

    def note_trial(self, metric: Mapping[str, Any]) -> None:
        """
        Args:
            metric: of a trial's result, which may say ``seconds``.
        """
        seconds = metric.get("seconds")
        if is_number(seconds) and seconds > 0:
            self._trials.append(float(seconds))

    def note_suggestion(self, candidates: int, seconds: float) -> None:
        """
        Args:
            seconds: that drawing and ranking them took.
        """
        if candidates:
            self._candidates.append(seconds / candidates)

    @property
    def size(self) -> int:
        if self._fixed is not None:
            return self._fixed
        if not self._trials or not self._candidates:
            return UNKNOWN
        affordable = self._share * median(self._trials) / median(self._candidates)
        return max((size for size in SIZES if size <= affordable), default=SIZES[0])
