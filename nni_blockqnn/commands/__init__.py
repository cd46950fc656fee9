"""The commands of ``blockqnn``, a module each, and what they share."""
