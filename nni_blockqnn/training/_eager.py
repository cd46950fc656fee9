"""PyTorch's optimizers without the second or two that they take to start."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache

import torch

_COMPILER_AWARE = ("add_param_group", "zero_grad", "state_dict", "load_state_dict", "step")
"""Methods around which PyTorch puts what torch.compile needs."""


@cache
def eager(kind: type[torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """The optimizer class for training without torch.compile: the same numbers, started sooner.

    PyTorch's methods are wrapped so that torch.compile leaves them alone, and the wrappers import
    the compiler (torch._dynamo, 1 to 2 s) whether or not anything is compiled. The subclass has
    what they wrap, and the ``no_grad`` that `step`'s wrapper brings along. A version of PyTorch
    that wraps nothing, or out of sight of `inspect.unwrap`, gets the same numbers too.
    """
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in _COMPILER_AWARE}
    methods["step"] = torch.no_grad()(methods["step"])
    return type(kind.__name__, (kind,), methods)
