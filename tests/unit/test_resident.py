"""The resident worker, with trials that are a few lines of Python instead of a training."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 200.0
RAN_BY_ITSELF = 99
LIGHT = f"""
import sys, time
from nni_blockqnn.bridge import resident
resident.MODULE = "own_worker"
code = resident.run_by_worker(time.perf_counter())
sys.exit({RAN_BY_ITSELF} if code is None else code)
"""
WORKER = """
import sys
from nni_blockqnn.trials import resident

resident.IDLE_SECONDS = {idle_seconds}

def import_all():
    {imports}
    import shared
    def run(started):
        names = {{"shared": shared, "code": 0}}
        exec(sys.argv[1], names)
        return names["code"]
    return run

if __name__ == "__main__":
    sys.exit(resident.main(import_all))
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the worker is for Linux")


class Trials:
    """Light processes of one experiment.

    Attributes:
        before: is done in a process, before it is a light one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before: Callable[[], None] | None = None
        self.sockets = folder / "run" / "nni-blockqnn"
        (folder / "run").mkdir()
        (folder / "shared.py").write_text("count = 0\n")
        (folder / "own_light.py").write_text(LIGHT)
        self.write_worker()
        path = os.pathsep.join([str(folder), str(ROOT)])
        self.environment = {"PYTHONPATH": path, "XDG_RUNTIME_DIR": str(folder / "run")}
        self.environment |= {"NNI_EXP_ID": "x1", "HOME": str(folder)}

    def write_worker(self, *, idle_seconds: float = 60.0, imports: str = "pass") -> None:
        text = WORKER.format(idle_seconds=idle_seconds, imports=imports)
        (self.folder / "own_worker.py").write_text(text)

    def start(self, code: str, trial_id: str = "t", **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "own_light", code],
            env=self.environment | {"NNI_TRIAL_JOB_ID": trial_id} | environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=self._prepare,
        )

    def _prepare(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # tests in the background may not hear it
        if self.before is not None:
            self.before()

    def run(self, code: str, **environment: str) -> tuple[int, str, str]:
        """Exit code, standard output and error."""
        started = self.start(code, **environment)
        output, errors = started.communicate(timeout=PATIENCE_SECONDS)
        return started.returncode, output, errors

    def worker(self) -> psutil.Process:
        """That of the next trial."""
        code, output, errors = self.run("import os; print(os.getppid())")
        assert code == 0, errors
        return psutil.Process(int(output))

    def processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("XDG_RUNTIME_DIR") == str(self.folder / "run"):
                    yield process


@pytest.fixture
def trials(tmp_path: Path) -> Iterator[Trials]:
    made = Trials(tmp_path)
    yield made
    while left := list(made.processes()):
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=10)


def run_as_batch() -> None:
    """Another priority, which any user may take, however nice the tests are."""
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def wait_until(reached: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_trial_is_as_its_light_process(trials: Trials) -> None:
    tell = (
        "import os, sys\nprint(os.environ['NNI_TRIAL_JOB_ID'], os.getcwd(), len(sys.argv))\n"
        "print('wrong', file=sys.stderr)\ncode = 3"
    )
    for name in ("first", "second"):
        said = f"{name} {trials.folder} 2\n"
        assert trials.run(tell, trial_id=name) == (3, said, "wrong\n")
    assert trials.worker() == trials.worker()


def test_an_exception_ends_a_trial_as_any_program(trials: Trials) -> None:
    code, _, errors = trials.run("raise KeyError('of the block')")
    assert code == 1
    assert "KeyError: 'of the block'" in errors
    assert trials.run("import atexit; atexit.register(print, 'bye')") == (0, "bye\n", "")


def test_nothing_of_a_trial_gets_to_another(trials: Trials) -> None:
    worker = trials.worker()
    change = (
        "import os, random, sys, numpy\nshared.count += 1\nrandom.seed(0); numpy.random.seed(0)\n"
        "os.environ['OWN'] = '1'; os.chdir('/'); os.umask(0); sys.path.append('/own')\n"
    )
    look = "import os, sys\nprint(shared.count, 'OWN' in os.environ, os.getcwd(), sys.path[-1])"
    assert trials.run(change + look)[1] == "1 True / /own\n"
    said = trials.run(look)[1]
    assert said.startswith(f"0 False {trials.folder} ")
    assert "/own" not in said
    assert trials.worker() == worker


def test_generators_begin_anew_in_each_trial(trials: Trials) -> None:
    trials.write_worker(imports="import numpy")
    draw = "import random, numpy; print(random.random(), numpy.random.rand())"
    first, second = (trials.run(draw)[1].split() for _ in range(2))
    assert first[0] != second[0]
    assert first[1] != second[1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_signal_that_ends_a_trial_ends_its_light_process(trials: Trials, number: int) -> None:
    worker = trials.worker()
    assert trials.run(f"import os; os.kill(os.getpid(), {number})")[0] == -number
    assert trials.worker() == worker


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_the_end_of_a_light_process_ends_the_trial(trials: Trials, number: int) -> None:
    """NNI ends trials by SIGINT, and after five seconds by SIGKILL."""
    worker = trials.worker()
    begin = (
        "import os, subprocess, sys, time\n"
        "helper = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(os.getpid(), helper.pid, flush=True)\ntime.sleep(600)"
    )
    light = trials.start(begin)
    assert light.stdout is not None
    pids = [int(pid) for pid in light.stdout.readline().split()]
    assert len(pids) == 2
    light.send_signal(number)
    assert light.wait(PATIENCE_SECONDS) == -number
    wait_until(lambda: all(map(is_gone, pids)))
    assert trials.worker() == worker


def test_a_killed_worker_ends_its_trials_by_name(trials: Trials) -> None:
    worker = trials.worker()
    light = trials.start("import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    assert light.stdout is not None
    pid = int(light.stdout.readline())
    worker.kill()
    output, errors = light.communicate(timeout=PATIENCE_SECONDS)
    assert (light.returncode, output) == (1, "trial failed: its resident worker was killed\n")
    assert output in errors
    wait_until(lambda: is_gone(pid))
    assert len(list(trials.sockets.glob("*.sock"))) == 1  # nobody listens there any more
    assert trials.worker() != worker


def test_trials_at_once_share_one_worker(trials: Trials) -> None:
    started = [trials.start("import os; print(os.getppid())") for _ in range(4)]
    said = [light.communicate(timeout=PATIENCE_SECONDS) for light in started]
    assert [light.returncode for light in started] == [0] * 4
    assert len({output for output, _ in said}) == 1, said


def test_each_experiment_has_a_worker_of_its_own(trials: Trials) -> None:
    worker = trials.worker()
    trials.environment["NNI_EXP_ID"] = "x2"
    assert trials.worker() != worker


@pytest.mark.parametrize(
    ("setting", "name"),
    [("environment", "the variable OMP_NUM_THREADS"), ("priority", "the priority")],
)
def test_what_is_inherited_is_as_the_workers_or_the_trial_runs_by_itself(
    trials: Trials, setting: str, name: str
) -> None:
    worker = trials.worker()
    if setting == "environment":
        code, _, errors = trials.run("", OMP_NUM_THREADS="7")
    else:
        trials.before = run_as_batch
        code, _, errors = trials.run("")
        trials.before = None
    assert code == RAN_BY_ITSELF
    assert f"{name} is not as it was when the worker was started" in errors
    assert trials.worker() == worker


def test_an_idle_worker_ends_and_leaves_no_socket(trials: Trials) -> None:
    trials.write_worker(idle_seconds=0.5)
    worker = trials.worker()
    wait_until(lambda: is_gone(worker.pid))
    assert list(trials.sockets.glob("*.sock")) == []
    trials.worker()


def test_a_worker_that_cannot_start_leaves_the_trial_to_itself(trials: Trials) -> None:
    trials.write_worker(imports="import no_such_module")
    code, _, errors = trials.run("")
    assert code == RAN_BY_ITSELF
    assert errors.startswith("note: this trial runs without the resident worker: ")


def test_a_folder_that_others_can_open_is_not_used(trials: Trials) -> None:
    trials.sockets.mkdir()
    trials.sockets.chmod(0o755)
    code, _, errors = trials.run("")
    assert code == RAN_BY_ITSELF
    assert f"{trials.sockets} is not a folder of this user alone" in errors


def test_trials_leave_nothing_in_the_worker(trials: Trials) -> None:
    worker = trials.worker()
    wait_until(lambda: worker.children() == [])
    files, memory = worker.num_fds(), worker.memory_info().rss
    for _ in range(3):
        started = [trials.start("x = bytearray(10_000_000)") for _ in range(4)]
        assert [light.wait(PATIENCE_SECONDS) for light in started] == [0] * 4
    assert trials.worker() == worker
    wait_until(lambda: worker.num_fds() <= files and worker.children() == [])
    assert worker.memory_info().rss < memory + 2**20
