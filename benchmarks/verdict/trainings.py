"""Trainings by block and seed: each is done once, whichever search asks for it, and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from json_lines import append, read_lines
from nsc_bench.ground import SEARCHED
from nsc_bench.make_table import resume, trained
from nsc_bench.plan import Job
from nsc_bench.setups import Setup

from nni_blockqnn import Block


class Trainings:
    """Trainings of one setup, in a working file that grows by a line a training."""

    def __init__(self, setup: Setup, data_dir: Path | None, file: Path, *known: Path) -> None:
        """
        Args:
            known: working files of the same setup, which are read but not written.
        """
        self.setup = setup
        self._data_dir = data_dir
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        resume(file, setup)
        self._lines: dict[tuple[str, int], dict[str, Any]] = {}
        for path in (*known, file):
            self._read(path)

    def line(self, block: Block, seed: int) -> dict[str, Any]:
        """What a training gave: ``accuracy`` (``None`` if it diverged), ``seconds`` and more."""
        name = (block.to_json(), seed)
        if name not in self._lines:
            self._read(self._file)  # another process may have trained it
        if name not in self._lines:
            data = self.setup.load(self._data_dir)
            self._lines[name] = trained(Job(SEARCHED, block, seed), self.setup, data)
            append(self._file, self._lines[name])
        return self._lines[name]

    def find(self, block: Block, seed: int) -> dict[str, Any] | None:
        """The same, ``None`` where it is not trained."""
        return self._lines.get((block.to_json(), seed))

    def _read(self, path: Path) -> None:
        if not path.exists():
            return
        header, *lines = read_lines(path)
        if header["setup"] != self.setup.described():
            raise ValueError(f"{path} was made with {header['setup']}")
        self._lines |= {(line["block"], line["seed"]): line for line in lines}
