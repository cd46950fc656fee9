"""A search's progress on a terminal, and where nothing can change."""

from __future__ import annotations

import io

from rich.console import Console

from nni_blockqnn.automl.display import Display


def shown(terminal: bool, width: int = 60) -> str:
    """What a search would show in a moment."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=width, color_system=None)
    with Display.on(console) as display:
        display.say("networks: all of them cost the same, by filters that are scaled to one cost")
        for done in (0, 1, 1, 2, 4):
            display.show("search", done, 4, "trials", "best: 97 %", 70.0, "http://127.0.0.1:8080")
        display.show("winner", 3, 3, "epochs")
    return file.getvalue()


def test_lines_are_broken_between_words_on_a_terminal() -> None:
    first, second, *_ = shown(terminal=True).splitlines()
    assert first.endswith("networks: all of them cost the same, by filters that are")
    assert second == "  scaled to one cost"


def test_a_terminal_shows_all_there_is_and_leaves_nothing_behind() -> None:
    text = shown(terminal=True)
    for part in ("4/4 trials", "so far", "best: 97 %", "70 s left", "http://127.0.0.1:8080"):
        assert part in text
    assert text.endswith("\x1b[2K")


def test_elsewhere_a_line_tells_what_is_new() -> None:
    first, *lines = shown(terminal=False).splitlines()
    assert first == "networks: all of them cost the same, by filters that are scaled to one cost"
    assert [line.partition(",")[0] for line in lines] == [
        *("search 0/4 trials", "search 4/4 trials", "winner 3/3 epochs")
    ]
    assert lines[1].startswith("search 4/4 trials, best: 97 %, ends about ")
