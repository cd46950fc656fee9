"""Numbers of a configuration that YAML reads as text, and fields of NNI that must be numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from nni_blockqnn.common.checks import is_integer
from nni_blockqnn.common.messages import shown

_INTEGERS = {
    "trialConcurrency": (1, "trials at a time"),
    "maxTrialNumber": (1, "trials in all; delete the line for no limit"),
    "trialGpuNumber": (0, "GPUs a trial; delete the line for none"),
    "maxTrialNumberPerGpu": (1, "trials on a GPU"),
}
_TIMES = ("maxExperimentDuration", "maxTrialDuration")
_TIME = re.compile(r"(\d+(?:\.\d*)?|\.\d+)[dhms]", re.IGNORECASE)
_EXPONENT = re.compile(r"([-+]?)(\d*)(\.\d*)?[eE]([-+]?)(\d+)")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+")


def wrong_numbers(data: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the numbers of a configuration, a sentence each.

    Args:
        data: as YAML reads it, with NNI's names in camelCase.
    """
    services = data.get("trainingService")
    parts = services if isinstance(services, list) else [services]
    for part in (data, *(one for one in parts if isinstance(one, Mapping))):
        yield from _wrong_fields(part)
    for name in ("tuner", "assessor", "advisor"):
        algorithm = data.get(name)
        if isinstance(algorithm, Mapping):
            ours = "BlockQNN" in str(algorithm.get("className") or algorithm.get("name"))
            given = algorithm.get("classArgs")
            yield from _texts(given, f"{name}.classArgs", only_exponents=not ours)
    yield from wrong_numbers_of_space(data.get("searchSpace"))


def wrong_numbers_of_space(search_space: Any) -> Iterator[str]:
    """The same of a search space, if it is one of blocks; others may have texts like numbers."""
    block = search_space.get("block") if isinstance(search_space, Mapping) else None
    if isinstance(block, Mapping) and block.get("_type") == "nsc":
        yield from _texts(search_space, "searchSpace")


def as_yaml_number(text: str) -> str | None:
    """How YAML wants the number that the text means; None if it means none.

    >>> as_yaml_number("1e-3"), as_yaml_number("1e6"), as_yaml_number("12,000")
    ('1.0e-3', '1000000', '12000')
    """
    text = text.strip()
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    if value.is_integer() and abs(value) < 2**63:
        return str(int(value))
    if found := _EXPONENT.fullmatch(text):
        sign, whole, part, exponent_sign, exponent = found.groups()
        digits = (part or ".").removeprefix(".") or "0"
        return f"{sign}{whole or '0'}.{digits}e{exponent_sign or '+'}{exponent}"
    return repr(value)


def _texts(value: Any, place: str, only_exponents: bool = False) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(item, f"{place}.{name}", only_exponents)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, place, only_exponents)
    elif isinstance(value, str) and (number := as_yaml_number(value)) is not None:
        if _EXPONENT.fullmatch(value.strip()):
            yield (
                f"{place} is the text {shown(value)}, since YAML wants a dot in a number with an "
                f"exponent, and the exponent's sign: write {number}"
            )
        elif not only_exponents:
            yield f"{place} is the text {shown(value)}, not a number: write {number}"


def _wrong_fields(part: Mapping[str, Any]) -> Iterator[str]:
    for name, (lowest, unit) in _INTEGERS.items():
        value = part.get(name)
        if value is not None and not (is_integer(value) and value >= lowest):
            number = as_yaml_number(value) if isinstance(value, str) else None
            is_whole = number is not None and number.isdigit() and int(number) >= lowest
            hint = f": write {number}" if is_whole else ""
            yield f"{name} must be an integer from {lowest} ({unit}), got {shown(value)}{hint}"
    for name in _TIMES:
        value = part.get(name)
        if value is not None and not _is_time(value):
            yield (
                f"{name} must be a time above 0, in seconds or with a unit: 7200, 30m, 2h or 1d, "
                f"got {shown(value)}"
            )


def _is_time(value: Any) -> bool:
    if isinstance(value, str):
        return _TIME.fullmatch(value) is not None and float(value[:-1]) > 0
    return is_integer(value) and value > 0
