"""``--match``: the cost of a network on the command line."""

from __future__ import annotations

from argparse import ArgumentTypeError

from nni_blockqnn.common.messages import shown
from nni_blockqnn.space.match import Match

MATCH_HELP = "flops=N or params=N, N a number or the name of a hand-made block"


def match_argument(text: str) -> Match:
    """The cost that ``flops=40000000`` says, or ``params=residual``.

    Raises:
        ArgumentTypeError: naming the value and what is allowed.
    """
    measure, equals, value = text.partition("=")
    if not equals:
        raise ArgumentTypeError(f"must be {MATCH_HELP}, got {shown(text)}")
    digits = value.replace("_", "")
    try:
        return Match.of({measure: int(digits) if digits.isdecimal() else value})
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
