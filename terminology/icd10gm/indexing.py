"""What a search of a year looks through: its titles and Alpha-ID texts as one image, and our terms beside them.

The image is made once, when a file is imported. The terms change with the package, so they are added when an image is
opened, and how much a code is preferred because a term means it is weighed only then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from terminology import reporting, search, tables
from terminology.icd10gm import edition

#: Of an image: raise it when `terminology.search` reads or splits words otherwise. Older ones are made again.
FORMAT = 1

#: What a text's score is multiplied by: a term of ours, a title, a text of the Alpha-ID.
_TERM, _TITLE, _ALPHA = 1.0, 0.99, 0.97
_ABOVE = 0.85  # a code that is divided further and cannot be coded
_SPECIFIC = 0.99  # a title that says more than "nicht näher bezeichnet"

#: (code, text) of the Alpha-ID.
Texts = Iterable[tuple[str, str]]


def image(held: edition.Edition, alpha: Texts = (), progress: reporting.Progress = reporting.quiet) -> bytes:
    """The image of an edition's titles and of texts; a text whose code the edition does not hold is left out."""
    return search.Index.build(_rows(held, alpha), progress).image()


def opened(held: edition.Edition, image: bytes, terms: Iterable[tables.Row]) -> search.Index:
    """The index of an image with the terms; sqlite3.DatabaseError where the image is none."""
    return search.Index.open(image, _terms(held, terms))


def built(held: edition.Edition, terms: Iterable[tables.Row], alpha: Texts = ()) -> search.Index:
    """The index of titles, terms and texts, where there is no image."""
    return search.Index.build([*_terms(held, terms), *_rows(held, alpha)])


def _terms(held: edition.Edition, terms: Iterable[tables.Row]) -> Iterator[search.Row]:
    return (search.Row(row["code"], row["term"], _TERM) for row in terms if row["code"] in held.codes)


def _rows(held: edition.Edition, alpha: Texts) -> Iterator[search.Row]:
    codes: Mapping[str, edition.Code] = held.codes
    yield from (search.Row(code.code, code.title, _TITLE * _standing(code)) for code in codes.values())
    yield from (search.Row(name, text, _ALPHA * _standing(codes[name])) for name, text in alpha if name in codes)


def _standing(code: edition.Code) -> float:
    """How much a code is preferred: those that can be coded, and that say no more than was asked for."""
    standing = 1.0 if code.is_terminal else _ABOVE
    return standing if "nicht näher bezeichnet" in code.title else standing * _SPECIFIC
