"""A configuration file as NNI reads it, and what a check finds in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from nni_blockqnn.bridge.nni_import import import_nni


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

    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    try:
        if not isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict):
            raise ConfigError(f"{path}: a configuration must be a YAML mapping")
        return ExperimentConfig.load(path).canonical_copy()
    except ConfigError:
        raise
    # NNI and PyYAML raise all kinds of errors: ValueError, AttributeError, AssertionError, ...
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"{path}: NNI does not accept it: {reason}") from error


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


@contextmanager
def importable_from(directory: Any) -> Iterator[None]:
    """Within it modules are found in the directory too, after all others, as NNI's tuner does."""
    before = list(sys.path)
    sys.path += [] if directory is None else [str(directory)]
    try:
        yield
    finally:
        sys.path[:] = before
