"""``nnictl`` that waits longer for NNI's manager: ``python -m nni_blockqnn.bridge.patient_nnictl``.

NNI 3.0 asks a manager that it has started four times, a second apart, whether it is there, and ends
it then. On a busy machine a manager needs more.
"""

from __future__ import annotations

import inspect
import sys
from functools import partial

_ATTEMPTS = 30
"""A second apart."""


def main() -> int:
    from nni.experiment import launcher
    from nni.tools.nnictl.nnictl import parse_args

    check = getattr(launcher, "_check_rest_server", None)
    if check is not None and "retry" in inspect.signature(check).parameters:
        launcher._check_rest_server = partial(check, retry=_ATTEMPTS)
    return parse_args() or 0


if __name__ == "__main__":
    sys.exit(main())
