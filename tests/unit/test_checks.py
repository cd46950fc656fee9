"""What ``blockqnn check`` says of GPUs, on machines with other numbers of them than this one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from nni_blockqnn.commands.checks import check_config


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
    (finding,) = [finding for finding in check_config(config, None) if finding.subject == "GPU"]
    assert finding.level == level
    assert said in finding.message
