"""The Q-table on disk, so that a resumed search need not learn all over again.

The journal alone holds all that a search knows: counters, replay memory and random state follow
from its events. What takes long is to repeat the updates of the Q-table, and those a snapshot
saves. It says which beginning of the journal it was learnt from, and with which settings; if the
two do not fit, or the file is damaged, the table is learnt anew from the journal.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from nni_blockqnn.blocks.layer import Layer
from nni_blockqnn.common.files import write_whole
from nni_blockqnn.q_learning.q_agent import QAgent
from nni_blockqnn.q_learning.q_table import Entry, QTable
from nni_blockqnn.record.journal import Journal

_logger = logging.getLogger(__name__)

SNAPSHOT_NAME = "blockqnn-snapshot.json"
SNAPSHOT_INTERVAL = 500
"""Results between two snapshots: so many at most are learnt anew at a resume, in about 0.3 s."""


def save_snapshot(path: Path, agent: QAgent, journal: Journal, settings: str) -> None:
    """Replace the snapshot, at once or not at all; without an intact journal there is none.

    Args:
        settings: all that decides what the agent learns from the events of the journal.
    """
    extent = journal.extent
    if extent is None:
        return
    content = json.dumps(
        {
            "settings": settings,
            "journal": extent,
            "observed": agent.observed,
            "initial_q": agent.table.initial_q,
            "entries": list(agent.table.entries()),
        },
        separators=(",", ":"),
    ).encode()
    try:
        write_whole(path, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
    except OSError as error:
        _logger.warning("%s cannot be written (%s): a resume will take longer", path, error)


def load_snapshot(path: Path, agent: QAgent, journal: Journal, settings: str) -> None:
    """Give the agent its table back, if there is one that fits; a damaged one is set aside."""
    try:
        checksum, _, content = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return
    except OSError as error:
        _logger.warning("%s cannot be read (%s): the table is learnt anew", path, error)
        return
    if hashlib.sha256(content).hexdigest().encode() != checksum:
        _set_aside(path)
        return
    snapshot = json.loads(content)
    if snapshot["settings"] != settings or not journal.begins_with(*snapshot["journal"]):
        _logger.info("%s is of another past: the table is learnt anew", path)
        return
    layers: dict[tuple[int, ...], Layer] = {}
    entries = (
        Entry(_key(state, layers), _key(action, layers), value, visits)
        for state, action, value, visits in snapshot["entries"]
    )
    agent.restore(QTable(snapshot["initial_q"], entries), snapshot["observed"])


def _key(value: Any, layers: dict[tuple[int, ...], Layer]) -> Any:
    """A state or action as the table has it: JSON makes lists of layers."""
    if not isinstance(value, list):
        return value
    return layers.setdefault(tuple(value), Layer(*value))


def _set_aside(path: Path) -> None:
    aside = path.with_suffix(".damaged")
    _logger.warning("%s is damaged and set aside as %s: the table is learnt anew", path, aside.name)
    try:
        path.replace(aside)
    except OSError as error:
        _logger.warning("%s stays (%s)", path, error)
