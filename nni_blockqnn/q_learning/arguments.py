"""The arguments of a search: names, defaults, ranges; the agents and predictors that they name.

:class:`~nni_blockqnn.q_learning.search.BlockSearch` takes them in Python and the tuner's
``classArgs`` in a configuration, by the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from nni_blockqnn.common.checks import is_integer, is_number
from nni_blockqnn.common.messages import did_you_mean, shown
from nni_blockqnn.common.plugins import is_reference, load_object
from nni_blockqnn.predictor.guide import Guide
from nni_blockqnn.predictor.predictor import CostOf, Predictor
from nni_blockqnn.q_learning._evolution import EvolutionAgent
from nni_blockqnn.q_learning.agent import Agent, RandomAgent
from nni_blockqnn.q_learning.q_agent import QAgent
from nni_blockqnn.q_learning.settings import PRESETS, AgentSettings, CandidateSettings
from nni_blockqnn.space.limits import Limits
from nni_blockqnn.space.match import ALLOWED, Match
from nni_blockqnn.space.search_space import SearchSpace

AGENTS: dict[str, type[Agent]] = {"q": QAgent, "random": RandomAgent, "evolution": EvolutionAgent}
PREDICTORS: dict[str, type[Predictor]] = {"wl": Guide}

COUNT_LIMIT = 10**9
"""The most trials, results and iterations."""
REPLAY_UPDATES_LIMIT = 10_000
"""This many updates take about a second, for which every suggestion waits."""
INTEGER_LIMIT = 2**63 - 1
"""The largest seed, and the largest limit on a network's cost."""
STAGES_LIMIT = 1_000
"""The most stages of an epsilon schedule."""
START_BLOCKS_LIMIT = 1_000
"""The most start blocks."""
NUMBER_LIMIT = 1e100
"""As for rewards: larger numbers would overflow in sums."""


@dataclass(frozen=True)
class SearchArguments:
    """What a search may be told.

    Attributes:
        budget: trainings that are planned, to which the epsilon schedule is scaled. ``None`` takes
            the schedule's own iterations.
        agent: who proposes blocks: "q", "random", "evolution", "module:Class", or from Python a
            class or an object of :class:`Agent`.
        predictor: who chooses among candidates: ``None``, "wl" (a Gaussian process on
            Weisfeiler-Lehman labels), "module:Class", or a class or an object of
            :class:`Predictor`.
        limits: the most that a network may cost.
        match: what every network costs, reached by its filters; ``None`` (the default) leaves the
            filters as they are. A block that cannot have the cost is not suggested.
        start_blocks: suggested first, in this order: "residual", "inception", or structure codes.
        repeats_rule: which of the space's numbers of repeats a block gets: "largest" takes the
            largest within the limits, "agent" lets the agent choose.
        known_blocks: "replay" never trains a network twice but has the agent learn from its known
            result again; "train" trains it again.
        optimize_mode: "maximize" or "minimize" the reward.
        candidates: how many candidates are looked at for one suggestion.
        settings: the Q-agent's: those of ``preset``, "tuned" (what measures best, the default) or
            "paper", each replaced by the argument of its name.
    """

    budget: int | None = None
    agent: str | type[Agent] | Agent = "q"
    predictor: str | type[Predictor] | Predictor | None = None
    limits: Limits = Limits()  # noqa: RUF009 (immutable)
    match: Match | None = None
    start_blocks: tuple[Any, ...] = ()
    repeats_rule: str = "largest"
    known_blocks: str = "replay"
    optimize_mode: str = "maximize"
    candidates: CandidateSettings = CandidateSettings()  # noqa: RUF009 (immutable)
    settings: AgentSettings = PRESETS["tuned"]

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> SearchArguments:
        """The arguments by name, checked; ``None`` says the same as leaving one out.

        Raises:
            ValueError: naming the argument, its value and what is allowed.
        """
        given = checked(arguments)
        own = {name: given.pop(name) for name in AgentSettings._fields if name in given}
        preset = PRESETS[given.pop("preset", "tuned")]
        if "epsilon_schedule" in own:
            stages = own["epsilon_schedule"]
            own["epsilon_schedule"] = tuple((float(e), float(n)) for e, n in stages)
        for name, kind in (("limits", Limits), ("candidates", CandidateSettings)):
            if name in given:
                given[name] = kind(**given[name])
        if "match" in given:
            given["match"] = Match.of(given["match"])
        given["start_blocks"] = tuple(given.get("start_blocks", ()))
        return cls(settings=preset._replace(**own), **given)


