"""Run-time patches of other libraries, all of them here.

Each one spares every trial an import that takes 0.3 s of processor time or more and that the trial
does not use; docs/turnover.md has the figures. None changes a number. With
NNI_BLOCKQNN_NO_PATCHES=1 in the environment every function of this module leaves the libraries as
they are: try that first when a new version of one of them misbehaves.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeVar

NO_PATCHES_VARIABLE = "NNI_BLOCKQNN_NO_PATCHES"

Optimizer = TypeVar("Optimizer")

_WRAPPED_BY_PYTORCH = ("add_param_group", "zero_grad", "state_dict", "load_state_dict", "step")


def are_on() -> bool:
    """False if NNI_BLOCKQNN_NO_PATCHES is set to anything but 0."""
    return os.environ.get(NO_PATCHES_VARIABLE, "0") in ("", "0")


def optimizer_without_compiler(
    kind: type[Optimizer], no_grad: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> type[Optimizer]:
    """A subclass of a PyTorch optimizer that does not import torch.compile.

    PyTorch wraps the methods of its optimizers so that torch.compile leaves them alone, and the
    wrappers import the compiler (torch._dynamo) whether or not anything is compiled. The subclass
    has the methods that are wrapped. Where a version of PyTorch wraps nothing, or in a way that
    `inspect.unwrap` does not see through, the subclass computes the same and saves nothing.

    Args:
        kind: torch.optim.SGD, for example.
        no_grad: `torch.no_grad()`, which goes with the wrapper of `step` and is put back.
    """
    if not are_on():
        return kind
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in _WRAPPED_BY_PYTORCH}
    methods["step"] = no_grad(methods["step"])
    return type(kind.__name__, (kind,), methods)


def dispatch_without_compiler(mode: Any) -> None:
    """Removes, in place, the wrapper around a TorchDispatchMode's `__torch_dispatch__`.

    The wrapper is the one of `optimizer_without_compiler` and imports torch.compile as well.
    """
    if are_on():
        mode.__torch_dispatch__ = inspect.unwrap(mode.__torch_dispatch__)


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Within it these modules count as not installed, unless they have been imported already."""
    with _stand_ins(dict.fromkeys(names)):
        yield


@contextmanager
def deferred(name: str) -> Iterator[None]:
    """Within it an import of this module, or from it, loads nothing until a name in it is used."""
    with _stand_ins({name: _DeferredModule(name)}):
        yield


@contextmanager
def _stand_ins(modules: dict[str, Any]) -> Iterator[None]:
    """Puts these into `sys.modules`, where None says "not installed", and takes them out again."""
    added = {
        name: module for name, module in modules.items() if are_on() and name not in sys.modules
    }
    sys.modules.update(added)
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]


class _DeferredModule(ModuleType):
    """Hands out any name without having loaded the module."""

    def __getattr__(self, name: str) -> _DeferredObject:
        if name.startswith("__"):
            raise AttributeError(name)
        return _DeferredObject(self.__name__, name)


class _DeferredObject:
    """A function or object of a module, which is imported when this is called or looked into."""

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._loaded()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loaded(), name)

    def _loaded(self) -> Any:
        return getattr(importlib.import_module(self._module), self._name)
