"""No deadline for property tests: the first example reads the tables, which takes longer than all that follow."""

from hypothesis import settings

settings.register_profile("tables", deadline=None)
settings.load_profile("tables")
