"""Where the configuration templates lie, in a checkout and in an installed package."""

from __future__ import annotations

from pathlib import Path


def template(name: str) -> Path:
    """The path of a file of ``config_templates``.

    Raises:
        FileNotFoundError: if it is nowhere, which a broken installation would explain.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "config_templates", package.parent / "config_templates"):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{name} is missing from nni_blockqnn's config_templates; reinstall it")
