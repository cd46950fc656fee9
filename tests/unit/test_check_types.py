"""Which of mypy's errors the check of types lets pass."""

from __future__ import annotations

from check_types import without_what_is_allowed

ALLOWED = [
    'tests/unit/test_a.py:3: error: Argument 1 to "f" has incompatible type "str"  [arg-type]',
    "tests/unit/test_a.py:3: note: See https://mypy.readthedocs.io",
]
WRONG = [
    'tests/unit/test_a.py:4: error: Name "x" is not defined  [name-defined]',
    "tests/unit/test_a.py:4: note: Did you mean y?",
    'nni_blockqnn/tuner.py:5: error: Argument 1 to "f" has incompatible type "str"  [arg-type]',
    "tests/unit/test_a.py:6: error: invalid syntax",
]


def test_unit_tests_have_leave_for_some_errors_and_nothing_else_has() -> None:
    assert without_what_is_allowed(ALLOWED) == []
    assert without_what_is_allowed([*WRONG[:2], *ALLOWED, *WRONG[2:]]) == WRONG
    assert without_what_is_allowed([*ALLOWED, *WRONG]) == WRONG
