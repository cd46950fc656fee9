"""NNI, imported without what a trial has no use for.

Three quarters of ``import nni`` are scipy.stats, which only NNI's own search spaces draw from, and
pandas, which its JSON encoder offers for metrics that are tables.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


def import_nni() -> ModuleType:
    """NNI as any process knows it, but a metric must not hold tables of pandas."""
    if "nni" not in sys.modules:
        with _without_statistics():
            importlib.import_module("nni")
    return sys.modules["nni"]


@contextmanager
def _without_statistics() -> Iterator[None]:
    """What is imported meanwhile finds no pandas, and a scipy.stats that is loaded when called."""
    stand_ins: dict[str, Any] = {"scipy.stats": _DeferredModule("scipy.stats"), "pandas": None}
    placed = {name: module for name, module in stand_ins.items() if name not in sys.modules}
    sys.modules.update(placed)  # None says "not installed"
    try:
        yield
    finally:
        for name in placed:
            del sys.modules[name]


class _DeferredModule(ModuleType):
    """Gives out its names before it is loaded."""

    def __getattr__(self, name: str) -> _Deferred:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Deferred(self.__name__, name)


class _Deferred:
    """A function or object of a module that is imported at its first use."""

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._loaded()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loaded(), name)

    def _loaded(self) -> Any:
        return getattr(importlib.import_module(self._module), self._name)
