"""Decoded data sets as memory-mapped files, written by whichever process comes first.

A data set's folder is named after the source's place and the state of its files. It appears by one
rename and never changes afterwards, so that readers need no lock; writers hold one, and what a
killed writer leaves behind is removed by the next.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from filelock import FileLock

from nni_blockqnn.data._arrays import Decoded, LabelledImages, Source
from nni_blockqnn.data.errors import DataError, one_line

CACHE_VARIABLE = "NNI_BLOCKQNN_CACHE"
_VERSION = 2
"""Of what is decoded: 2 turns images upright and scales those of 16 bits."""
_SPLITS = ("train", "test", "valid")


def cache_root() -> Path:
    """$NNI_BLOCKQNN_CACHE, otherwise nni-blockqnn in $XDG_CACHE_HOME or ~/.cache.

    Raises:
        RuntimeError: if neither is set and the user has no home directory.
    """
    if own := os.environ.get(CACHE_VARIABLE):
        return Path(own).expanduser()
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # a relative path there is to be ignored, says the XDG specification
    return (base if base.is_absolute() else Path.home() / ".cache") / "nni-blockqnn"


def cached(source: Source) -> Decoded:
    """The source's arrays and notes, mapped from the cache; decoded into it first if need be.

    Where the cache cannot be written to, warns and decodes into memory.

    Raises:
        DataError: if the source is broken or changes meanwhile, or the disk is full.
    """
    decoded = _cached(source)
    return replace(decoded, notes=source.notes + decoded.notes)


def _cached(source: Source) -> Decoded:
    fingerprint = _fingerprint(source)
    place = f"{source.name}-{_digest(source.location)}"
    try:
        root = cache_root()
        folder = root / f"{place}-{fingerprint}"
        found = _read(folder)
        if found is not None:
            return found
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / f"{place}.lock")
        lock.acquire()
    except (OSError, RuntimeError) as error:  # the latter: no home, or no locks on the file system
        warnings.warn(
            f"{source.name}: each process decodes the data anew, since the cache cannot be written "
            f"({one_line(error)}): set {CACHE_VARIABLE} to a directory that can",
            stacklevel=2,
        )
        return source.decode()
    try:
        return _read(folder) or _build(source, fingerprint, root, place)
    finally:
        lock.release()


def _build(source: Source, fingerprint: str, root: Path, place: str) -> Decoded:
    """Decodes and stores; only under the lock."""
    folder, partial = root / f"{place}-{fingerprint}", root / f".{place}.partial"
    for left_over in (*root.glob(f"{place}-*"), partial):
        shutil.rmtree(left_over, ignore_errors=True)
    decoded = source.decode()
    if _fingerprint(source) != fingerprint:
        raise DataError(f"{source.name}: its files changed while they were read: start again")
    try:
        partial.mkdir()
        _write(partial, decoded, source, fingerprint)
        partial.rename(folder)
    except OSError as error:
        raise DataError(
            f"{source.name}: the decoded data could not be written to the cache in {root} "
            f"({one_line(error)}): free some space there, or set {CACHE_VARIABLE} to a directory "
            "on another disk"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return _read(folder) or decoded


def _write(folder: Path, decoded: Decoded, source: Source, fingerprint: str) -> None:
    shapes = {}
    for name in _SPLITS:
        split: LabelledImages | None = getattr(decoded, name)
        if split is not None:
            np.save(folder / f"{name}-images.npy", split.images)
            np.save(folder / f"{name}-labels.npy", split.labels)
            shapes[name] = split.images.shape
    np.save(folder / "train-moments.npy", decoded.moments)
    description = {
        "version": _VERSION,
        "source": source.location,
        "fingerprint": fingerprint,
        "shapes": shapes,
        "class_names": decoded.class_names,
        "notes": decoded.notes,
        "facts": decoded.facts,
    }
    (folder / "dataset.json").write_text(json.dumps(description), encoding="utf-8")


def _read(folder: Path) -> Decoded | None:
    """The folder's arrays, None if it is not there or damaged."""
    try:
        description = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        splits = {
            name: _read_split(folder, name, tuple(shape))
            for name, shape in description["shapes"].items()
        }
        moments = np.load(folder / "train-moments.npy")
        names, notes = tuple(description["class_names"]), tuple(description["notes"])
        facts = description.get("facts", {})
        return Decoded(
            *(splits["train"], splits["test"], splits.get("valid"), names, moments, notes, facts)
        )
    except (OSError, ValueError, KeyError, EOFError):
        return None


def _read_split(folder: Path, name: str, shape: tuple[int, ...]) -> LabelledImages:
    # "c", copy on write: PyTorch warns about arrays that are read-only, and no file changes
    images = np.load(folder / f"{name}-images.npy", mmap_mode="c")
    labels = np.load(folder / f"{name}-labels.npy")
    if images.shape != shape or labels.shape[:1] != shape[:1]:
        raise ValueError(f"{folder} does not hold what its description says")
    return LabelledImages(images, labels)


def _fingerprint(source: Source) -> str:
    try:
        return _digest(json.dumps([_VERSION, list(source.stamps())]))
    except OSError as error:
        raise DataError(f"{source.name}: a file cannot be read ({one_line(error)})") from error


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
