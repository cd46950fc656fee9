"""Programs that the tests need beside Python packages."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

DEBIAN_PACKAGES = {
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


def missing(message: str) -> NoReturn:
    """Skip the test; with CI=true fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
