"""Parts of a configuration that NNI needs, with the line to write where one is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nni_blockqnn.common.messages import did_you_mean, shown

OUR_TUNER = "tuner: {className: nni_blockqnn.tuner.BlockQNNTuner, codeDirectory: .}"
_PLATFORMS = ["local", "remote", "openpai", "aml", "dlc", "kubeflow", "frameworkcontroller"]
_OLD = "trainingServicePlatform"
"""A key of NNI's first format only."""


def wrong_parts(data: Mapping[str, Any]) -> Iterator[str]:
    """What is missing in a configuration or of another type, a sentence each.

    Args:
        data: as YAML reads it, with NNI's names in camelCase.
    """
    if data.get("experimentType", "hpo") != "hpo":
        return
    if data.get("trialConcurrency") is None:
        yield "trialConcurrency is missing: write trialConcurrency: 1"
    for command in _commands(data):
        if not isinstance(command, str) or not command.strip():
            yield (
                f"trialCommand must be a text, got {shown(command)}: write "
                "trialCommand: python -m nni_blockqnn.trial --dataset digits"
            )
            break
    if data.get("searchSpace") is None and data.get("searchSpaceFile") is None:
        yield "searchSpace is missing: write searchSpace: {block: {_type: nsc, _value: {}}}"
    if data.get("advisor") is None:
        yield from _wrong_tuner(data.get("tuner"))
    yield from _wrong_services(data)


def is_of_nni_1(data: Mapping[str, Any]) -> bool:
    """Whether it is in NNI's first format, whose keys have other names."""
    return _OLD in data


def _wrong_tuner(tuner: Any) -> Iterator[str]:
    if not isinstance(tuner, Mapping):
        yield f"tuner must be a mapping, got {shown(tuner)}: write {OUR_TUNER}"
        return
    name, class_name = tuner.get("name"), tuner.get("className")
    if name is None and class_name is None:
        yield f"tuner needs a name or a className: write {OUR_TUNER}"
    elif name is not None and class_name is not None:
        yield f"tuner has a name, {shown(name)}, and a className: delete one of them"
    elif class_name is not None and tuner.get("codeDirectory") is None:
        yield "tuner has a className, and NNI wants its folder beside it: write codeDirectory: ."
    if not isinstance(tuner.get("classArgs") or {}, Mapping):
        got = shown(tuner["classArgs"])
        yield f"tuner.classArgs must be a mapping, got {got}: write classArgs: {{budget: 100}}"


def _services(data: Mapping[str, Any]) -> list[Any]:
    services = data.get("trainingService")
    return services if isinstance(services, list) else [services]


def _commands(data: Mapping[str, Any]) -> list[Any]:
    """Each training service's command, which may stand in it or for all of them at the top."""
    given = [one.get("trialCommand") for one in _services(data) if isinstance(one, Mapping)]
    return [data.get("trialCommand") if one is None else one for one in given or [None]]


def _wrong_services(data: Mapping[str, Any]) -> Iterator[str]:
    for service in _services(data):
        if not isinstance(service, Mapping):
            yield (
                f"trainingService must be a mapping, got {shown(service)}: write "
                "trainingService: {platform: local}"
            )
            return
        platform = service.get("platform")
        if platform not in _PLATFORMS:
            known = f"{', '.join(_PLATFORMS)}{did_you_mean(platform, _PLATFORMS)}"
            yield f"trainingService.platform must be one of {known}, got {shown(platform)}"
        gpus = service.get("trialGpuNumber", data.get("trialGpuNumber"))
        if platform == "local" and gpus and service.get("useActiveGpu") is None:
            yield (
                "NNI asks for useActiveGpu beside trialGpuNumber: under trainingService, write "
                "useActiveGpu: false, or true if a screen is connected to one of the GPUs"
            )
