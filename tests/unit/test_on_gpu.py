"""``benchmarks/on_gpu.py`` as far as a CPU goes: that its parts run, go on and are written down."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import on_gpu
import pytest
import torch
from gpu_parts import PARTS
from gpu_parts.page import page
from gpu_parts.part import Case, Part, Row, Setting, results, run_part

ON_THIS_CPU = ("figure_2", "random_even", "scripts", "paper_trial", "memory", "streaming")
"""Those that start no process."""


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(torch.device("cpu"), tmp_path, smoke=True)


def test_the_parts_measure_and_write_one_page(tmp_path: Path) -> None:
    options = ["--output", str(tmp_path), "--smoke", "--device", "cpu", "--in-this-process"]
    assert on_gpu.main([*options, "--parts", *ON_THIS_CPU]) == 0
    text = (tmp_path / "on_gpu.md").read_text()
    assert text.startswith("# On a CPU: a rehearsal\n")
    for name in ON_THIS_CPU:
        assert f"## {PARTS[name].title}" in text
    for name in ("residual, fp32", "inception, fp32, deterministic", "random block 0, bf16"):
        assert f"| {name} |" in text
    found = [results(path) for path in sorted(tmp_path.glob("*.jsonl"))]
    assert len(found) == len(ON_THIS_CPU)
    for rows in found:
        assert rows
        for name, row in rows.items():
            assert "failed" not in row, (name, row)
    speeds = results(tmp_path / "figure_2.jsonl")
    assert all(row["images/s"] > 0 for row in speeds.values())


class Counted:
    """A part of three cases, of which each counts how often it is measured."""

    def __init__(self, *, broken: str = "") -> None:
        self.measured: list[str] = []
        self.broken = broken
        self.part = Part("counted", "Counted", self.cases)

    def cases(self, setting: Setting) -> Iterator[Case]:
        for name in ("a", "b", "c"):
            yield Case(name, partial(self.measure, name))

    def measure(self, name: str) -> Row:
        self.measured.append(name)
        if name == self.broken:
            raise RuntimeError(f"CUDA error: {name}\nCompile with TORCH_USE_CUDA_DSA")
        return {"value": len(self.measured)}


def test_a_part_goes_on_with_what_is_missing(setting: Setting) -> None:
    counted = Counted()
    assert not run_part(counted.part, setting, seconds=-1)
    assert counted.measured == []
    assert run_part(counted.part, setting, seconds=60)
    lines = (setting.folder / "counted.jsonl").read_text().splitlines(keepends=True)
    (setting.folder / "counted.jsonl").write_text("".join(lines[:4])[:-5])  # killed in b's line
    assert run_part(counted.part, setting, seconds=60)
    assert counted.measured == ["a", "b", "c", "b", "c"]
    assert run_part(counted.part, setting, seconds=60)
    assert len(counted.measured) == 5
    assert results(setting.folder / "counted.jsonl")["c"] == {"value": 5}


def test_one_case_that_fails_does_not_keep_the_others(setting: Setting) -> None:
    counted = Counted(broken="b")
    assert run_part(counted.part, setting, seconds=60)
    found = results(setting.folder / "counted.jsonl")
    assert found["b"] == {"failed": "RuntimeError: CUDA error: b"}
    assert found["c"] == {"value": 3}
    assert "| b |  | RuntimeError: CUDA error: b |" in page({"counted": counted.part}, setting)


def test_a_case_that_twice_ended_its_process_is_left_out(setting: Setting) -> None:
    (setting.folder / "counted.jsonl").write_text('{"case": "a", "begun": true}\n' * 2)
    counted = Counted()
    assert run_part(counted.part, setting, seconds=60)
    assert counted.measured == ["b", "c"]
    assert results(setting.folder / "counted.jsonl")["a"] == {
        "failed": "it ended its process, twice"
    }


def test_the_order_of_blocks_is_compared_over_both_parts(setting: Setting) -> None:
    for name, numbers in (("order_even", (0, 2)), ("order_odd", (1, 3))):
        lines = [
            f'{{"case": "{number}; {arm}", "accuracy": {10 * number + more}}}\n'
            for number in numbers
            for arm, more in (("fp32", 0), ("bf16", 1))
        ]
        (setting.folder / f"{name}.jsonl").write_text("".join(lines))
    assert "| bf16 | 4 | 1.00 [1.00, 1.00] | +1.00 |" in page(PARTS, setting)


def hear_interrupts() -> None:
    """Tests in the background may not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("at_interrupt", "said"),
    [("print('stopped', flush=True)", "stopped\n"), ("time.sleep(60)", "")],
    ids=["stops", "hangs"],
)
def test_a_part_is_interrupted_before_it_is_killed(
    at_interrupt: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the NNI experiment that it has started would go on."""
    monkeypatch.setattr(on_gpu, "STOP_SECONDS", 0.5 if not said else 60)
    code = "import time\ntry:\n    print('begun', flush=True)\n    time.sleep(60)\n"
    code += f"except KeyboardInterrupt:\n    {at_interrupt}"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_interrupts,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    on_gpu._end(process)
    assert process.communicate(timeout=60)[0] == said
    assert process.returncode == (0 if said else -signal.SIGKILL)


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        on_gpu.main(["--output", "x", "--parts", "figure_3"])
    assert "figure_3" in capsys.readouterr().err