def make_agent(arguments: SearchArguments, space: SearchSpace, seed: int) -> Agent:
    """
    Raises:
        ValueError: if the agent's class cannot be loaded or made, or is no :class:`Agent`.
    """
    agent = arguments.agent
    if isinstance(agent, Agent):
        return agent
    kind = _class(agent, AGENTS, "an agent")
    if kind is QAgent:
        return QAgent(space, seed, arguments.settings)
    return _made(kind, Agent, "an agent", space, seed)


def make_predictor(arguments: SearchArguments, cost: CostOf) -> Predictor | None:
    """
    Raises:
        ValueError: if the predictor's class cannot be loaded or made, or is no :class:`Predictor`.
    """
    predictor = arguments.predictor
    if predictor is None or isinstance(predictor, Predictor):
        return predictor
    return _made(_class(predictor, PREDICTORS, "a predictor"), Predictor, "a predictor", cost)


def _class(named: Any, built_in: Mapping[str, Any], what: str) -> Any:
    if not isinstance(named, str):
        return named
    return built_in[named] if named in built_in else load_object(named, what)


def _made(kind: Any, base: type, what: str, *arguments: Any) -> Any:
    if not (isinstance(kind, type) and issubclass(kind, base)):
        raise ValueError(f"{what} must be a subclass of {base.__name__}, got {shown(kind)}")
    try:
        return kind(*arguments)
    except Exception as error:  # a user's own code
        raise ValueError(
            f"cannot make {what} of {kind.__name__}: {type(error).__name__}: {error}"
        ) from error


class Rule(NamedTuple):
    """What a value must be, in words and as a test."""

    allowed: str
    holds: Callable[[Any], bool]


def _integer(lowest: int, highest: int = COUNT_LIMIT) -> tuple[Rule, ...]:
    return (
        Rule(f"an integer of at least {lowest}", lambda v: is_integer(v) and v >= lowest),
        Rule(f"at most {highest}", lambda v: v <= highest),
    )


def _one_of(*values: str) -> tuple[Rule, ...]:
    # `in` alone would compare arrays element by element
    return (Rule(f"one of {', '.join(values)}", lambda v: isinstance(v, str) and v in values),)


def _share(text: str, lowest_allowed: bool) -> tuple[Rule, ...]:
    return (Rule(text, lambda v: is_number(v) and (0 < v <= 1 or (lowest_allowed and v == 0))),)


def _boolean() -> tuple[Rule, ...]:
    return (Rule("true or false", lambda v: isinstance(v, bool)),)


def _plugin(built_in: Mapping[str, type], base: type) -> tuple[Rule, ...]:
    def holds(value: Any) -> bool:
        if isinstance(value, str):
            return value in built_in or is_reference(value)
        return isinstance(value, base) or (isinstance(value, type) and issubclass(value, base))

    return (Rule(f"one of {', '.join(built_in)}, or module:Class", holds),)


def _object(what: str) -> tuple[Rule, ...]:
    return (Rule(f"an object of {what}", lambda v: isinstance(v, dict)),)


def _is_schedule(value: Any) -> bool:
    """Not empty, epsilons in [0, 1], iterations above 0."""
    if not isinstance(value, (list, tuple)) or not value:
        return False
    return all(
        isinstance(stage, (list, tuple))
        and len(stage) == 2
        and all(map(is_number, stage))
        and 0 <= stage[0] <= 1
        and stage[1] > 0
        for stage in value
    )


