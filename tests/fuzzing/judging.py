"""Whether a value was treated rightly: read as it says, or refused in words of ours."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

SECONDS = 1.0
MESSAGE_LENGTH = 1000


class Target(NamedTuple):
    """A reader of values.

    Attributes:
        read: parses a value, or raises one of ``errors`` with a message that has ``names`` in it.
        verify: raises AssertionError if what was read is not what the value says.
        valid: values that can be read, of JSON's types.
        names: a pattern of what a message must name.
        texts: whether it reads JSON text, too.
        is_valid: whether a value must be read, as far as there is a second opinion.
    """

    read: Callable[[Any], Any]
    verify: Callable[[Any, Any], None]
    valid: tuple[Any, ...]
    names: str
    errors: tuple[type[Exception], ...] = (ValueError,)
    texts: bool = False
    is_valid: Callable[[Any], bool] | None = None


_INTERNALS = re.compile(
    r"object is not|has no attribute|not supported between|unhashable|positional argument"
    r"|unexpected keyword|NoneType|Exceeds the limit|set_int_max|recursion|truth value"
    r"|cannot convert|could not convert|can't decode|can't encode|surrogates not allowed"
    r"|JSON serializable|Traceback|too large to convert|division by zero"
)


READ = "read"
REFUSED = "refused"


def outcome(target: Target, value: Any) -> str:
    """``READ`` and ``REFUSED`` are right; anything else says what is wrong."""
    began = time.process_time()
    what = _outcome(target, value)
    took = time.process_time() - began
    return what if took <= SECONDS else f"{what}, which took {took:.1f} s"


def _outcome(target: Target, value: Any) -> str:
    try:
        parsed = target.read(value)
        target.verify(value, parsed)
    except target.errors as error:
        return _refused_wrongly(target, value) or _judged(target, error)
    except AssertionError as error:
        return f"read wrongly: {error}"
    except BaseException as error:
        return f"raises {type(error).__name__}: {str(error)[:200]}"
    return READ


def _refused_wrongly(target: Target, value: Any) -> str | None:
    if target.is_valid and target.is_valid(value):
        return "a valid value is refused"
    return None


def _judged(target: Target, error: Exception) -> str:
    message = str(error)
    if type(error) not in target.errors:
        return f"raises {type(error).__name__}: {message[:200]}"
    if len(message) >= MESSAGE_LENGTH:
        return f"a message of {len(message)} characters: {message[:200]}"
    if not re.search(target.names, message):
        return f"a message that does not name the fault: {message}"
    if internals := _INTERNALS.search(message):
        return f"a message with internals ({internals[0]}): {message}"
    if not message.isprintable():
        return f"a message that cannot be printed: {message!r}"
    return REFUSED
