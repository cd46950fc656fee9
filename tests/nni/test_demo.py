"""``blockqnn demo`` from its start to its end, and Ctrl-C on the way."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest
from nni_shell import PATIENCE_SECONDS, SCRIPTS, Nni, Running, free_port, plain

from nni_blockqnn import Block


def test_it_ends_with_a_block_and_what_to_do_next(nni: Nni, tmp_path: Path) -> None:
    output = tmp_path / "found"
    options = ["--trials", "3", "--concurrency", "2", "--seed", "0", "--port", str(free_port())]
    shown = nni.run("blockqnn", "demo", *options, "--output", output)
    assert shown.returncode == 0, shown.stdout + shown.stderr

    text = plain(shown.stdout)
    assert re.search(r"trials 3/3  best accuracy \d+\.\d\d %  reward \d+\.\d\d  epsilon \d", text)
    assert re.search(r"test accuracy +\d+\.\d\d %", text)
    next_commands = re.findall(r"^  (blockqnn .*)$", text, re.MULTILINE)
    (experiment_id,) = nni.listed()
    assert f"blockqnn top {experiment_id}" in next_commands
    assert not nni.processes(experiment_id)

    best = nni.run("blockqnn", "top", experiment_id, "--k", "1", "--format", "json")
    (row,) = json.loads(best.stdout)
    block = Block.parse((output / "best_block.json").read_text(encoding="utf-8"))
    assert block == Block.parse(row["block"])
    assert ElementTree.parse(output / "best_block.svg").getroot().tag.endswith("svg")
    report = (output / "report.html").read_text(encoding="utf-8")
    assert experiment_id in report
    assert "<dd>finished: 3 of 3 trials done</dd>" in report
    listed = plain(nni.run("blockqnn", "list").stdout)
    assert re.search(rf"{experiment_id} .* finished .* 3 of 3", listed)
    assert "Test accuracy of the best block" in report


def test_it_says_why_all_trials_fail(nni: Nni, tmp_path: Path) -> None:
    """As with a scikit-learn that was built for another NumPy."""
    (tmp_path / "sklearn").mkdir()
    (tmp_path / "sklearn" / "__init__.py").write_text("raise ValueError('numpy.dtype changed')")
    nni.environment["PYTHONPATH"] = str(tmp_path)
    options = ["--concurrency", "4", "--port", str(free_port())]
    shown = nni.run("blockqnn", "demo", *options, cwd=tmp_path)
    assert shown.returncode == 1, shown.stdout
    said = r"^blockqnn: no trial brought a result\n  \d+ x failed: .*numpy.dtype changed \(the last"
    assert re.search(said, shown.stderr, re.MULTILINE), shown.stderr
    (log,) = nni.home.glob("nni-experiments/_latest/log/dispatcher.log")
    assert re.search(r"The search ends: the last \d+ trials failed, .*numpy", log.read_text())


@pytest.mark.parametrize("moment", ["starting", "searching"])
def test_ctrl_c_leaves_nothing_behind(nni: Nni, tmp_path: Path, moment: str) -> None:
    demo = subprocess.Popen(
        [SCRIPTS / "blockqnn", "demo", "--trials", "50", "--port", str(free_port())],
        cwd=tmp_path,
        env=nni.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=heed_ctrl_c,
    )
    try:
        if moment == "searching":  # trials may run before the demo knows that NNI has started
            assert demo.stdout is not None
            assert any("its web UI" in line for line in demo.stdout)
        wait_for(lambda: nni.listed() if moment == "starting" else trials_run(nni), demo)
        (experiment_id,) = nni.listed()
        left = nni.processes(experiment_id)
        assert left
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does: to all in its foreground
        said, _ = demo.communicate(timeout=PATIENCE_SECONDS)
    finally:
        demo.kill()
    assert demo.returncode == 130, said
    assert "Traceback" not in said
    assert (f"blockqnn resume {experiment_id}" in said) == (moment == "searching")
    assert not psutil.wait_procs(left, timeout=60)[1]


def heed_ctrl_c() -> None:
    """A shell makes its background jobs ignore it, and pytest may be one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def trials_run(nni: Nni) -> bool:
    for experiment_id, entry in nni.listed().items():
        directory = nni.home / "nni-experiments" / experiment_id
        running = Running(experiment_id, entry["port"], directory)
        return bool(running.journal("suggestion")) and bool(running.trials("RUNNING"))
    return False


def wait_for(reached: Callable[[], object], demo: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert demo.poll() is None, demo.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
