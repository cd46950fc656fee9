"""The journal: what is written is read again, whatever happens to the file in between."""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path

import pytest

from nni_blockqnn.record.journal import Journal, read_events

FULL_DISK = Path("/dev/full")
EVENTS = [{"event": "start", "seed": 3}, {"event": "result", "text": "naïve\n\u2028"}, {"n": 1.5}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def _written(path: Path) -> Journal:
    journal = Journal(path)
    for event in EVENTS:
        journal.append(event, durable=event == EVENTS[1])
    return journal


def test_events_are_read_again(path: Path) -> None:
    assert _written(path).events == EVENTS
    assert Journal(path).events == EVENTS
    assert read_events(path) == EVENTS
    lines = path.read_text(encoding="ascii").splitlines()
    written = [json.loads(line) for line in lines]
    assert [event.pop("crc32") for event in written] == [
        zlib.crc32(json.dumps(event, separators=(",", ":")).encode()) for event in EVENTS
    ]
    assert written == EVENTS


def test_a_line_that_still_is_json_but_says_something_else_is_left_out(path: Path) -> None:
    _written(path)
    path.write_bytes(path.read_bytes().replace(b'"seed":3', b'"seed":4'))
    assert Journal(path).events == EVENTS[1:]


def test_a_journal_goes_on_where_it_was(path: Path) -> None:
    _written(path)
    Journal(path).append({"n": 2})
    assert Journal(path).events == [*EVENTS, {"n": 2}]


def test_a_journal_knows_its_earlier_extent(path: Path) -> None:
    journal = _written(path)
    earlier = journal.extent
    assert earlier == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
    assert journal.begins_with(*earlier), "its whole extent is a beginning, too"
    journal.append({"n": 2})
    for same in (journal, Journal(path)):
        assert same.begins_with(*earlier)
        assert not same.begins_with(earlier[0] - 1, earlier[1])
        assert not same.begins_with(*_longer(same))


def _longer(journal: Journal) -> tuple[int, str]:
    """The extent that the file would have with more bytes than it has, read to its end."""
    assert journal.extent is not None
    size, digest = journal.extent
    return size + 1, digest


def test_a_journal_in_memory_has_no_extent() -> None:
    journal = Journal(None)
    journal.append({"n": 1})
    assert journal.extent is None
    assert not journal.begins_with(0, hashlib.sha256().hexdigest())


def test_a_damaged_line_is_reported_with_its_file(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _written(path)
    path.write_bytes(path.read_bytes().replace(b'"seed":3', b'"seed":4'))
    assert read_events(path) == EVENTS[1:]
    assert f"{path}: line 1 is damaged and left out" in caplog.text


def test_without_a_path_it_lives_in_memory(tmp_path: Path) -> None:
    journal = Journal(None)
    journal.append({"n": 1}, durable=True)
    assert journal.events == [{"n": 1}]
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_an_empty_journal(path: Path) -> None:
    path.touch()
    assert Journal(path).events == []


def test_a_torn_line_is_set_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _written(path)
    with path.open("ab") as file:
        file.write(b'{"event":"res')
    journal = Journal(path)
    assert journal.events == EVENTS
    assert path.with_suffix(".damaged").read_bytes() == b'{"event":"res\n'
    assert "cut short" in caplog.text
    journal.append({"n": 2})
    assert Journal(path).events == [*EVENTS, {"n": 2}]


def test_a_torn_line_that_cannot_be_set_aside_spoils_no_other(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _written(path)
    with path.open("ab") as file:
        file.write(b'{"event":"res')
    path.with_suffix(".damaged").mkdir()  # no file can be written in its place
    journal = Journal(path)
    assert journal.events == EVENTS
    assert "its torn last line stays" in caplog.text
    journal.append({"n": 2})
    assert Journal(path).events == [*EVENTS, {"n": 2}]


def test_reading_beside_the_writer_changes_nothing(path: Path) -> None:
    _written(path)
    with path.open("ab") as file:
        file.write(b'{"event":"res')
    before = path.read_bytes()
    assert read_events(path) == EVENTS
    assert path.read_bytes() == before
    assert not path.with_suffix(".damaged").exists()


@pytest.mark.parametrize(
    "damage", [b"", b"nonsense", b"5", b"[1]", b"\x00\x00", b"\xff", b"[" * 100_000, b'{"a":']
)
def test_a_damaged_line_is_left_out_with_its_number(
    damage: bytes, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _written(path)
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], damage, lines[2]]) + b"\n")
    assert Journal(path).events == [EVENTS[0], EVENTS[2]]
    assert "line 2 is damaged and left out" in caplog.text


@pytest.mark.skipif(not FULL_DISK.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("durable", [True, False])
def test_what_a_full_disk_refuses_is_written_later(
    durable: bool, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = _written(path)
    journal.path = FULL_DISK
    for number in (1, 2):
        journal.append({"n": number}, durable=durable)
    assert "lose its last 1 events" in caplog.text
    assert "lose its last 2 events" in caplog.text
    assert read_events(path) == EVENTS
    journal.path = path
    journal.append({"n": 3}, durable=durable)
    assert journal.events == [*EVENTS, {"n": 1}, {"n": 2}, {"n": 3}]
    assert Journal(path).events == journal.events


def test_a_folder_that_is_gone_does_no_harm(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    journal = Journal(folder / "journal.jsonl")
    folder.rmdir()
    journal.append({"n": 1})
    folder.mkdir()
    journal.append({"n": 2})
    assert Journal(folder / "journal.jsonl").events == [{"n": 1}, {"n": 2}]


def test_half_a_line_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up takes the first bytes of a line only."""
    journal = _written(path)
    before = path.read_bytes()
    original = Path.open

    class Short:
        def __init__(self, file: object) -> None:
            self._file = file

        def __enter__(self) -> Short:
            return self

        def __exit__(self, *error: object) -> None:
            self._file.close()  # type: ignore[attr-defined]

        def __getattr__(self, name: str) -> object:
            return getattr(self._file, name)

        def write(self, data: bytes) -> int:
            return self._file.write(data[:5])  # type: ignore[attr-defined]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda *args, **kwargs: Short(original(*args, **kwargs)))
        journal.append({"n": 1})
    assert path.read_bytes() == before
    journal.append({"n": 2})
    assert Journal(path).events == [*EVENTS, {"n": 1}, {"n": 2}]
