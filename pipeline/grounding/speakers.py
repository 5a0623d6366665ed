"""Who may say it: an assessment and a plan are the doctor's, whatever section a model puts a patient's words in."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline import results, segments
from pipeline.grounding import places, quotes, reading

_LAY = frozenset({"patient", "relative"})
_WISH = re.compile(
    r"\b(?:möcht\w*|mechat|hätt\w* (?:\w+ ){0,2}gern\w*|will|wollt\w*|wünsch\w*|bräucht\w*|bitte um|"
    r"können sie mir|könnten sie mir)\b",
    re.IGNORECASE,
)


def fault(
    statement: results.Statement, said: reading.Said, cited: Sequence[quotes.Cited], transcript: segments.Transcript
) -> str | None:
    """ "speaker" when an assessment or a plan rests on what the patient or a relative said, or on what they asked for
    and nobody granted; else None. Speakers that are not labelled are not held against a statement.
    """
    if statement.section not in ("A", "P") or _is_inferred(statement, transcript):
        return None
    speakers = {item.speaker for item in cited}
    if speakers <= _LAY:
        return "speaker"
    return "speaker" if speakers & _LAY and _is_only_wished(statement, said, cited) else None


def _is_inferred(statement: results.Statement, transcript: segments.Transcript) -> bool:
    numbers = {item.segment for item in statement.evidence if item.segment is not None}
    return any(transcript.segment(number).speaker_inferred for number in numbers)


def _is_only_wished(statement: results.Statement, said: reading.Said, cited: Sequence[quotes.Cited]) -> bool:
    """Whether a clinical word was only said where the patient asks for it and no yes follows."""
    speakers = [item.speaker for item in cited for _clause in reading.clauses_of(item.text, item.speaker, False)]
    if len(speakers) != len(said.clauses):
        return False
    is_denial = statement.polarity == "negated" or reading.denies(statement.text)
    standings = {"asked", "open", "unclear"} if is_denial else {"asked", "open", "unclear", "negated"}
    for claim in places.claims(statement.text):
        found = places.of(claim, said.clauses) if claim.is_clinical else []
        if found and all(
            speakers[place.clause] in _LAY and _is_wish(said.clauses[place.clause], place.start, standings)
            for place in found
        ):
            return True
    return False


def _is_wish(clause: reading.Clause, start: int, standings: set[str]) -> bool:
    is_question = clause.sentence.endswith("?")
    return clause.at(start) in standings or (not is_question and _WISH.search(clause.text) is not None)
