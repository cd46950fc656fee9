"""The tuner's ``classArgs``, as they come out of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nni import ClassArgsValidator
from schema import Schema, SchemaError

from nni_blockqnn.common.messages import shown
from nni_blockqnn.q_learning.arguments import checked

_OBJECT = Schema(Mapping)


def check_class_args(class_args: Any) -> dict[str, Any]:
    """The arguments that were given, checked; NumPy's numbers become Python's.

    Raises:
        ValueError: naming the argument, its value and what is allowed.
    """
    try:
        _OBJECT.validate(class_args)
    except SchemaError:
        raise ValueError(
            f"the tuner's arguments must be an object, got {shown(class_args)}"
        ) from None
    return checked(class_args)


class BlockQNNClassArgsValidator(ClassArgsValidator):
    """What ``nnictl algo register`` wants beside the tuner."""

    def validate_class_args(self, **class_args: Any) -> None:
        check_class_args(class_args)
