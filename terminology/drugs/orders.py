"""What an order does with a drug: words that stop it, and a "nicht" that only says how it is taken.

Source of the words: the table `german/drug_orders`.
"""

from __future__ import annotations

import functools
import re

from terminology import tables

#: An order not to stop: "nicht eigenmächtig absetzen".
_NOT_STOPPED = re.compile(
    r"\b(?:nicht|nie|niemals|keinesfalls)\s+(?:\w+\s+){0,3}(?:absetzen|abzusetzen|weglassen|pausieren|stoppen|beenden)\b",
    re.IGNORECASE,
)


#: What stands before a drug that another one takes the place of.
_INSTEAD_OF = re.compile(r"\b(?:statt|anstatt|anstelle(?: von)?)\s*(?:dem|der|des|das|den)?\s*$", re.IGNORECASE)


@functools.cache
def _words(kind: str) -> str:
    return "|".join(row["pattern"] for row in tables.rows("german/drug_orders") if row["kind"] == kind)


@functools.cache
def _stops() -> re.Pattern[str]:
    return re.compile(rf"\b(?:{_words('stop')})\b", re.IGNORECASE)


@functools.cache
def _manners() -> re.Pattern[str]:
    before = r"(?:bitte |so |zu |allzu |ganz |immer |gleich |einfach |unbedingt |kurz |direkt )*"
    return re.compile(rf"\b(?:nicht|nie|niemals) {before}(?:{_words('manner')})\b", re.IGNORECASE)


def stops(text: str) -> bool:
    """Whether words of a text stop a drug; "nicht eigenmächtig absetzen" does not."""
    return _stops().search(_NOT_STOPPED.sub(" ", text)) is not None


def is_replaced(before: str) -> bool:
    """Whether a drug whose name follows `before` gives way to another one: "statt dem"."""
    return _INSTEAD_OF.search(before) is not None


def without_manner(text: str) -> str:
    """A text without each "nicht" that only says how a drug is taken: "nicht öfter als dreimal", "nicht absetzen"."""
    return _manners().sub(" ", _NOT_STOPPED.sub(" ", text))


def manner(text: str) -> tuple[int, int] | None:
    """Where the first such "nicht" stands with what it denies, as (start, end); None where there is none."""
    found = [match.span() for pattern in (_NOT_STOPPED, _manners()) if (match := pattern.search(text)) is not None]
    return min(found, key=lambda span: (span[0], -span[1]), default=None)
