"""FLOPs of a network as ptflops counts them."""

from __future__ import annotations

import copy
import importlib

from torch import nn

from nni_blockqnn.common import patches


def measure_flops(network: nn.Module, image_shape: tuple[int, int, int]) -> int | None:
    """Multiply-accumulates for one image, or ``None`` where ptflops cannot tell.

    Counted on a copy: ptflops leaves its hooks behind and switches to evaluation mode.
    """
    import_ptflops()
    from ptflops import aten_engine, get_model_complexity_info

    patches.dispatch_without_compiler(aten_engine.FlopCounterMode)
    flops, _ = get_model_complexity_info(
        copy.deepcopy(network),
        image_shape,
        backend="aten",
        as_strings=False,
        print_per_layer_stat=False,
    )
    return None if flops is None else int(flops)


def import_ptflops() -> None:
    """Without torchvision, which it wants for one kind of layer that we do not have."""
    with patches.hidden("torchvision"):
        importlib.import_module("ptflops")
