"""What goes wrong between a finished training and a network in use."""

from __future__ import annotations


class ExportError(ValueError):
    """One line that names the file or value that is wrong and says what to do."""
