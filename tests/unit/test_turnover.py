"""What a trial loads, and what the measurement of turnover makes of marks."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from turnover import shares

from nni_blockqnn.common.patches import optimizer_without_compiler
from nni_blockqnn.data._digits import load_digits
from nni_blockqnn.training._optimizers import make_optimizer
from nni_blockqnn.training.recipe import EARLY_STOP, FINAL, Recipe
from nni_blockqnn.trials.run import run

TRIAL = ["--dataset", "digits", "--epochs", "1", "--limit", "200", "--threads", "1"]
TRIAL += ["--block", "[[1,1,3,0,0],[2,1,1,1,0],[3,5,0,1,2]]"]


def _in_a_fresh_python(code: str) -> list[str]:
    finished = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return finished.stdout.splitlines()


Told = tuple[dict[str, Any], set[str]]


def _told_by_trial(no_patches: str) -> Told:
    """A trial's final metric without its times, and the modules that its process has loaded."""
    load_digits()  # decoded by now: the first trial on a machine does need scikit-learn
    *_, line, modules = _in_a_fresh_python(
        "import json, os, sys\n"
        f"os.environ['NNI_BLOCKQNN_NO_PATCHES'] = '{no_patches}'\n"
        "from nni_blockqnn import trial\nfrom nni_blockqnn.bridge import channel\n"
        "channel.import_nni()\n"
        f"assert trial.main({TRIAL}) == 0\n"
        "print(json.dumps(list(sys.modules)))"
    )
    metric = {name: v for name, v in json.loads(line).items() if "seconds" not in name}
    return metric, set(json.loads(modules))


@pytest.fixture(scope="module")
def usual_trial() -> Told:
    return _told_by_trial("0")


def test_a_trial_loads_nothing_that_it_does_not_use(usual_trial: Told) -> None:
    _, modules = usual_trial
    assert modules >= {"nni", "torch", "ptflops"}
    # networkx is loaded by torch._dynamo as well, scipy and pandas by nni, torchvision by ptflops
    unused = {"torch._dynamo", "networkx", "scipy.stats", "pandas", "torchvision", "sklearn"}
    assert not modules & (unused | {"matplotlib"})


def test_without_the_patches_a_trial_gives_the_same_numbers(usual_trial: Told) -> None:
    metric, modules = _told_by_trial("1")
    assert metric == usual_trial[0]
    patched_out = {"torch._dynamo", "scipy.stats", "torchvision"}
    assert modules >= patched_out, "or a library does not import it any more: drop the patch"


@pytest.mark.slow
def test_nni_is_whole_when_it_is_asked_for_more() -> None:
    drawn, encoded, table = _in_a_fresh_python(
        "import sys\n"
        "from nni_blockqnn.bridge.nni_import import import_nni\n"
        "nni = import_nni()\n"
        "assert 'scipy.stats' not in sys.modules\n"
        "from nni.mutable import Numerical\n"
        "from nni.mutable.utils import label_scope\n"
        "with label_scope('here'):\n"
        "    print(Numerical(2, 3, label='a').random())\n"
        "print(nni.dump({'default': 1.5, 'block': '[[1,1,3,0,0]]'}))\n"
        "import pandas\n"
        "print(len(pandas.DataFrame({'a': [1, 2]})))"
    )
    assert 2 <= float(drawn) <= 3
    assert json.loads(encoded) == {"default": 1.5, "block": "[[1,1,3,0,0]]"}
    assert table == "2"


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(108, 4))


def _train(network: nn.Module, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 4], 0.2)
    for _ in range(6):
        images = torch.randn(8, 1, 8, 8, generator=generator)
        labels = torch.randint(4, (8,), generator=generator)
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
        schedule.step()
        optimizer.load_state_dict(optimizer.state_dict())
    return [parameter.detach() for parameter in network.parameters()]


@pytest.mark.parametrize(
    ("recipe", "kind", "options"),
    [
        (EARLY_STOP, torch.optim.Adam, {"betas": (0.9, 0.999), "eps": 1e-8}),
        (replace(EARLY_STOP, weight_decay=0.1), torch.optim.Adam, {"weight_decay": 0.1}),
        (FINAL, torch.optim.SGD, {"momentum": 0.9, "weight_decay": 5e-4}),
    ],
    ids=["adam", "adam with decay", "sgd"],
)
def test_optimizers_are_pytorchs_own(recipe: Recipe, kind: Any, options: dict[str, object]) -> None:
    ours, theirs = _network(), _network()
    optimizer = make_optimizer(ours, recipe, 0.05)
    if "fused" in optimizer.defaults:  # SGD has it from PyTorch 2.3 on
        options = options | {"fused": optimizer.defaults["fused"]}
    plain = kind(theirs.parameters(), lr=0.05, **options)
    assert optimizer.defaults == plain.defaults
    assert isinstance(optimizer, kind)
    for mine, reference in zip(_train(ours, optimizer), _train(theirs, plain), strict=True):
        assert torch.equal(mine, reference)


def test_an_optimizers_step_is_not_differentiated_and_calls_hooks() -> None:
    weight = nn.Parameter(torch.tensor([1.0]))
    optimizer = optimizer_without_compiler(torch.optim.SGD, torch.no_grad())([weight], lr=0.5)
    steps = []
    optimizer.register_step_post_hook(lambda *_: steps.append(torch.is_grad_enabled()))
    weight.grad = torch.tensor([4.0])
    optimizer.step()
    assert weight.item() == -1.0  # 1 - 0.5 * 4
    assert weight.is_leaf
    assert steps == [True]  # PyTorch's own hooks run outside of no_grad too


def test_the_start_up_of_a_trial_counts_from_the_process(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(None, TRIAL, started=time.perf_counter() - 100) == 0
    metric = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert 100 <= metric["startup_seconds"] < 200
    assert metric["seconds"] < 100


def _marks(start: float) -> dict[str, float]:
    return {
        "start": start,
        "import torch": start + 2,
        "first step": start + 3,
        "further steps": start + 7,
        "exit": start + 8,
    }


def _rows(table: str) -> dict[str, str]:
    return dict(line.strip("| ").split(" | ", 1) for line in table.splitlines()[2:])


def test_shares_of_one_slot() -> None:
    rows = _rows(shares([_marks(10.0), _marks(20.0)], concurrency=1))
    # free from 18 to 20, which either trial is to bear: 10 s each
    assert rows["NNI, between trials"] == "2.00 | 20.0"
    assert rows["import torch"] == "2.00 | 20.0"
    assert rows["**training**"] == "5.00 | 50.0"


def test_shares_of_two_slots() -> None:
    # free from 8 to 9 and from 9 to 11: 1.5 s a trial beside its 8 s
    rows = _rows(shares([_marks(0.0), _marks(11.0), _marks(1.0), _marks(9.0)], concurrency=2))
    assert rows["NNI, between trials"] == "1.50 | 15.8"
    assert rows["**training**"] == "5.00 | 52.6"
