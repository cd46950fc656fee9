"""``blockqnn export``: a trained network as a folder that others can use."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

_CONTENTS = {
    "model.py": "the network as PyTorch code to read and change",
    "program.pt2": "for torch.export.load",
    "model.onnx": "for ONNX Runtime and other engines",
    "weights.safetensors": "of model.py and nni_blockqnn.load",
    "network.json": "block, network, normalisation, classes, recipe, accuracies",
    "README.md": "the model card, with block.svg",
}


def export(arguments: argparse.Namespace) -> int:
    # Here, since PyTorch takes seconds to load and no other command of this process needs it.
    from nni_blockqnn.export import export_network, new_folder
    from nni_blockqnn.reports.model_card import write_model_card

    with new_folder(arguments.output) as folder:
        exported = export_network(
            arguments.folder, folder, arguments.formats, _tell, arguments.extra_kinds
        )
        write_model_card(exported, folder)
    print(f"wrote {arguments.output}")
    for name, what in _CONTENTS.items():
        if (arguments.output / name).exists():
            print(f"  {name:<20} {what}")
    for line in exported.left_out:
        print(line, file=sys.stderr)
    return 0


def _tell(step: str) -> None:
    print(step, flush=True)  # torch.export and ONNX take a while


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, help="what `blockqnn train` (or `blockqnn export`) wrote"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="a folder that does not exist yet"
    )
    parser.add_argument(
        "--formats",
        nargs="+",
        metavar="FORMAT",
        help="out of python, program, onnx (default: all, onnx only if the extra is installed)",
    )
    parser.add_argument(
        "--extra-kinds",
        nargs="+",
        default=[],
        metavar="MODULE:NAME",
        help="layer kinds of your own that the network has; their modules are imported",
    )
