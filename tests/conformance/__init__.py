"""What NNI 3.0 may do to a tuner, as checks for any tuner class.

    for check in CHECKS:
        check(subject)  # AssertionError with the reason, or NotApplicableError

:class:`Subject` says what a tuner needs to be played; `subjects` has examples. One check at a time:
NNI's dispatcher keeps its state in its module.
"""

from conformance import endings, metrics, restarts, suggestions
from conformance.common import Check, NotApplicableError
from conformance.driver import Subject

CHECKS: tuple[Check, ...] = (
    *suggestions.CHECKS,
    *endings.CHECKS,
    *metrics.CHECKS,
    *restarts.CHECKS,
)

__all__ = ["CHECKS", "Check", "NotApplicableError", "Subject"]
