"""Configurations that NNI would refuse without saying why, or read as something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from nni_blockqnn.commands._config_file import ConfigError, load_config, trial_service
from nni_blockqnn.commands._config_numbers import as_yaml_number

CONFIG: dict[str, Any] = {
    "searchSpace": {"block": {"_type": "nsc", "_value": {"max_layers": 5}}},
    "trialCommand": "true",
    "trialConcurrency": 1,
    "maxTrialNumber": 4,
    "tuner": {
        "className": "nni_blockqnn.tuner.BlockQNNTuner",
        "codeDirectory": ".",
        "classArgs": {"budget": 4},
    },
    "trainingService": {"platform": "local"},
}


def refusal(folder: Path, content: bytes | dict[str, Any]) -> str:
    path = folder / "search.yml"
    path.write_bytes(yaml.safe_dump(content).encode() if isinstance(content, dict) else content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"maxTrialNumber": 0}, "maxTrialNumber must be an integer from 1 (trials in all;"),
        ({"maxTrialNumber": -3}, "got -3"),
        ({"maxTrialNumber": "many"}, "got 'many'"),
        ({"maxTrialNumber": "1e3"}, "got '1e3': write 1000"),
        ({"maxTrialNumber": "12,000"}, "got '12,000': write 12000"),
        ({"maxTrialNumber": 2.5}, "got 2.5"),
        ({"trialConcurrency": 0}, "trialConcurrency must be an integer from 1 (trials at a time)"),
        ({"trialConcurrency": True}, "got True"),
        ({"trialGpuNumber": -1}, "trialGpuNumber must be an integer from 0"),
        ({"maxTrialDuration": 0}, "maxTrialDuration must be a time above 0"),
        ({"maxTrialDuration": "0m"}, "got '0m'"),
        ({"maxExperimentDuration": "2 hours"}, "30m, 2h or 1d, got '2 hours'"),
        ({"maxExperimentDuration": -5}, "got -5"),
        ({"max_experiment_duration": "-1h"}, "maxExperimentDuration must be a time above 0"),
        (
            {"trainingService": {"platform": "local", "maxTrialNumberPerGpu": 0}},
            "maxTrialNumberPerGpu must be an integer from 1",
        ),
        ({"logLevel": "loud"}, "an AssertionError: assert self.log_level in ['fatal'"),
    ],
)
def test_numbers_of_nni_are_named(setting: dict[str, Any], said: str, tmp_path: Path) -> None:
    assert said in refusal(tmp_path, CONFIG | setting)


@pytest.mark.parametrize("value", [3600, "2h", "1.5d", ".5h", "30M", None])
def test_times_that_nni_accepts(value: Any, tmp_path: Path) -> None:
    path = tmp_path / "search.yml"
    path.write_text(yaml.safe_dump(CONFIG | {"maxTrialDuration": value}))
    assert load_config(path).max_trial_duration == value


@pytest.mark.parametrize(
    ("setting", "key", "meant"),
    [
        ({"maxTrailNumber": 4}, "maxTrailNumber", "maxTrialNumber"),
        ({"trial_comand": "x"}, "trial_comand", "trialCommand"),
        ({"colour": "red"}, "colour", None),
        ({"assessor": {"nam": "Medianstop"}}, "assessor.nam", "name"),
        (
            {"trainingService": {"platform": "local", "useActiveGpus": True}},
            "trainingService.useActiveGpus",
            "useActiveGpu",
        ),
        ({"tuner": {"classname": "a.B", "classArg": {}}}, "tuner.classArg", "classArgs"),
    ],
)
def test_misspelt_keys(
    setting: dict[str, Any], key: str, meant: str | None, tmp_path: Path
) -> None:
    said = refusal(tmp_path, CONFIG | setting)
    assert f"key '{key}' is unknown; allowed are " in said
    assert f"did you mean {meant}?" in said if meant else "did you mean" not in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("learning_rate: 1e-3", "tuner.classArgs.learning_rate is the text '1e-3'"),
        ("learning_rate: 1e-3", "write 1.0e-3"),
        ("discount: '0.9'", "tuner.classArgs.discount is the text '0.9', not a number: write 0.9"),
        ("limits: {max_params: 1e7}", "classArgs.limits.max_params is the text '1e7'"),
        ("limits: {max_params: 1e7}", "write 10000000"),
        ("epsilon_schedule: [[1e0, 5]]", "classArgs.epsilon_schedule is the text '1e0'"),
        ("budget: 1,000", "write 1000"),
    ],
)
def test_numbers_that_yaml_reads_as_text(line: str, said: str, tmp_path: Path) -> None:
    text = yaml.safe_dump(CONFIG).replace("budget: 4", line)
    assert said in refusal(tmp_path, text.encode())


def test_numbers_of_a_search_space_and_an_assessor(tmp_path: Path) -> None:
    text = yaml.safe_dump(CONFIG | {"assessor": {"name": "Medianstop", "classArgs": {"s": 0}}})
    assert "assessor.classArgs.s is the text '2E1'" in refusal(
        tmp_path, text.replace("s: 0", "s: 2E1").encode()
    )
    assert "searchSpace.block._value.max_layers is the text '5'" in refusal(
        tmp_path, text.replace("max_layers: 5", "max_layers: '5'").encode()
    )
    # texts of other tuners may look like numbers
    other = CONFIG | {
        "searchSpace": {"lr": {"_type": "choice", "_value": ["1e-3"]}},
        "tuner": {"name": "TPE", "classArgs": {"optimize_mode": "maximize"}},
        "experimentName": "1e3",
    }
    (tmp_path / "search.yml").write_text(yaml.safe_dump(other))
    assert load_config(tmp_path / "search.yml").experiment_name == "1e3"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e-3", "1.0e-3"),
        ("5E-04", "5.0e-04"),
        ("-2.5e-1", "-2.5e-1"),
        (".5e-3", "0.5e-3"),
        ("2.e-3", "2.0e-3"),
        ("1e6", "1000000"),
        ("3.0", "3"),
        ("0.25", "0.25"),
        ("1_000", "1000"),
        ("12,000", "12000"),
        ("1e400", None),
        ("nan", None),
        ("1,5", None),
        ("wl", None),
        ("", None),
    ],
)
def test_the_advice_is_a_number_to_yaml(text: str, number: str | None) -> None:
    assert as_yaml_number(text) == number
    if number is not None:
        value = float(text.replace(",", ""))
        assert yaml.safe_load(f"a: {number}") == {"a": pytest.approx(value)}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: 1\n".encode("utf-16"), "is in UTF-16, and NNI reads UTF-8: save it as UTF-8"),
        ("a: 1\n".encode("utf-16-le"), "is in UTF-16"),
        ("a: 1\nname: Blöcke\n".encode("latin-1"), "line 2: the byte 0xf6 is not UTF-8"),
        (b"", "must be a YAML mapping, got None"),
        (b"- 1\n", "must be a YAML mapping, got [1]"),
        (b"a: [1\n", "is no YAML: while parsing"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is no text file"),
    ],
)
def test_files_that_are_no_configuration(content: bytes, said: str, tmp_path: Path) -> None:
    assert said in refusal(tmp_path, content)


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory: name a file of it"):
        load_config(tmp_path)
    (tmp_path / "a.yml").touch()
    with pytest.raises(ConfigError, match=r"is a directory: name one of .*a\.yml"):
        load_config(tmp_path)


def test_a_byte_order_mark_and_a_refusal_before_do_no_harm(tmp_path: Path) -> None:
    assert "NNI does not accept" in refusal(tmp_path, CONFIG | {"logLevel": "loud"})
    path = tmp_path / "marked.yml"
    path.write_bytes(b"\xef\xbb\xbf" + yaml.safe_dump(CONFIG).encode())
    assert load_config(path).trial_concurrency == 1


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"trialConcurrency": None}, "is missing: write trialConcurrency: 1"),
        ({"trialCommand": None}, "trialCommand must be a text, got None: write trialCommand: pyth"),
        ({"trialCommand": ["python", "a.py"]}, "trialCommand must be a text, got ['python', "),
        ({"trialCommand": " "}, "trialCommand must be a text, got ' '"),
        ({"searchSpace": None}, "searchSpace is missing: write searchSpace: {block: {_type: nsc,"),
        ({"tuner": None}, "got None: write tuner: {className: nni_blockqnn.tuner.BlockQNNTuner, "),
        ({"tuner": "BlockQNN"}, "tuner must be a mapping, got 'BlockQNN'"),
        ({"tuner": {"classArgs": {}}}, "tuner needs a name or a className"),
        ({"tuner": {"name": "TPE", "className": "a.B"}}, "delete one of them"),
        ({"tuner": {"className": "a.B"}}, "write codeDirectory: ."),
        (
            {"tuner": {"name": "TPE", "classArgs": [1]}},
            "tuner.classArgs must be a mapping, got [1]",
        ),
        ({"trainingService": "local"}, "got 'local': write trainingService: {platform: local}"),
        ({"trainingService": {"platform": "lokal"}}, "did you mean local?, got 'lokal'"),
        ({"trialGpuNumber": 1}, "write useActiveGpu: false"),
        ({"trainingServicePlatform": "local"}, "is in the format of NNI 1"),
    ],
)
def test_missing_parts_come_with_the_line_to_write(
    setting: dict[str, Any], said: str, tmp_path: Path
) -> None:
    assert said in refusal(tmp_path, CONFIG | setting)


def test_the_lines_to_write_make_a_configuration(tmp_path: Path) -> None:
    """All that the messages advise, pasted."""
    path, text = tmp_path / "search.yml", "experimentName: empty\n"
    said = refusal(tmp_path, text.encode())
    lines = [part.partition(": write ")[2] for part in said.split("; ")]
    path.write_text("\n".join([text, *lines, "maxTrialNumber: 4"]))
    config = load_config(path)
    assert (config.trial_concurrency, config.training_service.platform) == (1, "local")
    assert config.tuner.class_name == "nni_blockqnn.tuner.BlockQNNTuner"


def test_the_trial_may_stand_in_its_training_service(tmp_path: Path) -> None:
    path = tmp_path / "search.yml"
    service = {"platform": "local", "trialCommand": "true", "trialCodeDirectory": str(tmp_path)}
    config = CONFIG | {"trialCommand": None, "trainingService": service}
    path.write_text(yaml.safe_dump(config))
    assert trial_service(load_config(path)).trial_command == "true"
    path.write_text(yaml.safe_dump(CONFIG))
    assert trial_service(load_config(path)).trial_command == "true"
