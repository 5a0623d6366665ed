"""Search over short German texts with codes: the titles and terms of a catalogue, ranked, tolerant of spelling."""

from terminology.search.index import Hit, How, Index, Row

__all__ = ["Hit", "How", "Index", "Row"]
