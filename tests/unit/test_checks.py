"""What ``blockqnn check`` says of GPUs (on machines with other numbers of them) and of tuners."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.cli import main
from nni_blockqnn.commands._checks import check_config
from nni_blockqnn.commands._config_file import Finding
from nni_blockqnn.exchange.finalists import finalists_space

GRID_SEARCH = {"name": "GridSearch"}
FINALISTS = {"className": "nni_blockqnn.finalists_tuner.FinalistsTuner", "codeDirectory": "."}
SEARCH = {"block": {"_type": "nsc", "_value": {"max_layers": 5}}}
BLOCK = Block.parse([[1, 1, 3, 0, 0]])


def test_scripts_get_the_findings_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "missing.yml"
    assert main(["check", str(path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    assert found[-1]["level"] == "failure"
    assert found[-1]["subject"] == "configuration"
    assert "missing.yml" in found[-1]["message"]


@pytest.mark.parametrize(
    ("found", "settings", "level", "said"),
    [
        (0, {"trialGpuNumber": 1}, "failure", "trialGpuNumber is 1, but PyTorch sees 0 GPUs"),
        (1, {"trialGpuNumber": 1}, "failure", "starts a trial only if there are more GPUs"),
        (2, {"trialGpuNumber": 1}, "ok", "2 found, 1 a trial"),
        (1, {"trialGpuNumber": 1, "maxTrialNumberPerGpu": 2}, "ok", "1 found, 1 a trial"),
        (1, {}, "ok", "1 found; the trials share the first one"),
        (0, {}, "warning", "none found"),
    ],
)
def test_gpus(
    found: int,
    settings: dict[str, int],
    level: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    settings = dict(settings)
    service = {"platform": "local", "useActiveGpu": True}
    if (per_gpu := settings.pop("maxTrialNumberPerGpu", None)) is not None:
        service["maxTrialNumberPerGpu"] = per_gpu
    config = tmp_path / "search.yml"
    config.write_text(
        yaml.safe_dump(
            {
                "searchSpace": {"block": {"_type": "nsc", "_value": {"max_layers": 5}}},
                "trialCommand": "true",
                "trialConcurrency": 1,
                "maxTrialNumber": 1,
                "tuner": {"name": "Random"},
                "trainingService": service,
                **settings,
            }
        )
    )
    (finding,) = [
        finding for finding in check_config(config, None).findings if finding.subject == "GPU"
    ]
    assert finding.level == level
    assert said in finding.message


@pytest.mark.parametrize(
    ("tuner", "space", "level", "said"),
    [
        (FINALISTS, None, "ok", "hands out each finalist once"),
        (
            FINALISTS | {"classArgs": {"k": 3}},
            None,
            "failure",
            "k is none of its arguments: search, more, again, seeds",
        ),
        (GRID_SEARCH, None, "warning", "write tuner: {className: nni_blockqnn.finalists_tuner.F"),
        ({"name": "Random"}, None, "warning", "not one for finalists"),
        ({"name": "Random"}, SEARCH, "warning", "not BlockQNN's"),
    ],
)
def test_the_tuner_of_finalists(
    tuner: dict[str, Any], space: dict[str, Any] | None, level: str, said: str, tmp_path: Path
) -> None:
    findings = of_tuner(tmp_path, tuner, space or finalists_space([BLOCK], 1, "digits"))
    assert (findings["tuner"].level, said in findings["tuner"].message) == (level, True)
    assert ("finalists" in findings) == (space is None)


def test_the_tuner_of_finalists_does_not_search(tmp_path: Path) -> None:
    finding = of_tuner(tmp_path, FINALISTS, SEARCH)["finalists"]
    assert (finding.level, finding.message[:13]) == ("failure", "block must be")


def of_tuner(folder: Path, tuner: dict[str, Any], space: dict[str, Any]) -> dict[str, Finding]:
    """What is found, by its subject."""
    config = folder / "config.yml"
    settings = {
        "searchSpace": space,
        "trialCommand": "true",
        "trialConcurrency": 1,
        "maxTrialNumber": 1,
        "tuner": tuner,
        "trainingService": {"platform": "local", "useActiveGpu": True},
    }
    config.write_text(yaml.safe_dump(settings))
    return {finding.subject: finding for finding in check_config(config, None).findings}


@pytest.mark.parametrize(
    ("class_args", "level", "said"),
    [
        ({"agent": "evolution:Evolution"}, "ok", "its arguments and the search space fit"),
        ({"agent": "evolution:Revolution"}, "failure", "has no Revolution"),
        ({"predictor": "gone:Nearest"}, "failure", "cannot load a predictor from 'gone:Nearest'"),
        ({"limits": {"max_params": 1}}, "failure", "admit no block"),
        ({"buget": 5}, "failure", "tuner argument 'buget' is unknown; allowed are preset, bu"),
    ],
)
def test_an_own_agent_is_looked_for_where_nnis_dispatcher_finds_it(
    class_args: dict[str, Any], level: str, said: str, tmp_path: Path
) -> None:
    code = Path(__file__).parents[2] / "examples" / "own_agent"
    config = tmp_path / "search.yml"
    config.write_text(
        yaml.safe_dump(
            {
                "searchSpace": SEARCH,
                "trialCommand": "true",
                "trialConcurrency": 1,
                "maxTrialNumber": 1,
                "tuner": {
                    "className": "nni_blockqnn.tuner.BlockQNNTuner",
                    "codeDirectory": str(code),
                    "classArgs": class_args,
                },
                "trainingService": {"platform": "local"},
            }
        )
    )
    (finding,) = [
        found for found in check_config(config, None).findings if found.subject == "tuner"
    ]
    assert (finding.level, said in finding.message) == (level, True), finding
