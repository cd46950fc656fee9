"""A network as plain PyTorch source."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.export._block_source import block_source
from nni_blockqnn.network.spec import NetworkSpec


def network_source(block: Block, spec: NetworkSpec) -> str:
    """A Python module that imports PyTorch and safetensors alone.

    It has a class ``Network``, whose state dict has the names and shapes of that of
    `build_network(block, spec)`, a function ``load`` that gives it the weights beside it, and
    ``preprocess``. Of block and spec only integers get into it, and no text; what the kinds of
    layers add is in their code.
    """
    environment = Environment(
        loader=PackageLoader("nni_blockqnn.export", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    source = block_source(block, spec.project_input)
    channels, height, width = spec.input_shape
    projects = spec.project_input or source.adds or spec.frame in ("residual", "upsample")
    return environment.get_template("model.py.jinja").render(
        block=source,
        spec=spec,
        outputs="maps" if spec.output == "maps" else "logits",
        channels=channels,
        height=height,
        width=width,
        stem_size=f"H/{2**spec.stem_pools}, W/{2**spec.stem_pools}" if spec.stem_pools else "H, W",
        needs_projection=projects,
        needs_relu_conv=projects
        or spec.stem_convs > 1
        or spec.frame == "nin"
        or source.names("ReLUConvBN"),
    )
