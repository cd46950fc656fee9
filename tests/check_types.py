"""mypy over all files, from the repository's root:  python tests/check_types.py

Unit tests pass what is wrong and look into what may be None, so they have leave for errors of some
codes. A second run with these codes switched off would read PyTorch a second time.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:  # mypy brings it
    import tomli as tomllib

LENIENT_FOLDER = "tests/unit/"
LENIENT_CODES = {"arg-type", "union-attr", "operator", "index", "list-item", "dict-item"}
_ERROR = re.compile(r"(?P<path>[^:]+):\d+: error: .*\[(?P<code>[a-z-]+)\]")
_BAD_CONFIGURATION = 2


def without_what_is_allowed(lines: list[str]) -> list[str]:
    """mypy's lines, but for errors for which there is leave and the notes on them."""
    kept: list[str] = []
    is_allowed = False
    for line in lines:
        if ": note: " not in line:
            found = _ERROR.match(line)
            is_allowed = (
                found is not None
                and found["path"].startswith(LENIENT_FOLDER)
                and found["code"] in LENIENT_CODES
            )
        if not is_allowed:
            kept.append(line)
    return kept


def main() -> int:
    configuration = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    paths = [*configuration["tool"]["mypy"]["files"], LENIENT_FOLDER]
    command = [sys.executable, "-m", "mypy", "--no-error-summary", *paths]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    lines = without_what_is_allowed(ran.stdout.splitlines())
    print("\n".join(lines) or "no wrong types")
    if ran.returncode >= _BAD_CONFIGURATION or ran.returncode < 0:
        return _BAD_CONFIGURATION
    return int(any(": error: " in line for line in lines))


if __name__ == "__main__":
    sys.exit(main())
