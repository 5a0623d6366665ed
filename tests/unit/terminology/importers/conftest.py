"""No deadline for property tests, and the small catalogue for every test here."""

from tests.unit.terminology.importers.published import small

__all__ = ["small"]
