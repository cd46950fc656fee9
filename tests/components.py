"""What the tests need that may be missing: programs, and packages of an extra."""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path
from typing import Any, NoReturn

import pytest

DEBIAN_PACKAGES = {
    "bash": "bash",
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
    "ip": "iproute2",
    "tc": "iproute2",
    "nsenter": "util-linux",
    "sshd": "openssh-server",
    "ssh-keygen": "openssh-client",
}


def require(program: str) -> Path:
    """Where the program is. Without it the test is skipped; with CI=true it fails."""
    search_path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
    found = shutil.which(program, path=search_path)
    if found is None:
        missing(f"{program} is missing: apt-get install {DEBIAN_PACKAGES[program]}")
    return Path(found)


def require_module(name: str) -> Any:
    """The module. Without it the test is skipped; with CI=true it fails."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing(f"{error}; pip install -e '.[dev]'")


def missing(message: str) -> NoReturn:
    """Skip the test; with CI=true fail it."""
    if on_ci():
        pytest.fail(message)
    pytest.skip(message)


def on_ci() -> bool:
    """Whether everything is meant to be tested."""
    return os.environ.get("CI") == "true"
