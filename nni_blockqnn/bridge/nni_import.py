"""NNI, imported without what a trial does not use.

Three quarters of ``import nni`` are scipy.stats, which only NNI's own search spaces draw from, and
pandas, which its JSON encoder offers for metrics that are tables.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from types import ModuleType

from nni_blockqnn.common import patches

_NEEDS = ("requests", "json_tricks", "yaml", "typeguard", "schema", "simplejson", "cloudpickle")


def import_nni() -> ModuleType:
    """The module nni; a metric must not hold tables of pandas."""
    if "nni" not in sys.modules:
        with patches.deferred("scipy.stats"), patches.hidden("pandas"):
            importlib.import_module("nni")
    return sys.modules["nni"]


def import_needs_of_nni() -> None:
    """What `import nni` takes most of its time for, other packages, without NNI itself."""
    with patches.deferred("scipy.stats"), patches.hidden("pandas"), suppress(ImportError):
        for name in _NEEDS:
            importlib.import_module(name)
