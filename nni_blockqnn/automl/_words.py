"""Durations and intervals in words."""

from __future__ import annotations

import math
import time
from datetime import datetime

_CONFIDENT = 1.959964
"""Deviations of a normal distribution within which 95 % lie."""


def in_words(seconds: float) -> str:
    """'45 s', '12 min' or '2 h 5 min'"""
    if seconds < 100:
        return f"{max(round(seconds), 1)} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min"


def clock(seconds_left: float) -> str:
    """The time of day at which so many seconds will have passed, with the date if not today's."""
    now = time.time()
    today, end = datetime.fromtimestamp(now), datetime.fromtimestamp(now + seconds_left)
    return f"{end:%H:%M}" if end.date() == today.date() else f"{end:%Y-%m-%d %H:%M}"


def interval(percent: float, count: int) -> tuple[float, float]:
    """The 95 % interval of an accuracy over so many images, in percent (Wilson 1927)."""
    share, z2 = percent / 100, _CONFIDENT**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = (
        _CONFIDENT / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    )
    return 100 * max(middle - half, 0.0), 100 * min(middle + half, 1.0)
