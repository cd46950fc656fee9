"""Faults of agents and predictors, which may be a user's own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_logger = logging.getLogger(__name__)


@contextmanager
def faults_logged(part: object, consequence: str) -> Iterator[None]:
    """Log what an agent or predictor raises, naming its class, and go on after the block.

    Its faults must not end a search that has cost GPU days.

    Args:
        consequence: what the search does without it, as a sentence.
    """
    try:
        yield
    except Exception as error:
        name = type(part).__name__
        _logger.error("%s failed: %s: %s. %s", name, type(error).__name__, error, consequence)
