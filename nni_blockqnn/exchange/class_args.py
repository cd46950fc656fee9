"""The tuner's ``classArgs``, as they come out of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nni import ClassArgsValidator
from schema import Schema, SchemaError

from nni_blockqnn.common.messages import shown
from nni_blockqnn.q_learning.arguments import checked


class _Given:
    """A value with a short repr that cannot fail: Schema puts all of what it refuses into text."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return shown(self.value)


_OBJECT = Schema(lambda given: isinstance(given.value, Mapping))


def check_class_args(class_args: Any) -> dict[str, Any]:
    """The arguments that were given, checked; NumPy's numbers become Python's.

    Raises:
        ValueError: naming the argument, its value and what is allowed.
    """
    given = _Given(class_args)
    try:
        _OBJECT.validate(given)
    except SchemaError:
        raise ValueError(f"the tuner's arguments must be an object, got {given}") from None
    return checked(class_args)


class BlockQNNClassArgsValidator(ClassArgsValidator):
    """What ``nnictl algo register`` wants beside the tuner."""

    def validate_class_args(self, **class_args: Any) -> None:
        check_class_args(class_args)
