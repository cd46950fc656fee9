"""Several searches, those that differ in their seed alone together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nni_blockqnn.common.messages import shown
from nni_blockqnn.results.experiment import Results
from nni_blockqnn.results.repetition import repeatable_config
from nni_blockqnn.results.search_settings import search_seed

_NO_DIFFERENCE = ("experimentName", "trialConcurrency", "maxExperimentDuration", "trainingService")
"""What decides neither the blocks nor their results."""
_LONGEST_VALUE = 60


@dataclass(frozen=True)
class Group:
    """Searches with one configuration.

    Attributes:
        name: such as "my search", with what sets it apart if another group has that name too.
        settings: what differs between the groups, as "tuner.classArgs.preset" to its value.
        seeds: of the searches; None where nothing says it.
    """

    name: str
    settings: Mapping[str, str]
    searches: tuple[Results, ...]
    seeds: tuple[int | None, ...]


def group_searches(searches: Sequence[Results]) -> list[Group]:
    """In the order in which they are given."""
    found: dict[str, list[Results]] = {}
    configs: dict[str, dict[str, str]] = {}
    for results in searches:
        settings = dict(_settings(_compared(results)))
        key = json.dumps(settings, sort_keys=True)
        found.setdefault(key, []).append(results)
        configs[key] = settings
    different = _different(list(configs.values()))
    names = [_name(group[0]) for group in found.values()]
    groups = []
    for number, (key, group) in enumerate(found.items()):
        own = {name: configs[key].get(name, "not given") for name in different}
        name = names[number]
        if names.count(name) > 1:
            name += f" ({_in_words(own) or number + 1})"
        seeds = tuple(search_seed(one.experiment) for one in group)
        groups.append(Group(name, own, tuple(group), seeds))
    return groups


def _name(results: Results) -> str:
    return results.experiment.name or results.experiment.id


def _in_words(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{name.rpartition('.')[2]} {value}" for name, value in settings.items())


def _compared(results: Results) -> dict[str, Any]:
    config = repeatable_config(results.experiment)
    for name in _NO_DIFFERENCE:
        config.pop(name, None)
    class_args = (config.get("tuner") or {}).get("classArgs")
    if isinstance(class_args, dict):
        class_args.pop("seed", None)
    return config


def _settings(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every setting of a configuration by its way through it."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _settings(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _different(configs: Sequence[Mapping[str, str]]) -> list[str]:
    names = dict.fromkeys(name for config in configs for name in config)
    return [name for name in names if len({config.get(name) for config in configs}) > 1]


def short(value: str) -> str:
    """A setting's value, cut short."""
    return value if len(value) <= _LONGEST_VALUE else shown(value, _LONGEST_VALUE)
