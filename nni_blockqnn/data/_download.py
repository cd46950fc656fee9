"""Downloads, once for all trials that start together, and whole or not at all."""

from __future__ import annotations

import http.client
import shutil
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from nni_blockqnn.data._progress import with_progress
from nni_blockqnn.data.errors import DataError, one_line

Found = TypeVar("Found")
_PATIENCE = 60  # seconds without a byte
_PIECE = 1 << 20  # bytes


def find_or_download(
    name: str,
    data_dir: Path,
    look: Callable[[], Found | None],
    fetch: Callable[[Path], None],
    advice: str,
) -> Found:
    """What `look` finds, if need be after a download.

    Args:
        name: name of the data set, for messages.
        data_dir: where it belongs.
        look: the data set's files, None if they are not all there.
        fetch: downloads them, using the empty folder that it is given for what is not whole yet.
        advice: what to do without a network, a sentence.

    Raises:
        DataError: if there is neither data nor a download.
    """
    found = look()
    if found is not None:
        return found
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        held = FileLock(data_dir / ".nni-blockqnn-download.lock")
        held.acquire()
    except (OSError, RuntimeError) as error:  # the latter: no locks on the file system
        raise DataError(
            f"{name}: no data in {data_dir}, and that directory cannot be written to "
            f"({one_line(error)}): name the directory that has the data, or one that you may write "
            "to, which the data is then downloaded into (--data-dir of a trial)"
        ) from error
    try:
        found = look()  # another process may have been faster
        if found is None:
            _in_scratch(data_dir / ".nni-blockqnn-download", fetch)
            found = look()
    except (OSError, RuntimeError, ImportError, http.client.HTTPException) as error:
        raise DataError(
            f"{name}: no data in {data_dir} and it could not be downloaded ({one_line(error)}). "
            f"{advice}"
        ) from error
    finally:
        held.release()
    if found is None:
        raise DataError(f"{name}: the download left no data in {data_dir}. {advice}")
    return found


def fetch_file(urls: Iterable[str], md5: str, scratch: Path, target: Path) -> None:
    """Downloads from the first address that answers; `target` appears only when its md5 is right.

    torchvision's own `download_url` waits without an end for a server that is silent, and asks for
    each file twice.

    Raises:
        OSError, RuntimeError, http.client.HTTPException: of the last address.
    """
    from torchvision.datasets.utils import check_integrity

    partial = scratch / target.name
    failure: Exception = RuntimeError("no address to download from")
    for url in urls:
        request = urllib.request.Request(url, headers={"User-Agent": "nni-blockqnn"})
        try:
            with (
                urllib.request.urlopen(request, timeout=_PATIENCE) as response,
                partial.open("wb") as file,
            ):
                length = response.length or 0
                pieces = iter(lambda: response.read(_PIECE), b"")
                for piece in with_progress(pieces, -(-length // _PIECE), f"{target.name}, MiB"):
                    file.write(piece)
        except (OSError, http.client.HTTPException) as error:
            failure = error
            continue
        if check_integrity(partial, md5):
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.replace(target)
            return
        failure = RuntimeError(f"{url} gave {partial.stat().st_size} bytes with a wrong checksum")
    raise failure


def _in_scratch(scratch: Path, fetch: Callable[[Path], None]) -> None:
    # Nobody else uses the folder under the lock: what lies there is a killed process's.
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        fetch(scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