RULES: dict[str, tuple[Rule, ...]] = {
    "preset": _one_of(*PRESETS),
    "budget": _integer(1),
    "seed": _integer(0, INTEGER_LIMIT),
    "epsilon_schedule": (
        Rule(
            f"of at most {STAGES_LIMIT} stages",
            lambda v: not isinstance(v, (list, tuple)) or len(v) <= STAGES_LIMIT,
        ),
        Rule("a list of [epsilon from 0 to 1, iterations above 0] pairs", _is_schedule),
        Rule(
            f"of stages of {1 / COUNT_LIMIT} to {COUNT_LIMIT} iterations",
            lambda v: all(1 / COUNT_LIMIT <= stage[1] <= COUNT_LIMIT for stage in v),
        ),
    ),
    "batch_size": _integer(1),
    "learning_rate": _share("a number in (0, 1]", lowest_allowed=False),
    "step_size": _one_of("constant", "visits"),
    "discount": _share("a number in [0, 1]", lowest_allowed=True),
    "initial_q": (
        Rule("a finite number", is_number),
        Rule(f"from {-NUMBER_LIMIT} to {NUMBER_LIMIT}", lambda v: abs(v) <= NUMBER_LIMIT),
    ),
    "replay_updates": _integer(0, REPLAY_UPDATES_LIMIT),
    "replay_capacity": _integer(1),
    "reward_shaping": _boolean(),
    "standardise": _boolean(),
    "exploration": _one_of("type", "kernel", "uniform"),
    "agent": _plugin(AGENTS, Agent),
    "predictor": _plugin(PREDICTORS, Predictor),
    "limits": _object("limits"),
    "candidates": _object("numbers of candidates"),
    "match": (Rule(ALLOWED, lambda v: isinstance(v, dict)),),
    "start_blocks": (
        Rule("a list of names or structure codes", lambda v: isinstance(v, (list, tuple))),
        Rule(f"of at most {START_BLOCKS_LIMIT} blocks", lambda v: len(v) <= START_BLOCKS_LIMIT),
    ),
    "repeats_rule": _one_of("largest", "agent"),
    "known_blocks": _one_of("replay", "train"),
    "optimize_mode": _one_of("maximize", "minimize"),
}
LIMIT_RULES = dict.fromkeys(Limits._fields, _integer(1, INTEGER_LIMIT))
CANDIDATE_RULES: dict[str, tuple[Rule, ...]] = {
    "agent_draws": _integer(1, 10_000),
    "whole_draws": _integer(0, 10_000),
    "random_draws": _integer(0, 100_000),
    "enumerated": _integer(0, 10_000_000),
    "pool": _integer(1, 10_000),
    "time_share": _share("a number in (0, 1]", lowest_allowed=False),
    "mutant_share": _share("a number in [0, 1]", lowest_allowed=True),
    "splice_share": _share("a number in [0, 1]", lowest_allowed=True),
    "fresh_share": _share("a number in [0, 1]", lowest_allowed=True),
    "first_results": _integer(1),
    "incumbents": _integer(1),
}
_NONE_IS_DEFAULT = (
    *("preset", "budget", "seed", "epsilon_schedule", "limits", "predictor"),
    *("match", "start_blocks"),
)
"""Arguments that may be given as ``None``, which says the same as leaving them out."""


def checked(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that were given; NumPy's numbers become Python's.

    Raises:
        ValueError: naming the argument, its value and what is allowed.
    """
    given = {
        name: value
        for name, value in arguments.items()
        if not (value is None and name in _NONE_IS_DEFAULT)
    }
    for name, value in given.items():
        _check("tuner argument", name, value, RULES)
    for name, kind, rules in (
        ("limits", "limit", LIMIT_RULES),
        ("candidates", "number of candidates", CANDIDATE_RULES),
    ):
        for own, value in given.get(name, {}).items():
            _check(kind, own, value, rules)
        if name in given:
            given[name] = {own: _plain(value) for own, value in given[name].items()}
    if "match" in given:
        Match.of(given["match"])
    return {name: _plain(value) for name, value in given.items()}


def _check(kind: str, name: Any, value: Any, rules: Mapping[str, tuple[Rule, ...]]) -> None:
    if name not in rules:
        allowed = f"{', '.join(rules)}{did_you_mean(name, rules)}"
        raise ValueError(f"{kind} {shown(name)} is unknown; allowed are {allowed}")
    for rule in rules[name]:
        if not rule.holds(value):
            raise ValueError(f"{kind} {name} must be {rule.allowed}, got {shown(value)}")


def _plain(value: Any) -> Any:
    if is_integer(value):
        return int(value)
    return float(value) if is_number(value) else value
