"""Results from experiments and files, pairs of them, and what ``blockqnn calibrate`` says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_experiments import (
    ONE_CONV,
    RESIDUAL,
    THE_SAME_RENUMBERED,
    TWO_BRANCHES,
    final,
    make_experiment,
    write_list,
)

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.cli import main
from nni_blockqnn.commands._measurements import Measurement, paired, read_measurements

KERNELS = [(1, 1), (1, 3), (1, 5), (2, 3), (3, 3)]


def measured(codes: str, accuracy: float, repeats: int | None = 4, flops: float = 1e6) -> Any:
    return Measurement(Block.parse(codes), accuracy, flops, repeats)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In which NNI's list of experiments lies."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "nni-experiments"
    metrics = [
        final(),
        final(block=TWO_BRANCHES, accuracy=70.5, flops=5_000_000, density=7 / 6, episode=2),
    ]
    make_experiment(folder, "search01", [(f"t{n}", one) for n, one in enumerate(metrics)])
    write_list(folder, search01={"id": "search01", "startTime": 1})
    return tmp_path


@pytest.mark.parametrize("format_", ["json", "csv"])
def test_what_top_writes_is_read_as_the_experiment_is(
    home: Path, capsys: pytest.CaptureFixture[str], format_: str
) -> None:
    assert main(["top", "search01", "--by", "accuracy", "--format", format_]) == 0
    file = home / f"best.{format_}"
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    expected = [measured(TWO_BRANCHES, 70.5, flops=5e6), measured(RESIDUAL, 62.0, flops=4e6)]
    assert read_measurements(str(file)) == (expected, (), ())
    assert read_measurements("search01").results == expected[::-1]


def test_lines_of_a_pilot_are_read_and_failures_left_out(tmp_path: Path) -> None:
    file = tmp_path / "final.jsonl"
    line = {"block": RESIDUAL, "accuracy": 62, "flops": 10**30, "repeats": 4}
    failed = {"block": ONE_CONV, "failure": "loss became NaN"}
    file.write_text("\n".join(map(json.dumps, (line, failed, line))) + "\n")
    read = read_measurements(str(file))
    assert read.results == [measured(RESIDUAL, 62, flops=1e30)] * 2
    assert read.failures == (("line 2", "loss became NaN"),)


GOOD = json.dumps({"block": RESIDUAL, "accuracy": 62.0, "flops": 4_000_000})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "accuracy,block\n", "line 1: expected a heading with block, accuracy, flops"),
        ("a.csv", "", "line 1: expected a heading"),
        ("a.csv", f'accuracy,flops,block\n60,9,"{RESIDUAL}"\nx,9,"{RESIDUAL}"\n', "line 3: accur"),
        ("a.csv", "accuracy,flops,block\n60,9\n", "line 2: .*row"),
        ("a.json", "[\n" + GOOD + ",\n{]", "line 3: no JSON"),
        ("a.json", "[\n" + GOOD + ",\n", "line 3: the list ends without a ]"),
        ("a.json", "[\n" + GOOD + ",\n\n7]", 'line 4: got 7; expected a record with "block"'),
        ("a.jsonl", GOOD + "\n" + GOOD[:20], "line 2: no JSON"),
        ("a.txt", "accuracy,flops,block\n", r"line 1: no JSON .* if it is CSV, name it \.csv"),
        (
            "a.jsonl",
            GOOD.replace("62.0", "620"),
            "line 1: accuracy must be from 0 to 100 percent, got",
        ),
        ("a.jsonl", GOOD.replace("62.0", "NaN"), "line 1: accuracy must be a number, got nan"),
        ("a.jsonl", GOOD.replace("62.0", '"62"'), "line 1: accuracy must be a number, got '62'"),
        ("a.jsonl", GOOD.replace("4000000", "0"), "line 1: flops must be positive, got 0"),
        (
            "a.jsonl",
            GOOD.replace("}", ', "repeats": 0}'),
            "line 1: repeats must be a positive integer",
        ),
        ("a.jsonl", GOOD.replace("[4,5,0,1,3]", "[4,5,0,1,4]"), "line 1: row 4"),
        ("a.jsonl", "[" * 100_000, "line 1: no record that can be read"),
    ],
)
def test_a_malformed_file_is_named_with_its_line(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message) as raised:
        read_measurements(str(tmp_path / name))
    assert str(raised.value).startswith(f"{tmp_path / name}, line ")
    assert "expected" in str(raised.value) or "cut short" in str(raised.value)


def test_neither_file_nor_experiment(home: Path) -> None:
    with pytest.raises(ValueError, match=r"'best.csv' is no file, nor is it an experiment"):
        read_measurements("best.csv")


def test_pairs_are_of_isomorphic_blocks_with_equal_repeats() -> None:
    early = [
        measured(TWO_BRANCHES, 50, flops=2e6),
        measured(ONE_CONV, 40, repeats=2),
        measured(RESIDUAL, 60, flops=3e6),
    ]
    finals = [
        measured(RESIDUAL, 90),
        measured(RESIDUAL, 93),  # another seed
        measured(THE_SAME_RENUMBERED, 80),
        measured(ONE_CONV, 70),
    ]
    pairs = paired(early, finals)
    assert pairs.early.tolist() == [50, 60]
    assert pairs.final.tolist() == [80, 91.5]
    assert pairs.flops.tolist() == [2e6, 3e6]
    assert pairs.density.tolist() == [Block.parse(TWO_BRANCHES).density, 1.0]


def test_unpaired_results_say_why() -> None:
    early = [measured(ONE_CONV, 50, repeats=2)]
    with pytest.raises(ValueError, match=r"no network is in both, of 1 stopped early and 2 final$"):
        paired(early, [measured(RESIDUAL, 60), measured(TWO_BRANCHES, 70)])
    with pytest.raises(ValueError, match=r"with N = 2 and N = 4, and pairs need equal N"):
        paired(early, [measured(ONE_CONV, 60)])
    with pytest.raises(ValueError, match="with N = 2 and N = not given, and"):
        paired(early, [measured(ONE_CONV, 60, repeats=None)])


def write_pairs(folder: Path, count: int) -> list[str]:
    """Two files; larger networks end better than they look early."""
    sources = []
    for name, slope in (("early", 0.0), ("final", 2.0)):
        lines = [
            {
                "block": [[1, kind, kernel, 0, 0], *([n, 4, 0, n - 1, 0] for n in range(2, size))],
                "accuracy": 30 + (7 * place) % 5 + slope * place,
                "flops": 1000 * 2**place,
            }
            for place, (kind, kernel, size) in enumerate(
                [(*layer, size) for size in range(2, 8) for layer in KERNELS][:count]
            )
        ]
        path = folder / f"{name}.jsonl"
        path.write_text("\n".join(map(json.dumps, lines)))
        sources.append(str(path))
    return sources


@pytest.mark.slow
def test_calibrate_prints_the_trials_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = write_pairs(tmp_path, 14)
    assert main(["calibrate", *sources]) == 0
    printed = capsys.readouterr().out
    assert "14 blocks, trained both ways; the reward's mu is 1, rho 8" in printed
    assert "warning: 14 pairs are too few" in printed
    assert printed.endswith("  --mu 0 --rho 0\n")
    for name in ("accuracy", "reward", "fitted, left out", "largest first"):
        assert any(line.startswith(f"{name} ") for line in printed.splitlines())


@pytest.mark.slow
def test_the_numbers_of_a_table_are_in_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a minus before some of them and without, and whole in a narrow terminal."""
    monkeypatch.setenv("COLUMNS", "30")
    sources = write_pairs(tmp_path, 24)
    assert main(["calibrate", *sources]) == 0
    said = capsys.readouterr().out.splitlines()
    begin = next(number for number, line in enumerate(said) if line.startswith("ranked by"))
    rows = said[begin + 1 : said.index("", begin)]
    places = [[place for place, sign in enumerate(row) if sign in "[]"] for row in rows]
    longest = max(places, key=len)
    assert len(longest) >= 4
    assert all({*row} <= {*longest} for row in places)
    assert "…" not in "".join(said)


