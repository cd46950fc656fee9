"""The trial in a ``trialCommand``, which NNI hands to bash.

A user's command may hold more than the trial: other commands, pipes, redirections, comments. The
standard library's shlex would find the words, but drops the quotes that decide what bash expands,
and takes any # for a comment. So the command is cut into raw words here; shlex only unquotes them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

TRIAL_MODULE = "nni_blockqnn.trial"

_LONGEST = 10_000
"""Characters; reading takes time that is quadratic in unmatched parentheses."""
_NESTED = r"\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"
"""Parentheses as in $(...), with two levels of others in them."""
_TOKEN = re.compile(
    rf"""
    (?P<blank> (?: [ \t\r] | \\\n )+ )
  | (?P<comment> (?<![^\s;&|()<>]) \# [^\n]* )
  | (?P<redirection> (?: \d+ | \{{\w+\}} )? (?: <<<|<<-?|<>|[<>]&|>>|>\||[<>](?!\() ) | &>>? )
  | (?P<operator> \n | ;;&? | ;& | && | \|\| | \|& | [;&|()] )
  | (?P<word> (?: [^\s;&|()<>'"\\$`] | '[^']*' | "(?:\\.|[^"\\])*" | \\. | [$<>]{_NESTED}
                | \$\{{[^}}]*\}} | `[^`]*` | \$ )+ )
    """,
    re.VERBOSE | re.DOTALL,
)
_QUOTED = re.compile(r""" "(?:\\.|[^"\\])*" | '[^']*' | \\. """, re.VERBOSE | re.DOTALL)
_RUNS_COMMANDS = re.compile(r"\$\((?!\()|`|[<>]\(")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_PYTHON = re.compile(r"(?:.*/)?(?:python|pypy)[\d.]*")
_RESERVED = frozenset(
    [
        "if",
        "then",
        "elif",
        "else",
        "fi",
        "while",
        "until",
        "do",
        "done",
        "{",
        "}",
        "!",
        "time",
        "case",
        "esac",
    ]
)
_CONTAINERS = frozenset(["docker", "podman", "singularity", "apptainer", "ssh"])
"""Commands that run the trial in another file system."""
_ENVIRONMENTS = frozenset(["env", "conda", "mamba", "micromamba", "uv", "poetry", "pipenv", "pixi"])
"""Commands that choose the trial's Python or its variables."""
_HARMLESS = frozenset(
    [
        "nice",
        "ionice",
        "nohup",
        "timeout",
        "exec",
        "command",
        "stdbuf",
        "taskset",
        "numactl",
        "chrt",
        "setsid",
        "srun",
        "set",
        "echo",
        "printf",
        "true",
        "false",
        ":",
        "exit",
        "date",
        "sleep",
        "wait",
        "trap",
        "pwd",
        "hostname",
        "nvidia-smi",
        "for",
    ]
)
"""Commands that a check can leave out: the trial sees the same without them."""


class CommandError(ValueError):
    """A command that cannot be taken apart; the message says where."""


@dataclass(frozen=True)
class TrialPart:
    """The command of ``-m nni_blockqnn.trial`` among the others of a ``trialCommand``.

    All words are as they stand there, quotes included.

    Attributes:
        words: the interpreter with all its arguments, after the assignments and the ``env`` or
            ``conda run`` that choose it; no redirections.
        position: of the word in `words` that names the module.
        before: the ``cd``, ``export`` and assignments that come before it.
        left_out: the other commands that come before it, or run it.
        in_container: whether it runs where this machine's files are not.
        in_background: whether bash ends without waiting for it.
    """

    words: tuple[str, ...]
    position: int
    before: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    in_container: bool = False
    in_background: bool = False

    @property
    def runs_commands(self) -> bool:
        """Whether bash would run other commands to expand its words, as for ``$(nproc)``."""
        return any(map(_runs_commands, (*self.before, *self.words)))

    @property
    def reads_variables(self) -> bool:
        return any("$" in word for word in self.words)

    @property
    def arguments(self) -> list[str]:
        """The trial's arguments without quotes, variables not expanded."""
        return [unquoted(word) for word in self.words[self.position + 1 :]]

    def with_module(self, module: str) -> str:
        """The text for bash that runs another module with the same arguments, and nothing else."""
        words = list(self.words)
        words[self.position] = unquoted(words[self.position]).replace(TRIAL_MODULE, module)
        return " && ".join([*self.before, " ".join(words)])


@dataclass
class _Command:
    words: list[str] = field(default_factory=list)
    end: str = ""
    """The operator after it."""

    @property
    def text(self) -> str:
        return " ".join(self.words)


def find_trial(command: str) -> TrialPart | None:
    """The first trial of this package in a command; None if there is none.

    Raises:
        CommandError: saying where the text cannot be read.
    """
    if len(command) > _LONGEST:
        raise CommandError(f"it has {len(command)} characters, {_LONGEST} are read")
    scopes: list[tuple[list[str], list[str]]] = [([], [])]
    commands = list(_commands(command))
    for number, one in enumerate(commands):
        while one.words and one.words[0] in _RESERVED:
            del one.words[0]
        before = [text for scope in scopes for text in scope[0]]
        left_out = [text for scope in scopes for text in scope[1]]
        part = _trial_in(one.words)
        if part is not None:
            waits = any(later.words[:1] == ["wait"] for later in commands[number + 1 :])
            return replace(
                part,
                before=(*before, *part.before),
                left_out=(*left_out, *part.left_out),
                in_background=part.in_background or (one.end == "&" and not waits),
            )
        _sort_in(one, *scopes[-1])
        if one.end == "(":
            scopes.append(([], []))
        elif one.end == ")" and len(scopes) > 1:
            scopes.pop()
    return None


def unquoted(word: str) -> str:
    """The word as a program gets it, but for variables, which are not expanded."""
    if not set(word) & {"'", '"', "\\"}:
        return word
    try:
        parts = shlex.split(word)
    except ValueError:
        return word
    return parts[0] if len(parts) == 1 else word


def _commands(command: str) -> Iterator[_Command]:
    """The simple commands, without comments and redirections; words may be empty."""
    current, skip_word, position = _Command(), False, 0
    while position < len(command):
        found = _TOKEN.match(command, position)
        if found is None:
            rest = command[position:].splitlines()[0]
            raise CommandError(f"the shell's quotes or parentheses do not end: {rest}")
        position = found.end()
        if found.lastgroup == "redirection":
            skip_word = True
        elif found.lastgroup == "word":
            if not skip_word:
                current.words.append(found[0])
            skip_word = False
        elif found.lastgroup == "operator":
            current.end = found[0]
            yield current
            current, skip_word = _Command(), False
    yield current


def _sort_in(one: _Command, before: list[str], left_out: list[str]) -> None:
    """Keep what changes the trial's directory and variables, and note what else there is."""
    if not one.words:
        return
    is_setting = one.words[0] in ("cd", "export") or all(map(_ASSIGNMENT.match, one.words))
    if is_setting and one.end not in ("|", "|&", "&") and not _runs_commands(one.text):
        before.append(one.text)
    elif one.words[0] not in _HARMLESS:
        left_out.append(one.text)


def _runs_commands(word: str) -> bool:
    bare = _QUOTED.sub(lambda found: found[0] if found[0][0] == '"' else "", word)
    return _RUNS_COMMANDS.search(bare) is not None


def _trial_in(words: list[str]) -> TrialPart | None:
    for at in range(len(words)):
        plain = unquoted(words[at])
        named = re.fullmatch(r"-[A-Za-z]*m", unquoted(words[at - 1])) if at else None
        if plain == TRIAL_MODULE and named:
            return _cut(words, at)
        if re.fullmatch(rf"-[A-Za-z]*m{re.escape(TRIAL_MODULE)}", plain):
            return _cut(words, at)
        if at and re.fullmatch(r"-[a-z]*c", words[at - 1]) and (inner := _find_in_text(plain)):
            settings = [f"export {word}" for word in _assignments(words)]
            return replace(inner, before=(*settings, *inner.before))
    return None


def _find_in_text(text: str) -> TrialPart | None:
    """The trial in what ``bash -c`` is given; None if it is no command at all."""
    try:
        return find_trial(text) if TRIAL_MODULE in text else None
    except CommandError:
        return None


def _assignments(words: list[str]) -> list[str]:
    count = 0
    while count < len(words) and _ASSIGNMENT.match(words[count]):
        count += 1
    return words[:count]


def _cut(words: list[str], at: int) -> TrialPart:
    """The trial's own words among those of its command."""
    settings = _assignments(words)
    pythons = [n for n in range(at) if _PYTHON.fullmatch(unquoted(words[n]))]
    start = pythons[-1] if pythons else len(settings)
    wrapper = words[len(settings) : start]
    names = [unquoted(word).rpartition("/")[2] for word in wrapper]
    chooses = [n for n, name in enumerate(names) if name in _ENVIRONMENTS]
    kept = wrapper[chooses[0] :] if chooses else []
    dropped = wrapper[: len(wrapper) - len(kept)]
    strange = bool(dropped) and names[0] not in _HARMLESS
    own = (*settings, *kept, *words[start:])
    return TrialPart(
        words=own,
        position=at - len(dropped),
        left_out=(" ".join(dropped),) if strange else (),
        in_container=not _CONTAINERS.isdisjoint(names),
    )
