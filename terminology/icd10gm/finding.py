"""Codes for words: the search over a year's titles and the German terms that mean them."""

from __future__ import annotations

import bisect
import itertools
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from terminology import search as searching
from terminology import tables
from terminology.icd10gm import catalogue, edition, indexing, installed

_RARE = 0.95  # what a score is multiplied by where no term of ours means the code

_CODE = re.compile(r"\s*([A-Za-z]\d\d)\.?(\d{0,2})[-*!†+]*\s*")


@dataclass(frozen=True, slots=True)
class Found:
    """A code of the year. `matched`: the title or term that led to it; `score`: 0 to 1, 1 for the very words.

    `how`: what the score rests on. "corrected" and "partial" are for a person to choose from, not to code by.
    """

    code: str
    title: str
    matched: str
    score: float
    is_terminal: bool
    how: searching.How | Literal["code"]


class Finder:
    """Searches one edition."""

    def __init__(self, held: edition.Edition, index: searching.Index, terms: Iterable[tables.Row]) -> None:
        self.held = held
        self._codes = held.codes
        self._names = sorted(held.codes)
        self._index = index
        self._common = frozenset(row["code"] for row in terms)

    def _weight(self, code: str) -> float:
        """By what a code is preferred: what a term of ours means is common."""
        return 1.0 if code in self._common else _RARE

    def search(self, text: str, limit: int = 20) -> tuple[Found, ...]:
        """The codes that the text may mean, the best first; a code finds itself and those below it."""
        if limit < 1:
            return ()
        if found := self._by_code(text, limit):
            return found
        hits = self._index.search(text, limit, weigh=self._weight)
        return tuple(
            Found(code.code, code.title, hit.text, hit.score, code.is_terminal, hit.how)
            for hit in hits
            for code in (self._codes[hit.key],)
        )

    def _by_code(self, text: str, limit: int) -> tuple[Found, ...]:
        match = _CODE.fullmatch(text)
        if match is None:
            return ()
        wanted = f"{match[1].upper()}.{match[2]}" if match[2] else match[1].upper()
        start = bisect.bisect_left(self._names, wanted)
        found = itertools.takewhile(lambda name: name.startswith(wanted), self._names[start : start + limit])
        return tuple(
            Found(name, code.title, name, 1.0 if name == wanted else 0.9, code.is_terminal, "code")
            for name in found
            for code in (self._codes[name],)
        )


_finders: dict[int, Finder] = {}
_building = threading.Lock()


def finder(year: int) -> Finder:
    """The finder of the edition that counts for a year, made when it is first asked for.

    That of an imported edition holds the index of its file as it was then; a later import changes nothing in it.
    Raises installed.NotUsable where the file is damaged.
    """
    with _building:
        held = catalogue.edition_of(year)
        found = _finders.get(held.year)
        if found is None or found.held is not held:
            found = _finders[held.year] = of(held)
        return found


def of(held: edition.Edition) -> Finder:
    """A finder of an edition: by the image of its file, else by an index that is built now."""
    terms = tables.rows("icd10gm/terms")
    if not isinstance(held, installed.Imported):
        return Finder(held, indexing.built(held, terms), terms)
    store = installed.Store(held.path)
    image = store.image(held)
    if image is None:
        return Finder(held, indexing.built(held, terms, store.texts(held.year)), terms)
    return Finder(held, indexing.opened(held, image, terms), terms)


def search(text: str, year: int, limit: int = 20) -> tuple[Found, ...]:
    """The codes of the year that the text may mean, the best first; any text is allowed.

    Certainty is the caller's: a text that only denies finds nothing.
    """
    return finder(year).search(text, limit)


def forget() -> None:
    """Drop the indexes and their memory."""
    with _building:
        _finders.clear()
