"""What a host says of itself: this file is sent to its Python, and prints JSON.

So it imports the standard library alone, and Python 3.9 can read it. What the host's answers are
compared with comes from the same functions.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata, util
from pathlib import Path
from typing import Any

PACKAGE = "nni_blockqnn"
TOOLS = ("nni", "torch", "torchvision", "setuptools")
_NOT_CODE = {"__pycache__", "config_templates"}
_NVIDIA_SMI = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
_NNIS_SCRIPT = ("tools", "nni_manager_scripts", "collect_gpu_info.py")
_TRIED_BYTES = 2**20


def versions_of(names: Sequence[str]) -> dict[str, str | None]:
    """The installed versions, None for what is not there."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def code_of(package: str) -> str | None:
    """A hash of an installed package's files, None if there is no such package."""
    found = util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        return None
    root = Path(next(iter(found.submodule_search_locations)))
    digest = hashlib.sha256()
    for name in sorted(files_below(root)):
        if _NOT_CODE.isdisjoint(name.split("/")):
            digest.update(name.encode() + b"\0")
            digest.update(hashlib.sha256((root / name).read_bytes()).digest())
    return digest.hexdigest()


def files_below(folder: Path) -> dict[str, int]:
    """The sizes of a folder's files by their paths in it; hidden ones and locks are left out."""
    found = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(parent, name)
            if not name.startswith(".") and path.suffix not in (".lock", ".part"):
                found[path.relative_to(folder).as_posix()] = path.stat().st_size
    return found


def listing_of(folder: str, beginnings: Sequence[str]) -> dict[str, int]:
    """The sizes of a data set's files: of those that begin so, or of all if nothing is said."""
    return {
        name: size
        for name, size in files_below(Path(folder).expanduser()).items()
        if not beginnings or name.startswith(tuple(beginnings))
    }


def hash_of(listing: Mapping[str, int]) -> str:
    """Equal for equal names and sizes."""
    return hashlib.sha256(json.dumps(sorted(listing.items())).encode()).hexdigest()


def _gpus() -> dict[str, list[int]]:
    """The memory of each GPU in MiB, and which of them are in use: by NNI's own script where it is
    there, which is run as a file, without the seconds of `import nni`."""
    nni = util.find_spec("nni")
    for folder in (nni and nni.submodule_search_locations) or ():
        told = _output([sys.executable, str(Path(folder, *_NNIS_SCRIPT)), "--detail"])
        if told is not None:
            found = json.loads(told)
            busy = sorted({process["gpuIndex"] for process in found.get("processes", ())})
            memory = [gpu.get("gpuMemory", 0) // 2**20 for gpu in found.get("gpus", ())]
            return {"memory": memory, "busy": busy}
    told = _output(_NVIDIA_SMI)
    memory = [int(line) for line in (told or "").split() if line.isdigit()]
    return {"memory": memory, "busy": []}


def _cuda() -> int | None:
    """How many GPUs PyTorch can use; None if it does not say."""
    told = _output([sys.executable, "-c", "import torch; print(torch.cuda.device_count())"])
    return int(told) if told is not None and told.strip().isdigit() else None


def _pip() -> str | None:
    """Why NNI's first command there would fail, None if it would not."""
    command = [sys.executable, "-m", "pip", "install", "nni", "--upgrade", "--dry-run"]
    ran = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if ran.returncode == 0:
        return None
    lines = ran.stderr.decode(errors="replace").strip().splitlines()
    if lines and "no such option" in lines[-1]:  # pip before 22.2
        return None
    return lines[-1] if lines else f"pip ended with exit code {ran.returncode}"


def _output(command: Sequence[str]) -> str | None:
    try:
        ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return None
    return ran.stdout.decode(errors="replace") if ran.returncode == 0 else None


def _disk() -> dict[str, Any]:
    """The bytes that are free where NNI writes, and why it cannot write there, if so."""
    home = Path.home()
    answer = {"home": str(home), "free": shutil.disk_usage(home).free, "error": None}
    try:
        folder = home / "nni-experiments"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * _TRIED_BYTES)
    except OSError as error:
        answer["error"] = error.strerror or str(error)
    return answer


def _way_back(address: str, port: int, token: str) -> str | None:
    """Why NNI's manager would not be reached, None if it would."""
    try:
        with socket.create_connection((address, port), timeout=5) as connection:
            connection.sendall(token.encode() + b"\n")
            said = connection.makefile("rb").readline().decode(errors="replace").strip()
    except OSError as error:
        return error.strerror or str(error)
    return None if said == token[::-1] else "another program answers there"


def look(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, as a mapping for JSON.

    Args:
        asked: "data" and "beginnings" for :func:`listing_of`, "listing" for the files themselves;
            "address", "port" and "token" of the way back; "quick" for versions and data alone.
    """
    versions = versions_of(TOOLS)
    answer: dict[str, Any] = {
        "python": ".".join(map(str, sys.version_info[:3])),
        "executable": sys.executable,
        "versions": versions,
        "code": code_of(PACKAGE),
    }
    if asked.get("data") is not None:
        listing = listing_of(asked["data"], asked["beginnings"])
        total = sum(listing.values())
        answer["data"] = {"files": len(listing), "bytes": total, "hash": hash_of(listing)}
        if asked.get("listing"):
            answer["data"]["listing"] = listing
    if not asked.get("quick"):
        gpus = _gpus()
        answer |= {"disk": _disk(), "gpus": gpus, "pip": _pip() if versions["nni"] else None}
        if gpus["memory"] and versions["torch"]:
            answer["cuda"] = _cuda()
        if asked.get("address"):
            answer["way_back"] = _way_back(asked["address"], asked["port"], asked["token"])
    return answer


if __name__ == "__main__":
    print(json.dumps(look(json.loads(base64.b64decode(sys.argv[1]).decode()))))
