"""Values that nobody should send: valid ones, mutated, and noise."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterator
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import numpy as np

Rng = np.random.Generator
DEEP = 10_000


class Number(IntEnum):
    THREE = 3


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def _nested(brackets: str) -> Any:
    value: Any = 1
    for _ in range(DEEP):
        value = {"a": value} if brackets == "{}" else [value]
    return value


def _endless() -> list[Any]:
    value: list[Any] = [1]
    value.append(value)
    return value


NUMBERS: tuple[Any, ...] = (
    *(0, 1, 2, 3, 4, 5, 7, 23, 199, 200, 201, 1000, 1001, 65_536, 65_537),
    *(-1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**64), 10**18, 10**400, -(10**400), 10**5000),
    *(0.0, -0.0, 0.5, 1.0, 3.0, 1.5, 1e-320, 1e100, 1e308, -1e308, math.nan, math.inf, -math.inf),
    *(True, False, Number.THREE, Decimal(3), Decimal("NaN"), Fraction(3), Fraction(10**400, 3), 3j),
    *(np.int64(3), np.uint8(3), np.float32(0.5), np.float64("nan"), np.bool_(True), np.array(3)),
)
TEXTS: tuple[Any, ...] = (
    *(
        "",
        "3",
        "-1",
        "3.0",
        "1e3",
        "٣",
        "３",
        "²",
        "x",
        "null",
        "true",
        "NaN",
        "[]",
        "{}",
        "{",
        "[",
    ),
    *("\ud800", "\x00", "\ufeff3", "naïve", "{0}", "{name}", "%s", "x" * 5000, "[" * DEEP),
    *("cifar100", "paper", "tuned", "agent", "choice", "nsc", "pcc", "stack", "max_params"),
    *(b"3", b"\xff", b"[[1,4,0,0,0]]", bytearray(b"3")),
)
OTHERS: tuple[Any, ...] = (
    *(None, [], {}, (), [[]], [None], {1: 2}, {"a": 1}, {None: 1}, {(1, 2): 3}, set(), {1, 2}),
    *(frozenset({3}), range(3), range(10**9), object(), Unspeakable(), int, len, iter([1, 2])),
    *(datetime.date(2026, 1, 2), _nested("[]"), _nested("{}"), _endless(), [0] * 100_000),
    *(np.array([1, 2]), np.zeros((2, 5), int), np.zeros((0, 5)), np.array(["a"]), np.zeros(3)),
    np.broadcast_to(np.zeros(5, int), (10**9, 5)),
)
"""The last is a view: a thousand million rows that take no memory, until they are made a list."""


def mutated(value: Any, rng: Rng) -> Any:
    """The value with one change somewhere; only what is on the way to it is copied."""
    if isinstance(value, (list, tuple)) and value and rng.random() < 0.9:
        return _mutated_list(list(value), rng)
    if isinstance(value, dict) and value and rng.random() < 0.95:
        return _mutated_dict(dict(value), rng)
    if isinstance(value, str) and value.startswith("{") and rng.random() < 0.7:
        return mutated_text(value, rng)
    if type(value) in (int, float) and rng.random() < 0.4:
        return value + int(rng.integers(-3, 4))
    return strange(rng)


def strange(rng: Rng) -> Any:
    """Any value at all."""
    pool = (NUMBERS, NUMBERS, TEXTS, OTHERS)[rng.integers(4)]
    value = pool[rng.integers(len(pool))]
    if rng.random() < 0.1:
        return [value] * int(rng.integers(1, 4))
    return value


def _mutated_list(items: list[Any], rng: Rng) -> Any:
    position = int(rng.integers(len(items)))
    change = rng.random()
    if change < 0.65:
        items[position] = mutated(items[position], rng)
    elif change < 0.75:
        del items[position]
    elif change < 0.85:
        items.insert(position, items[rng.integers(len(items))])
    elif change < 0.9:
        items.append(strange(rng))
    elif change < 0.95:
        rng.shuffle(items)
    else:
        return tuple(items)
    return items


def _mutated_dict(fields: dict[Any, Any], rng: Rng) -> Any:
    name = list(fields)[rng.integers(len(fields))]
    change = rng.random()
    if change < 0.75:
        fields[name] = mutated(fields[name], rng)
    elif change < 0.85:
        del fields[name]
    elif change < 0.93:
        fields[strange_name(rng)] = fields[name]
    else:
        fields[strange_name(rng)] = strange(rng)
    return fields


def strange_name(rng: Rng) -> Any:
    names = (*TEXTS[:-1], 1, None, 2.5, (1,), True, 10**5000)
    return names[rng.integers(len(names))]


_PIECES = (
    *"[]{},:\"'\\/-+.eE0123456789 \t\n\x00\ufeff\ud800٣３²_#",
    *("1e999999999", "1E-999999999", "-0", "01", "1_000", "0x1", "NaN", "Infinity", "null", "true"),
    *("9" * 5000, "\\ud800", "\\u0000", "//", "[" * DEEP, '{"a":' * DEEP, " " * 100_000, "[],"),
)


def mutated_text(text: str, rng: Rng) -> Any:
    """JSON text with a slip of the pen, or its bytes."""
    start, end = sorted(rng.integers(0, len(text) + 1, size=2).tolist())
    end = min(end, start + 8) if rng.random() < 0.7 else end
    change = rng.random()
    if change < 0.15:
        return text[:end]
    if change < 0.25:
        return text[:start] + text[end:]
    if change < 0.35:
        return text[:end] + text[start:end] + text[end:]
    if change < 0.75:
        piece = _PIECES[rng.integers(len(_PIECES))]
        return text[:start] + piece + text[start + int(rng.integers(2)) :]
    if change < 0.9:
        return doubled_key(text, rng)
    return text.encode(("utf-8", "utf-16")[rng.integers(2)], "surrogatepass")


def doubled_key(text: str, rng: Rng) -> str:
    """A key again with another value, at an object's beginning or end."""
    keys = [piece for piece in text.split('"')[1::2] if piece] or ["a"]
    pair = f'"{keys[rng.integers(len(keys))]}":{int(rng.integers(-2, 70))}'
    return (
        text.replace("{", "{" + pair + ",", 1)
        if rng.random() < 0.5
        else f",{pair}}}".join(text.rsplit("}", 1))
    )


