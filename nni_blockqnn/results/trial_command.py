"""An experiment's trial command, word by word."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise, takewhile
from typing import Any

TRIAL_MODULE = "nni_blockqnn.trial"
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=[\w./:,@%+-]*")
_QUOTED = frozenset(" \t\n\"'$`\\*?[]#&|;<>(){}!")
_SHELL_SIGNS = frozenset("();<>|&")


def trial_words(config: Mapping[str, Any]) -> list[str]:
    """The words of the trial's command, ``--name=value`` as two; none if no shell could read it.

    Where the trial is this package's, the words end with it: what a shell does afterwards, such as
    ``| tee log``, is left out.

    Args:
        config: NNI's, in its camelCase keys.
    """
    text = str(config.get("trialCommand") or "").replace("\\\n", "")
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""  # it would see one in the middle of a word
    try:
        words = list(lexer)
    except ValueError:
        return []
    if TRIAL_MODULE in words:
        after = words.index(TRIAL_MODULE)
        words = [*words[:after], *_arguments(words[after:])]
    parts: list[str] = []
    for word in words:
        parts += word.split("=", 1) if word.startswith("--") else [word]
    return parts


def is_own_trial(words: Sequence[str]) -> bool:
    """Whether a command runs this package's trial."""
    return TRIAL_MODULE in words


def trial_option(words: Sequence[str], name: str, default: str) -> str:
    """The value of an option of the trial's command; the last value if it is given twice."""
    values = [value for option, value in pairwise(words) if option == name]
    return values[-1] if values else default


def interpreter(words: Sequence[str]) -> list[str]:
    """What runs this package's trial: Python, with the variables set before it.

    Empty if the command does not say ``-m nni_blockqnn.trial``.
    """
    at = words.index(TRIAL_MODULE) if TRIAL_MODULE in words else 0
    if at < 2 or words[at - 1] != "-m":
        return []
    first = at - 2
    while first and _ASSIGNMENT.match(words[first - 1]):
        first -= 1
    return [*words[first : at - 1]]


def joined(words: Sequence[str]) -> str:
    """The words as a command, quoted where a shell needs it, but ``~`` left for it to fill in."""
    return " ".join(
        word
        if (word.startswith("~/") and not set(word) & _QUOTED) or _ASSIGNMENT.fullmatch(word)
        else shlex.quote(word)
        for word in words
    )


def _arguments(words: Sequence[str]) -> list[str]:
    """The words up to the first that means something to a shell."""
    arguments = list(takewhile(_is_argument, words))
    ending = words[len(arguments) :]
    if ending and set(ending[0]) & {"<", ">"} and arguments[-1] in ("1", "2"):
        arguments.pop()  # of 2>&1
    return arguments


def _is_argument(word: str) -> bool:
    return not word or not (set(word) <= _SHELL_SIGNS or word.startswith("#"))
