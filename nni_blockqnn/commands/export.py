"""``blockqnn export``: a trained network as a folder that others can use."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import TaskProgressColumn

from nni_blockqnn.commands._progress_bar import ProgressBar, time_left

_CONTENTS = {
    "model.py": "the network as PyTorch code to read and change",
    "program.pt2": "for torch.export.load",
    "model.onnx": "for ONNX Runtime and other engines",
    "weights.safetensors": "of model.py and nni_blockqnn.load",
    "network.json": "block, network, normalisation, classes, recipe, accuracies",
    "README.md": "the model card, with block.svg",
}


_SHARES = {
    "reads": 0.17,
    "writes program.pt2": 0.16,
    "writes model.onnx": 0.6,
    "compares": 0.07,
}
"""Of the time that an export takes, by the beginning of each step, of a network eight blocks deep.
"""


def export(arguments: argparse.Namespace) -> int:
    # Here, since PyTorch takes seconds to load and no other command of this process needs it.
    from nni_blockqnn.export import export_network, new_folder
    from nni_blockqnn.reports.model_card import write_model_card

    with new_folder(arguments.output) as folder, Steps(Console()) as steps:
        exported = export_network(
            arguments.folder, folder, arguments.formats, steps.begin, arguments.extra_kinds
        )
        write_model_card(exported, folder)
    print(f"wrote {arguments.output}")
    for name, what in _CONTENTS.items():
        if (arguments.output / name).exists():
            print(f"  {name:<20} {what}")
    for line in exported.left_out:
        print(line, file=sys.stderr)
    return 0


class Steps(ProgressBar):
    """A bar of the steps with the time left, in a terminal."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, "export", 100, TaskProgressColumn())
        self._began = time.monotonic()
        self._done = 0.0
        self._running = 0.0

    def begin(self, step: str) -> None:
        """The step before has ended."""
        self._done += self._running
        self._running = next((n for name, n in _SHARES.items() if step.startswith(name)), 0.0)
        text = step
        if self._done:
            taken = time.monotonic() - self._began
            text += f", {time_left(taken * (1 - self._done) / self._done)}"
        self.show(round(100 * self._done), text)


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
