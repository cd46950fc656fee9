"""From images to a network in use: one search, cut off on the way, and all that reads it."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from nni_shell import ROOT, SCRIPTS, WAITING_SECONDS, Nni, Running, free_port, plain
from PIL import Image

from nni_blockqnn.data import Split, load_dataset

NOTEBOOK = ROOT / "examples" / "one_command.ipynb"
TRIALS, EPOCHS = 3, 12
"""Of the demo as it is called here; two of the trials' blocks are hand-made."""
SAME = ("digits", "--hours", "1", "--gpus", "0", "--final-epochs", str(EPOCHS))
"""What the demo asks for, beside the options below; the notebook asks for all of it."""
OPTIONS = ("--trials", str(TRIALS), "--concurrency", "2", "-o", "found")


@pytest.mark.slow
def test_it_goes_on_wherever_it_was_cut_off(nni: Nni, tmp_path: Path) -> None:
    output = tmp_path / "found"
    written = nni.run("blockqnn", "init", *SAME, *OPTIONS, cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    shorten(output / "search.yml")

    demo = Demo(nni, tmp_path)
    demo.wait_until(lambda: has_result(nni))
    (search,) = nni.listed()
    nni.processes(search)[0].kill()  # NNI's manager, which the demo resumes
    demo.wait_until(lambda: finalists_run(nni, search))
    said = demo.is_stopped_by_ctrl_c()
    assert re.search(rf"NNI experiment {search}; its web UI: http://127\.0\.0\.1:\d+", said)
    assert f"the search is done: {TRIALS} results; finalists get {EPOCHS} epochs" in said
    assert not (output / "result.json").exists()

    shown = in_the_notebook(nni, tmp_path)
    result = json.loads((output / "result.json").read_text(encoding="utf-8"))
    assert (result["trials"], result["epochs"], result["tested"]) == (TRIALS, EPOCHS, 359)
    rows = result["rows"]
    assert rows[0]["name"] == "winner"
    assert {"residual", "inception"} & {row["name"] for row in rows}
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in rows)
    assert set(result["experiments"].values()) == set(nni.listed())
    assert result["seconds"] > 0
    assert result["planned_seconds"] > 0
    assert f"({rows[0]['accuracy']}, Block(" in shown
    assert len(re.findall(r"^\w+ +\d+\.\d\d %  ", shown, re.MULTILINE)) == len(rows)
    assert "<svg" in shown
    assert f"\n{rows[0]['params']}\n" in shown
    has_everything(output, search)

    again = nni.run("blockqnn", "demo", *OPTIONS, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "this search is finished" in again.stdout
    assert f"{rows[0]['accuracy']:.2f} % of 359 test images are right" in again.stdout
    assert f"  blockqnn top {search}" in re.sub(" {2,}", "  ", again.stdout)
    assert set(result["experiments"].values()) == set(nni.listed())  # no other was started
    predicts_digits(nni, output, tmp_path / "images", rows[0]["accuracy"])


def shorten(config: Path) -> None:
    """As a user may change what `init` has written."""
    text = config.read_text(encoding="utf-8")
    changed = re.sub(r"--epochs \d+", "--epochs 1", text).replace("--mu 0", "--limit 200 --mu 0")
    assert changed.count("--limit") >= 1
    config.write_text(changed, encoding="utf-8")


class Demo:
    """``blockqnn demo`` that runs in a folder."""

    def __init__(self, nni: Nni, folder: Path) -> None:
        self._nni = nni
        self._process = subprocess.Popen(
            [SCRIPTS / "blockqnn", "demo", *OPTIONS, "--port", str(free_port())],
            cwd=folder,
            env=nni.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=heed_ctrl_c,
        )

    def wait_until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAITING_SECONDS
        while not reached():
            assert self._process.poll() is None, self._process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def is_stopped_by_ctrl_c(self) -> str:
        """Press Ctrl-C, after which no process is left; returns what it has said."""
        left = [one for name in self._nni.listed() for one in self._nni.processes(name)]
        assert left
        os.killpg(self._process.pid, signal.SIGINT)  # as a terminal does: to all in its foreground
        said = plain(self._process.communicate(timeout=WAITING_SECONDS)[0])
        assert self._process.returncode == 130, said
        assert "Traceback" not in said
        assert "stopped; the same command goes on" in said
        assert not psutil.wait_procs(left, timeout=60)[1]
        assert not any(self._nni.processes(name) for name in self._nni.listed())
        return said


def heed_ctrl_c() -> None:
    """A shell makes its background jobs ignore it, and pytest may be one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def has_result(nni: Nni) -> bool:
    for name, entry in nni.listed().items():
        directory = nni.home / "nni-experiments" / name
        return bool(Running(name, entry["port"], directory).journal("result"))
    return False


def finalists_run(nni: Nni, search: str) -> bool:
    """Whether trainings of finalists run, in another experiment than the search."""
    for name, entry in nni.listed().items():
        if name != search:
            running = Running(name, entry["port"], nni.home / "nni-experiments" / name)
            with suppress(OSError):  # its manager starts
                return bool(running.trials("RUNNING"))
    return False


def in_the_notebook(nni: Nni, folder: Path) -> str:
    """What the notebook shows, which goes on with the search in ``found``."""
    runner = Path(__file__).with_name("run_notebook.py")
    ran = nni.run("python", runner, NOTEBOOK, cwd=folder)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return plain(ran.stdout)


def has_everything(output: Path, search: str) -> None:
    for name in (
        *("report.html", "finalists.html", "block.svg", "block.png", "results.csv", "trials.csv"),
        *("network/model.py", "network/README.md", "search.yml", "finalists.yml", "reproduce.sh"),
    ):
        assert (output / name).stat().st_size > 0, name
    report = (output / "report.html").read_text(encoding="utf-8")
    assert search in report
    assert f"<dd>finished: {TRIALS} of {TRIALS} trials done</dd>" in report
    assert "Test accuracy, winner" in report


def predicts_digits(nni: Nni, found: Path, folder: Path, accuracy: float) -> None:
    """What it says of the test images as files is as right as it was in the test."""
    test = load_dataset("digits", None).test
    assert isinstance(test, Split)
    folder.mkdir()
    for number, (image, label) in enumerate(zip(test.images, test.labels, strict=True)):
        Image.fromarray(image[0].numpy()).save(folder / f"{number:03}-{label}.png")
    shown = nni.run("blockqnn", "predict", found, folder)
    assert (shown.returncode, shown.stderr) == (0, "")
    rows = list(csv.DictReader(io.StringIO(shown.stdout)))
    right = sum(row["class"] == Path(row["file"]).stem[-1] for row in rows)
    assert 100 * right / len(rows) == pytest.approx(accuracy, abs=0.01)
