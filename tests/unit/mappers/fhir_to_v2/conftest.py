"""Settings of the property tests."""

from hypothesis import settings

# The first example runs the pipeline, which takes longer than all that follow.
settings.register_profile("tables", deadline=None)
settings.load_profile("tables")
