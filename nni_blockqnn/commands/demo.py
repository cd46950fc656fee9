"""``blockqnn demo``: ``blockqnn search digits`` with numbers that take some minutes."""

from __future__ import annotations

import argparse
from pathlib import Path

from nni_blockqnn.commands.whole_search import own_command, run_search
from nni_blockqnn.common.cores import usable_cores

_FOLDER = Path("blockqnn-demo")
_HOURS = 1.0
"""Far more than it takes, or a slow machine would refuse it."""
_FINAL_EPOCHS = 12
"""A given number, as that of the trials is: a slow machine takes longer."""
_MOST_AT_A_TIME = 8
"""Of trials that are so few."""


def demo(arguments: argparse.Namespace) -> int:
    # here, since PyTorch takes seconds to load
    from nni_blockqnn.automl.request import Request
    from nni_blockqnn.automl.whole_way import own_folder

    concurrency = arguments.concurrency
    if concurrency is None:
        concurrency = min(_MOST_AT_A_TIME, usable_cores())
    request = Request(
        "digits",
        _HOURS,
        trials=arguments.trials,
        concurrency=concurrency,
        gpus=0,
        final_epochs=_FINAL_EPOCHS,
        seed=arguments.seed,
    )
    output = arguments.output or own_folder(request, _FOLDER)
    print(f"searches blocks for 1,797 images of handwritten digits; everything goes into {output}")
    code = run_search(request, output, arguments.port)
    if code == 0:
        print(f"  your own images   {own_command()} search my_images --hours 2 -o found")
    return code