def noise(rng: Rng) -> Any:
    """Bytes or text without any sense, or what some JSON-like text says."""
    length = int(rng.geometric(0.02))
    kind = rng.integers(4)
    if kind == 0:
        return rng.bytes(length)
    if kind == 1:
        return rng.bytes(length).decode("latin-1")
    if kind == 2:
        return "".join(map(chr, rng.integers(0, 0x110000, size=length).tolist()))
    return "".join(_PIECES[position] for position in rng.integers(0, 44, size=length))


def fuzzed(valid: Any, rng: Rng, *, texts: bool) -> Iterator[Any]:
    """Endlessly: mutations of the valid values, of their JSON text if ``texts``, and noise."""
    while True:
        if rng.random() < 0.06:
            yield noise(rng) if rng.random() < 0.5 else strange(rng)
            continue
        value = valid[rng.integers(len(valid))]
        as_text = texts and rng.random() < 0.5
        for _ in range(int(rng.geometric(0.5)) - as_text):
            value = mutated(value, rng)
        yield _as_text(value, rng) if as_text else value


def _as_text(value: Any, rng: Rng) -> Any:
    try:
        text = json.dumps(value, ensure_ascii=bool(rng.integers(2)))
    except (TypeError, ValueError, RecursionError):
        return value
    for _ in range(int(rng.integers(3))):
        if isinstance(text, str):
            text = mutated_text(text, rng)
    return text