def test_calibrate_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = write_pairs(tmp_path, 22)
    assert main(["calibrate", *sources, "--mu", "0", "--rho", "0", "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["pairs"] == 22
    assert said["given"] == {"mu": 0, "rho": 0}
    largest = next(one for one in said["criteria"] if one["name"] == "largest first")
    assert largest["correlation"]["estimate"] > 0.95
    assert largest["regret"] == 0
    assert said["recommended"]["mu"] < 0  # larger ones end better


def test_calibrate_tells_of_unpaired_results_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = write_pairs(tmp_path, 5)
    other = tmp_path / "other.jsonl"
    other.write_text(GOOD)
    assert main(["calibrate", sources[0], str(other)]) == 1
    error = capsys.readouterr().err
    assert error == "blockqnn: no network is in both, of 5 stopped early and 1 final\n"


@pytest.mark.slow
def test_calibrate_counts_what_it_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    early, final = map(Path, write_pairs(tmp_path, 6))
    lines = final.read_text().splitlines()
    lines[0] = json.dumps({"block": ONE_CONV, "failure": "loss became NaN"})
    final.write_text("\n".join(lines))
    assert main(["calibrate", str(early), str(final)]) == 0
    printed, errors = capsys.readouterr()
    assert errors.splitlines() == [
        f"{final}: 1 failed, without a result; the last one: line 1: loss became NaN",
        "5 networks are in both, of 6 stopped early and 5 final; the others do not count",
    ]
    # three are in the better half
    assert printed.count("too few\n") == 6 + 1
    assert main(["calibrate", str(early), str(early)]) == 0
    assert capsys.readouterr().err == ""


def test_calibrate_counts_an_experiments_malformed_results(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = home / "nni-experiments"
    metrics = [("a", final(accuracy="good")), ("b", final()), ("c", final(flops=None))]
    make_experiment(folder, "search02", metrics)
    write_list(folder, search02={"id": "search02", "startTime": 1})
    assert main(["calibrate", "search02", "search02"]) == 1
    error = capsys.readouterr().err
    assert "search02: 2 unreadable, without a result; the last one: trial c: it reported" in error


@pytest.mark.parametrize("option", [("--mu", "nan"), ("--rho", "-1e7"), ("--seed", "-1")])
def test_calibrate_refuses_numbers_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, str]
) -> None:
    name, value = option
    with pytest.raises(SystemExit):
        main(["calibrate", *write_pairs(tmp_path, 5), f"{name}={value}"])
    error = capsys.readouterr().err
    assert f"argument {name}: must be a" in error
    assert f"got '{value}'" in error
