"""Train one block and report its reward: ``python -m nni_blockqnn.trial``.

Under NNI the block comes with the trial's parameters. Outside it, ``--block`` names it and the same
metrics are printed:

    python -m nni_blockqnn.trial --block '[[1,1,3,0,0]]' --dataset digits
"""

from __future__ import annotations

import gc
import os
import sys
import time

from nni_blockqnn.common.streams import print_everything


def main(argv: list[str] | None = None) -> int:
    started = time.perf_counter()
    print_everything()
    if argv is None and _wants_worker():
        from nni_blockqnn.bridge import resident  # and nothing more: this process is to be light

        code = resident.run_by_worker(started)
        if code is not None:
            return code
    return _in_this_process(argv, started)


def _wants_worker() -> bool:
    """Elsewhere than on Linux a process that has loaded PyTorch cannot safely be forked."""
    asked = "--resident" in sys.argv and "NNI_PLATFORM" in os.environ
    return asked and sys.platform == "linux"


def _in_this_process(argv: list[str] | None, started: float) -> int:
    from nni_blockqnn.bridge import channel

    gc.disable()  # nothing that an import makes is garbage, and looking for it takes its time
    # First of all, before the arguments are looked at and PyTorch is imported: take_parameters()
    # says why.
    parameters = channel.take_parameters() if channel.runs_under_nni() else None

    from nni_blockqnn.trials.run import run

    gc.freeze()  # nor does anything later look through it, least of all at the end: 0.4 s
    gc.enable()
    return run(parameters, argv, started)


if __name__ == "__main__":
    sys.exit(main())
