"""The layer kinds of the package: each file here registers those that it describes.

A new file is found by itself; nothing else names it.
"""

from __future__ import annotations

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
