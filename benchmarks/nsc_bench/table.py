"""Read and write the tables: one compressed CSV file each, with the setup in its first line."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.spec import NetworkSpec

MOST_SEEDS = 3
_COLUMNS = (
    "kind",
    "block",
    *(f"accuracy{seed}" for seed in range(MOST_SEEDS)),
    "flops",
    "params",
    "activations",
    "density",
    "seconds",
)
_AT_EQUAL_COST = ("width", "curves")
"""Further columns of a table whose networks have one cost."""


@dataclass(frozen=True)
class Entry:
    """A trained block.

    Attributes:
        kind: "upto3", "upto4" or "full"; at equal cost one of :data:`nsc_bench.ground.KINDS`.
        accuracies: on the validation or the test images in percent, one a seed, seed 0 first.
        flops: multiply-accumulates of the whole network for one image.
        params: of the whole network.
        activations: as :class:`~nni_blockqnn.network.cost.Cost` counts them.
        density: the block's.
        seconds: of one training on one core, the mean over the seeds.
        width: filters of the first stage at equal cost; ``None`` for those of the table's network.
        curves: at equal cost, for each seed, the accuracy after each epoch in percent, on a quarter
            of the validation images.
    """

    kind: str
    block: Block
    accuracies: tuple[float, ...]
    flops: int
    params: int
    activations: int
    density: float
    seconds: float
    width: int | None = None
    curves: tuple[tuple[float, ...], ...] = ()

    @property
    def accuracy(self) -> float:
        """Mean over the seeds."""
        return sum(self.accuracies) / len(self.accuracies)


@dataclass(frozen=True)
class Table:
    """Trained blocks, and the setup that they were trained in (JSON text)."""

    setup: str
    entries: tuple[Entry, ...]

    def find(self, block: Block) -> Entry | None:
        """The block's entry, or that of a twin with the density and activations of this block.

        Twins compute the same function (equal ``function_key``), so one stands for all.
        """
        entry = self._by_key.get(block.key)
        if entry is not None:
            return entry
        twin = self._by_function.get(block.function_key)
        if twin is None:
            return None
        spec = self.spec if twin.width is None else self.spec.with_width(twin.width)
        cost = estimate_cost(block, spec)
        return replace(twin, block=block, density=block.density, activations=cost.activations)

    @cached_property
    def spec(self) -> NetworkSpec:
        """The network around the blocks; at equal cost before its filters are scaled."""
        return NetworkSpec.from_parameter(json.loads(self.setup)["network"])

    def save(self, path: Path) -> None:
        """The same bytes for the same table."""
        text = io.StringIO(newline="")
        text.write(f"# {self.setup}\n")
        writer = csv.writer(text, lineterminator="\n")
        matched = "match" in json.loads(self.setup)
        writer.writerow(_COLUMNS + _AT_EQUAL_COST if matched else _COLUMNS)
        writer.writerows([*_row(e), *(_more(e) if matched else ())] for e in self.entries)
        path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))

    @classmethod
    def load(cls, path: Path) -> Table:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            setup = file.readline().removeprefix("# ").rstrip("\n")
            return cls(setup, tuple(_entries(csv.DictReader(file))))

    @cached_property
    def _by_key(self) -> dict[str, Entry]:
        return {entry.block.key: entry for entry in self.entries}

    @cached_property
    def _by_function(self) -> dict[str, Entry]:
        return {entry.block.function_key: entry for entry in reversed(self.entries)}


def load_table(name: str) -> Table:
    """The table of a setup: "fashion_mnist", "cifar10_long"."""
    return Table.load(table_path(name))


def table_path(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.csv.gz")


def _row(entry: Entry) -> Sequence[str]:
    accuracies = [f"{accuracy:.3f}" for accuracy in entry.accuracies]
    return (
        entry.kind,
        entry.block.to_json(),
        *accuracies,
        *[""] * (MOST_SEEDS - len(accuracies)),
        str(entry.flops),
        str(entry.params),
        str(entry.activations),
        f"{entry.density:.4f}",
        f"{entry.seconds:.3f}",
    )


def _more(entry: Entry) -> Sequence[str]:
    """What :data:`_AT_EQUAL_COST` names: seeds are told apart by "/"."""
    curves = (" ".join(f"{accuracy:.1f}" for accuracy in curve) for curve in entry.curves)
    return str(entry.width), "/".join(curves)


def _entries(rows: Iterable[dict[str, str]]) -> Iterable[Entry]:
    for row in rows:
        block = Block.parse(row["block"])
        accuracies = (row[f"accuracy{seed}"] for seed in range(MOST_SEEDS))
        yield Entry(
            kind=row["kind"],
            block=block,
            accuracies=tuple(float(accuracy) for accuracy in accuracies if accuracy),
            flops=int(row["flops"]),
            params=int(row["params"]),
            activations=int(row["activations"]),
            density=block.density,  # the column is rounded
            seconds=float(row["seconds"]),
            width=int(row["width"]) if row.get("width") else None,
            curves=_curves(row.get("curves")),
        )


def _curves(text: str | None) -> tuple[tuple[float, ...], ...]:
    """The reverse of what :func:`_more` writes; other tables have no such column."""
    return tuple(tuple(map(float, curve.split())) for curve in text.split("/")) if text else ()
