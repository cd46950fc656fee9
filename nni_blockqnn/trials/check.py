"""Whether a trial's command would work: imports, arguments, recipe, reward, data, network, device.

``python -m nni_blockqnn.trials.check`` takes a trial's arguments and does what a trial does, short
of training. So it reads the data, which is downloaded and cached before many trials want it.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from pathlib import Path

from nni_blockqnn.common.streams import print_everything
from nni_blockqnn.exchange.trial_check import Answer, Request, read_request, request_folder
from nni_blockqnn.trials.hiding import hiding_files, without_directory


def main(argv: list[str] | None = None) -> int:
    print_everything()
    folder = request_folder()
    request = Request("") if folder is None else read_request(folder)
    with warnings.catch_warnings(record=True) as caught:
        answer = _found(argv, request)
    texts = [*answer.warnings, *(" ".join(str(one.message).split()) for one in caught)]
    answer = replace(answer, warnings=tuple(dict.fromkeys(texts)))
    if folder is not None:
        answer.write(folder)
    else:
        print(answer.message)
    return 0 if answer.passed else 1


def _found(argv: list[str] | None, request: Request) -> Answer:
    hiding = _hiding_files(modules_at_start())
    if hiding:
        return Answer(False, f"{'; '.join(hiding)}: rename it", "surroundings")
    try:
        from nni_blockqnn.trials._rehearsal import rehearse

        return rehearse(argv, request)
    except Exception as error:  # a broken installation, a bug: whatever a trial would die of
        message = f"a trial would end with {type(error).__name__}: {error}"
        return Answer(False, message, "surroundings")


def _hiding_files(at_start: set[str]) -> list[str]:
    """What hides modules from a trial in this directory, in sentences."""
    here = Path.cwd()
    if not any(Path(entry or ".").resolve() == here for entry in sys.path):
        return []
    hiding = hiding_files(here)
    if not hiding:
        return []
    # which of them does a trial import? Load all that it does, as if nothing were hidden
    with without_directory(here):
        from nni_blockqnn.trials import _rehearsal

        _rehearsal.import_all()
    # what Python had loaded before it looked into this directory is not hidden
    imported = {name for name in sys.modules if name not in at_start or _lies_in(here, name)}
    return [said for name, said in hiding.items() if name in imported]


def modules_at_start() -> set[str]:
    return set(sys.modules)


def _lies_in(directory: Path, name: str) -> bool:
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and Path(file).parent in (directory, directory / name)


if __name__ == "__main__":
    sys.exit(main())
