"""The tuner's ``classArgs``: names, types, ranges and defaults."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any

from nni import ClassArgsValidator
from schema import And, Optional, Schema, SchemaError

from nni_blockqnn._messages import shown
from nni_blockqnn.q_learning.limits import Limits
from nni_blockqnn.q_learning.settings import PRESETS, AgentSettings


def _rule(allowed: str, valid: Callable[[Any], bool]) -> And:
    return And(valid, error=allowed.replace("{", "{{").replace("}", "}}"))


def _is_number(value: Any) -> bool:
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and math.isfinite(value)


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _integer(lowest: int) -> And:
    return _rule(
        f"an integer of at least {lowest}", lambda value: _is_integer(value) and value >= lowest
    )


def _one_of(*values: Any) -> And:
    return _rule(
        f"one of {', '.join(map(str, values))}",
        lambda value: any(value is v or (isinstance(value, str) and value == v) for v in values),
    )


def _is_schedule(value: Any) -> bool:
    """Not empty, epsilons in [0, 1], iterations above 0."""
    if not isinstance(value, (list, tuple)) or not value:
        return False
    return all(
        isinstance(stage, (list, tuple))
        and len(stage) == 2
        and all(map(_is_number, stage))
        and 0 <= stage[0] <= 1
        and stage[1] > 0
        for stage in value
    )


_RULES: dict[str, And] = {
    "preset": _one_of(*PRESETS),
    "budget": _integer(1),
    "seed": _integer(0),
    "epsilon_schedule": _rule(
        "a list of [epsilon from 0 to 1, iterations above 0] pairs", _is_schedule
    ),
    "batch_size": _integer(1),
    "learning_rate": _rule("a number in (0, 1]", lambda v: _is_number(v) and 0 < v <= 1),
    "step_size": _one_of("constant", "visits"),
    "discount": _rule("a number in [0, 1]", lambda v: _is_number(v) and 0 <= v <= 1),
    "initial_q": _rule("a finite number", _is_number),
    "replay_updates": _integer(0),
    "replay_capacity": _integer(1),
    "reward_shaping": _rule("true or false", lambda v: isinstance(v, bool)),
    "standardise": _rule("true or false", lambda v: isinstance(v, bool)),
    "exploration": _one_of("type", "uniform"),
    "predictor": _rule("null (the predictor is not there yet)", lambda v: v is None),
    "limits": _rule("an object of limits", lambda v: isinstance(v, dict)),
    "repeats_rule": _one_of("largest", "agent"),
    "known_blocks": _one_of("replay", "train"),
    "optimize_mode": _one_of("maximize", "minimize"),
}

_OPTIONAL = ("preset", "budget", "seed", "epsilon_schedule", "limits", "predictor")
"""Arguments for which ``None`` says the same as leaving them out."""


def check_class_args(class_args: dict[str, Any]) -> dict[str, Any]:
    """The arguments that were given, checked.

    Raises:
        ValueError: naming the argument, its value and what is allowed.
    """
    given = {
        name: value
        for name, value in class_args.items()
        if not (value is None and name in _OPTIONAL)
    }
    for name, value in given.items():
        _check("tuner argument", name, value, _RULES)
    for name, value in (given.get("limits") or {}).items():
        _check("limit", name, value, dict.fromkeys(Limits._fields, _integer(1)))
    return given


def agent_settings(class_args: dict[str, Any]) -> AgentSettings:
    """The preset's settings, each replaced by the argument that is given."""
    preset = PRESETS[class_args.get("preset", "tuned")]
    own = {name: class_args[name] for name in AgentSettings._fields if name in class_args}
    if "epsilon_schedule" in own:
        own["epsilon_schedule"] = tuple((float(e), float(n)) for e, n in own["epsilon_schedule"])
    return preset._replace(**own)


class BlockQNNClassArgsValidator(ClassArgsValidator):
    """What ``nnictl algo register`` wants beside the tuner."""

    def validate_class_args(self, **class_args: Any) -> None:
        check_class_args(class_args)


def _check(kind: str, name: Any, value: Any, rules: dict[str, And]) -> None:
    if name not in rules:
        raise ValueError(f"{kind} {shown(name)} is unknown; allowed are {', '.join(rules)}")
    try:
        Schema({Optional(name): rules[name]}).validate({name: value})
    except SchemaError as error:
        raise ValueError(f"{kind} {name} must be {error.errors[-1]}, got {shown(value)}") from None
