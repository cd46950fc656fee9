"""Code of a user's own, named by a string as ``module:name``: a data set, a recipe, a reward."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from typing import Any

from nni_blockqnn.common.messages import shown

_REFERENCE = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*)")


def is_reference(text: str) -> bool:
    """Whether the text has the form ``module:name``, as in ``my_package.rewards:latency``."""
    return _REFERENCE.fullmatch(text) is not None


def load_object(text: str, what: str) -> Any:
    """The function or class that ``module:name`` refers to.

    Modules are found where Python finds all others, and in the current working directory.

    Args:
        what: what it is to be, for messages: "a reward", "a recipe".

    Raises:
        ValueError: naming the text, the module and what is missing.
    """
    reference = _REFERENCE.fullmatch(text)
    if reference is None:
        raise ValueError(f"{what} must be given as module:name, got {shown(text)}")
    module = _module(reference["module"], text, what)
    try:
        found = getattr(module, reference["name"])
    except AttributeError:
        place = getattr(module, "__file__", None) or "no file"
        raise ValueError(
            f"cannot load {what} from {shown(text)}: module {reference['module']} ({place}) has "
            f"no {reference['name']}"
        ) from None
    if not callable(found):
        raise ValueError(
            f"cannot load {what} from {shown(text)}: it must be a function or a class, got "
            f"{shown(found)}"
        )
    return found


def _module(name: str, text: str, what: str) -> Any:
    if "" not in sys.path:
        sys.path.append("")  # the current directory, which `python -m` has there, scripts do not
    try:
        return import_module(name)
    except Exception as error:  # whatever a module does while it is imported
        reason = f"module {name} cannot be imported: {type(error).__name__}: {error}"
        # else the module is there, and what it imports is missing
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            reason = f"there is no module {error.name} on Python's path or in the current directory"
        raise ValueError(f"cannot load {what} from {shown(text)}: {reason}") from error
