"""The tuner's ``classArgs``: names, types, ranges and defaults."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any

from nni import ClassArgsValidator
from schema import And, Optional, Schema, SchemaError

from nni_blockqnn.common.messages import shown
from nni_blockqnn.q_learning.settings import PRESETS, AgentSettings
from nni_blockqnn.space.limits import Limits

COUNT_LIMIT = 10**9
"""Of trials, results and iterations."""
REPLAY_UPDATES_LIMIT = 10_000
"""So many updates take about a second, for which all suggestions wait."""
INTEGER_LIMIT = 2**63 - 1
"""Of seeds and of limits on a network's cost."""
STAGES_LIMIT = 1_000
"""Of an epsilon schedule."""
NUMBER_LIMIT = 1e100
"""As of rewards: numbers beyond would overflow in sums."""


class _Given:
    """A value under check. Schema puts what it checks into messages of its own, in full length."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return shown(self.value)


def _rule(allowed: str, valid: Callable[[Any], bool]) -> And:
    return And(
        lambda given: valid(given.value), error=allowed.replace("{", "{{").replace("}", "}}")
    )


def _is_number(value: Any) -> bool:
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and math.isfinite(value)


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _integer(lowest: int, highest: int = COUNT_LIMIT) -> And:
    return And(
        _rule(f"an integer of at least {lowest}", lambda v: _is_integer(v) and v >= lowest),
        _rule(f"at most {highest}", lambda v: v <= highest),
    )


def _one_of(*values: Any) -> And:
    return _rule(
        f"one of {', '.join(map(str, values))}",
        lambda value: any(value is v or (isinstance(value, str) and value == v) for v in values),
    )


def _is_short(value: Any) -> bool:
    return not isinstance(value, (list, tuple)) or len(value) <= STAGES_LIMIT


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
    "seed": _integer(0, INTEGER_LIMIT),
    "epsilon_schedule": And(
        _rule(f"of at most {STAGES_LIMIT} stages", _is_short),
        _rule("a list of [epsilon from 0 to 1, iterations above 0] pairs", _is_schedule),
        _rule(
            f"of stages of {1 / COUNT_LIMIT} to {COUNT_LIMIT} iterations",
            lambda v: all(1 / COUNT_LIMIT <= stage[1] <= COUNT_LIMIT for stage in v),
        ),
    ),
    "batch_size": _integer(1),
    "learning_rate": _rule("a number in (0, 1]", lambda v: _is_number(v) and 0 < v <= 1),
    "step_size": _one_of("constant", "visits"),
    "discount": _rule("a number in [0, 1]", lambda v: _is_number(v) and 0 <= v <= 1),
    "initial_q": And(
        _rule("a finite number", _is_number),
        _rule(f"from {-NUMBER_LIMIT} to {NUMBER_LIMIT}", lambda v: abs(v) <= NUMBER_LIMIT),
    ),
    "replay_updates": _integer(0, REPLAY_UPDATES_LIMIT),
    "replay_capacity": _integer(1),
    "reward_shaping": _rule("true or false", lambda v: isinstance(v, bool)),
    "standardise": _rule("true or false", lambda v: isinstance(v, bool)),
    "exploration": _one_of("type", "kernel", "uniform"),
    "predictor": _one_of("wl"),
    "limits": _rule("an object of limits", lambda v: isinstance(v, dict)),
    "repeats_rule": _one_of("largest", "agent"),
    "known_blocks": _one_of("replay", "train"),
    "optimize_mode": _one_of("maximize", "minimize"),
}

_OPTIONAL = ("preset", "budget", "seed", "epsilon_schedule", "limits", "predictor")
"""Arguments for which ``None`` says the same as leaving them out."""


def check_class_args(class_args: dict[str, Any]) -> dict[str, Any]:
    """The arguments that were given, checked; NumPy's numbers become Python's.

    Raises:
        ValueError: naming the argument, its value and what is allowed.
    """
    if not isinstance(class_args, Mapping):
        raise ValueError(f"the tuner's arguments must be an object, got {shown(class_args)}")
    given = {
        name: value
        for name, value in class_args.items()
        if not (value is None and name in _OPTIONAL)
    }
    for name, value in given.items():
        _check("tuner argument", name, value, _RULES)
    limits = given.get("limits", {})
    for name, value in limits.items():
        _check("limit", name, value, dict.fromkeys(Limits._fields, _integer(1, INTEGER_LIMIT)))
    if limits:
        given["limits"] = {name: _plain(value) for name, value in limits.items()}
    return {name: _plain(value) for name, value in given.items()}


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
        Schema({Optional(name): rules[name]}).validate({name: _Given(value)})
    except SchemaError as error:
        raise ValueError(f"{kind} {name} must be {error.errors[-1]}, got {shown(value)}") from None


def _plain(value: Any) -> Any:
    if _is_integer(value):
        return int(value)
    return float(value) if _is_number(value) else value
