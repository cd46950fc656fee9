"""JSON text from outside."""

from __future__ import annotations

import json
from typing import Any

TEXT_LIMIT = 100_000
"""Characters: far more than any block or network has, and few enough to be read at once."""


def read_json(text: str) -> Any:
    """What the text says.

    Raises:
        ValueError: saying what is wrong with the text.
    """
    if len(text) > TEXT_LIMIT:
        raise ValueError(f"it has {len(text)} characters, {TEXT_LIMIT} are allowed")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        raise ValueError("it has a number of thousands of digits") from None
