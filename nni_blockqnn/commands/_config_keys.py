"""Keys of a configuration that NNI does not know, with the ones that were meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from nni_blockqnn.common.messages import did_you_mean, shown


def in_camel_case(data: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with NNI's own spelling of its keys, which may have any case and
    underscores; only the keys that this package reads."""
    from nni.experiment.config import ExperimentConfig

    result = _renamed(data, _names(ExperimentConfig))
    for name in ("tuner", "assessor", "advisor"):
        if isinstance(result.get(name), Mapping):
            result[name] = _renamed(result[name], _algorithm_names())
    services = result.get("trainingService")
    if isinstance(services, Mapping):
        result["trainingService"] = _renamed(services, _service_names(services))
    return result


def unknown_keys(data: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the keys of a configuration in camelCase, a sentence each."""
    from nni.experiment.config import ExperimentConfig

    if data.get("experimentType", "hpo") != "hpo":
        return
    yield from _unknown("", data, _names(ExperimentConfig))
    for name in ("tuner", "assessor", "advisor"):
        yield from _unknown(f"{name}.", data.get(name), _algorithm_names())
    services = data.get("trainingService")
    for service in services if isinstance(services, list) else [services]:
        yield from _unknown("trainingService.", service, _service_names(service))


def _unknown(place: str, part: Any, known: list[str]) -> Iterator[str]:
    if not isinstance(part, Mapping) or not known:
        return
    for key in part:
        if _plain(key) not in map(_plain, known):
            allowed = f"{', '.join(known)}{did_you_mean(key, known)}"
            yield f"key {shown(f'{place}{key}')} is unknown; allowed are {allowed}"


def _renamed(part: Mapping[str, Any], known: list[str]) -> dict[str, Any]:
    spelling = {_plain(name): name for name in known}
    return {spelling.get(_plain(key), key): value for key, value in part.items()}


def _plain(key: Any) -> str:
    return str(key).lower().replace("_", "")


def _names(config_class: Any) -> list[str]:
    """The fields of one of NNI's configuration classes, in camelCase."""
    first_and_others = (field.name.split("_") for field in fields(config_class))
    return [first + "".join(map(str.capitalize, others)) for first, *others in first_and_others]


def _algorithm_names() -> list[str]:
    from nni.experiment.config.algorithm import _AlgorithmConfig

    return _names(_AlgorithmConfig)


def _service_names(service: Any) -> list[str]:
    """None if the training service is not known."""
    from nni.experiment.config import LocalConfig, RemoteConfig

    platform = service.get("platform") if isinstance(service, Mapping) else None
    known = {"local": LocalConfig, "remote": RemoteConfig}
    return _names(known[platform]) if platform in known else []
