"""What pytest reads for the unit tests. mypy does not: to it, this is another folder's conftest."""

from hypothesis import settings
from unit_fixtures import checkpoint, no_surroundings  # noqa: F401

# A busy machine is no fault; pytest-timeout ends what hangs.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
