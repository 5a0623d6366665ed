"""What a statement claims must stand in the segments that it cites: see `faults.CHECKS` for every check.

The gate does not know which engine spoke. It reads the cited segments with self-corrections applied: a value that the
speaker took back is no evidence, and a quote of nothing else is none. The claim is held against the whole of the cited
segments; negation, certainty, person and time against the quoted sentences where these say what is claimed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from typing import Final

from pipeline import results, segments
from pipeline.grounding import (
    agreement,
    anatomy,
    apart,
    denial,
    drugs,
    faults,
    findings,
    kinship,
    noted,
    persons,
    places,
    quantities,
    quotes,
    reading,
    speakers,
    standing,
    supposed,
    whole,
    words,
)
from pipeline.grounding.faults import Fault
from pipeline.grounding.quotes import repaired as repaired
from terminology import labs
from terminology.german import lemmas
from terminology.german import quantities as numbers

#: What the note writes behind a laboratory value; the rules add it (`labs.flag`), nobody says it.
_FLAG = re.compile(r"\s*\((erhöht|erniedrigt|normal)\)")
_FLAGS = {"erhöht": "high", "erniedrigt": "low", "normal": "normal"}

LONGEST: Final = 1000  # characters of a statement
MOST_CITED: Final = 40  # segments that one statement may cite

_Find = Callable[[results.Statement, reading.Said], str | None]
#: The checks of one statement against what was said, in the order in which they are made.
_FINDERS: tuple[_Find, ...] = (
    drugs.fault,
    quantities.fault,
    words.opposite,
    anatomy.fault,
    findings.fault,
    standing.fault,
    kinship.fault,
    denial.fault,
    apart.fault,
    words.fault,
)


def check(
    statements: Iterable[results.Statement], transcript: segments.Transcript, *, stage: str = "scribe"
) -> results.Note:
    """The statements that hold, and the others with the check that each failed. Of two that say the same, or that
    contradict each other, the first stays (`whole.fault` tells what a contradiction is).
    """
    kept: list[results.Statement] = []
    by_topic: dict[Hashable, list[results.Statement]] = {}
    rejected: list[results.Rejected] = []
    for statement in statements:
        found = fault(statement, transcript)
        alike = by_topic.setdefault(whole.topic(statement.text), []) if found is None else []
        if found is None and (name := whole.fault(statement, alike)) is not None:
            found = faults.CHECKS[name]
        if found is None:
            kept.append(statement)
            alike.append(statement)
        else:
            rejected.append(_rejected(statement, found, stage))
    return results.Note(statements=tuple(kept), rejected=tuple(rejected))


def _rejected(statement: results.Statement, found: Fault, stage: str) -> results.Rejected:
    return results.Rejected(
        stage=stage,
        proposal=statement.text,
        reason=found.reason,
        evidence=statement.evidence,
        check=found.check,
        harm=found.harm,
        polarity=statement.polarity,
    )


def fault(statement: results.Statement, transcript: segments.Transcript, *, is_of_note: bool = True) -> Fault | None:
    """Why a statement is not carried by its evidence; None when it is. Any text gets an answer, none an exception. The
    section of what is no statement of the note says nothing: then nobody is asked who may say it there.
    """
    name = _fault(statement, transcript, is_of_note=is_of_note)
    return faults.CHECKS[name] if name is not None else None


def _fault(statement: results.Statement, transcript: segments.Transcript, *, is_of_note: bool) -> str | None:
    if len(statement.text) > LONGEST:
        return "length"
    if not _is_text(statement.text):
        return "characters"
    cited = quotes.cited(statement, transcript)
    if isinstance(cited, str):
        return cited
    if len(cited) > MOST_CITED:
        return "evidence"
    empty = words.content(statement)
    if empty is not None:
        return empty
    statement = _without_flags(statement)
    said = reading.of(cited, has_relative=_has_relative(transcript))
    if not words.is_quoted(statement.text, said):
        return "quote"
    name = next((name for find in _FINDERS if (name := find(statement, said)) is not None), None)
    return (
        name
        or persons.fault(statement, said, cited, has_relative=_has_relative(transcript))
        or supposed.fault(statement, said, cited)
        or (speakers.fault(statement, said, cited, transcript) if is_of_note else None)
    )


def _without_flags(statement: results.Statement) -> results.Statement:
    """The statement without the words on a laboratory value's range, where the range bears them out."""
    if "(" not in statement.text:
        return statement
    figures = numbers.prepared(statement.text)
    flags = {value.flag for female in (True, False) for value in labs.find(figures, female=female)}
    text = _FLAG.sub(lambda match: "" if _FLAGS[match[1]] in flags else match[0], statement.text)
    return statement.model_copy(update={"text": text})


def _is_text(text: str) -> bool:
    """Whether all of a text's characters can be printed."""
    return all(char.isprintable() or char in "\n\t" for char in text)


def _has_relative(transcript: segments.Transcript) -> bool:
    return any(segment.speaker == "relative" for segment in transcript.segments)


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    for module in (
        agreement,
        anatomy,
        denial,
        drugs,
        findings,
        noted,
        persons,
        places,
        supposed,
        quantities,
        quotes,
        reading,
        standing,
        whole,
        lemmas,
    ):
        module.forget()
