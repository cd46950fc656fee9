"""This package as a wheel, made of its installed files: other machines get what runs here.

No build tool and no source tree is needed, and a checkout that is installed with ``pip install -e``
is as good as a release.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "nni-blockqnn"
_PACKAGE = Path(__file__).parents[1]
_TEMPLATES = "config_templates"
_WHEEL = "Wheel-Version: 1.0\nGenerator: nni_blockqnn\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def build_wheel(folder: Path) -> Path:
    """Write the wheel into a folder.

    Raises:
        importlib.metadata.PackageNotFoundError: if the package runs without being installed.
    """
    installed = metadata.distribution(DISTRIBUTION)
    name = f"{_PACKAGE.name}-{installed.version}"
    info = f"{name}.dist-info"
    path = folder / f"{name}-py3-none-any.whl"
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for target, content in _contents(installed, info).items():
            archive.writestr(target, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            rows.writerow([target, f"sha256={digest.decode()}", len(content)])
        rows.writerow([f"{info}/RECORD", "", ""])
        archive.writestr(f"{info}/RECORD", record.getvalue())
    return path


def _contents(installed: metadata.Distribution, info: str) -> dict[str, bytes]:
    """The wheel's files by their paths in it."""
    files = {
        path.relative_to(_PACKAGE.parent).as_posix(): path.read_bytes()
        for path in sorted(_PACKAGE.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    for path in sorted((_PACKAGE.parent / _TEMPLATES).glob("*.yml")):  # a checkout's
        files.setdefault(f"{_PACKAGE.name}/{_TEMPLATES}/{path.name}", path.read_bytes())
    described = installed.read_text("METADATA") or installed.read_text("PKG-INFO")  # of an egg-info
    files[f"{info}/METADATA"] = (described or "").encode()
    files[f"{info}/entry_points.txt"] = (installed.read_text("entry_points.txt") or "").encode()
    files[f"{info}/WHEEL"] = _WHEEL.encode()
    return files
