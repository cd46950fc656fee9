"""FLOPs of a network as ptflops counts them."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


def measure_flops(network: nn.Module, image_shape: tuple[int, int, int]) -> int | None:
    """Multiply-accumulates for one image, or ``None`` where ptflops cannot tell.

    Counted on a copy: ptflops leaves its hooks behind and switches to evaluation mode.
    """
    with _without_torchvision():
        from ptflops import aten_engine, get_model_complexity_info

    # PyTorch's wrapper of this method would import torch.compile, 1 to 2 s, to be left alone by it
    counter = aten_engine.FlopCounterMode
    counter.__torch_dispatch__ = inspect.unwrap(counter.__torch_dispatch__)
    flops, _ = get_model_complexity_info(
        copy.deepcopy(network),
        image_shape,
        backend="aten",
        as_strings=False,
        print_per_layer_stat=False,
    )
    return None if flops is None else int(flops)


@contextmanager
def _without_torchvision() -> Iterator[None]:
    """ptflops imports torchvision, if it can, for one layer that we have not: 1.5 s a trial."""
    if "torchvision" in sys.modules:
        yield
        return
    sys.modules["torchvision"] = None  # type: ignore[assignment]  # says "not installed"
    try:
        yield
    finally:
        del sys.modules["torchvision"]
