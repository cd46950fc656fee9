"""A configuration file as NNI reads it, and what a check finds in it."""

from __future__ import annotations

import shlex
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from nni_blockqnn.bridge.nni_import import import_nni
from nni_blockqnn.commands._config_keys import in_camel_case, unknown_keys
from nni_blockqnn.commands._config_numbers import wrong_numbers, wrong_numbers_of_space
from nni_blockqnn.commands._config_parts import is_of_nni_1, wrong_parts
from nni_blockqnn.common.messages import shown

_MOST_NAMED = 5


class Finding(NamedTuple):
    """One thing that was checked.

    Attributes:
        level: a search with a "failure" will not work, one with a "warning" may disappoint.
        subject: what was checked, in a word or two.
        message: what was found and, unless it is "ok", what to do about it.
    """

    level: Literal["ok", "warning", "failure"]
    subject: str
    message: str


class ConfigError(ValueError):
    """A configuration file that cannot be used; the message names the file and what is wrong."""


def load_config(path: Path) -> Any:
    """The file as NNI's own ExperimentConfig, validated by NNI.

    Raises:
        ConfigError: naming the file and what is wrong with it.
    """
    import_nni()
    from nni.experiment.config import ExperimentConfig
    from nni.experiment.config.utils import unset_base_path

    data = _read_yaml(path)
    if is_of_nni_1(data):
        raise ConfigError(
            f"{path} is in the format of NNI 1, with trainingServicePlatform: write it as "
            "config_templates/blockqnn_quickstart.yml is, with trainingService: {platform: local}"
        )
    camel = in_camel_case(data)
    problems = [*unknown_keys(camel), *wrong_parts(camel), *wrong_numbers(camel)]
    if problems:
        raise ConfigError(f"{path}: {'; '.join(problems[:_MOST_NAMED])}")
    try:
        config = ExperimentConfig.load(path).canonical_copy()
    # NNI raises all kinds of errors: ValueError, AttributeError, AssertionError, ...
    except Exception as error:
        unset_base_path()  # which load() leaves set, and refuses to set again
        reason = " ".join(str(error).split()) or f"an {type(error).__name__}: {_failed_line(error)}"
        raise ConfigError(f"{path}: NNI does not accept it: {reason}") from error
    # of a file of its own
    problems = list(wrong_numbers_of_space(config.search_space))
    if problems:
        raise ConfigError(f"{config.search_space_file}: {problems[0]}")
    return config


def _read_yaml(path: Path) -> Mapping[str, Any]:
    if path.is_dir():
        files = ", ".join(sorted(str(one) for one in path.glob("*.y*ml"))[:_MOST_NAMED])
        hint = f" one of {files}" if files else " a file of it"
        raise ConfigError(f"{path} is a directory: name{hint}")
    if not path.exists():
        raise ConfigError(f"{path}: no such file")
    try:
        data = yaml.safe_load(_text_of(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a configuration must be a YAML mapping, got {shown(data)}")
    return data


def _text_of(path: Path) -> str:
    """Its content as UTF-8, which is what NNI reads."""
    content = path.read_bytes()
    quoted = shlex.quote(str(path))
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or _every_second_is_0(content):
        raise ConfigError(
            f"{path} is in UTF-16, and NNI reads UTF-8: save it as UTF-8, or convert it with "
            f"iconv -f UTF-16 -t UTF-8 {quoted} > utf8.yml"
        )
    if b"\0" in content:
        raise ConfigError(f"{path} is no text file")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}, line {line}: the byte {content[error.start]:#x} is not UTF-8, which NNI "
            "reads: save it as UTF-8, or convert it, if it is in Latin-1, with "
            f"iconv -f LATIN1 -t UTF-8 {quoted} > utf8.yml"
        ) from None


def _every_second_is_0(content: bytes) -> bool:
    """As in UTF-16 without its mark, where the text is English."""
    halves = content[0:40:2], content[1:40:2]
    return any(half and not half.strip(b"\0") for half in halves)


def _failed_line(error: BaseException) -> str:
    """The line of NNI's code that an assertion without a text has failed in."""
    frames = traceback.extract_tb(error.__traceback__)
    return frames[-1].line or "" if frames else ""


def is_local(config: Any) -> bool:
    """Whether all trials run on this machine.

    Args:
        config: NNI's ExperimentConfig.
    """
    return all(service.platform == "local" for service in training_services(config))


def training_services(config: Any) -> list[Any]:
    """The experiment's training services, of which a hybrid one has several."""
    services = config.training_service
    return services if isinstance(services, list) else [services]


def trial_service(config: Any) -> Any:
    """The first training service, with the trial's command, its directory and its GPUs, which may
    stand there or at the configuration's top."""
    return training_services(config)[0]


@contextmanager
def importable_from(directory: Any) -> Iterator[None]:
    """Within it modules are found in the directory too, after all others, as NNI's tuner does."""
    before = list(sys.path)
    sys.path += [] if directory is None else [str(directory)]
    try:
        yield
    finally:
        sys.path[:] = before
