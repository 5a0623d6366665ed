"""What a statement claims must stand in the segments that it cites: numbers, drugs, body sides, words, polarity.

The gate does not know which engine spoke. It reads the cited segments with self-corrections applied: a value that the
speaker took back is no evidence.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from decimal import Decimal

from pipeline import results, segments
from terminology import tables
from terminology.drugs import catalogue as drugs
from terminology.german import numbers, polarity, repair, sentences

_WORD = re.compile(r"[A-Za-zÄÖÜäöüßé]{4,}")
_SAID = re.compile(r"[A-Za-zÄÖÜäöüßé]{2,}")
_UNIT = re.compile(
    r"(?:mmHg|\b[mnpµ]?mol/[lg]|\b[mnpµ]mol\b|\b[mk]?(?:IE|U)/m?l|/min|\bml/min/1,73\s?m²|\b1,73\s?m²|°C|10\^\d+/\w+|m²)"
)
_SIDES = {
    "links": re.compile(r"\blinke?[rsnm]?\b|\blinks", re.IGNORECASE),
    "rechts": re.compile(r"\brechte?[rsnm]?\b|\brechts", re.IGNORECASE),
}

#: Words that the note's form brings along and that claim nothing about the patient.
_FORM_WORDS = frozenset(
    ["nein", "verneint", "erhöht", "erniedrigt", "normal", "verordnet", "krankschreibung", "überweisung", "kontrolle"]
)


def check(statements: Iterable[results.Statement], transcript: segments.Transcript) -> results.Note:
    """The statements that hold, and the others with the reason why each was refused."""
    kept: list[results.Statement] = []
    rejected: list[results.Rejected] = []
    for statement in statements:
        reason = fault(statement, transcript)
        if reason is None:
            kept.append(statement)
        else:
            rejected.append(
                results.Rejected(stage="scribe", proposal=statement.text, reason=reason, evidence=statement.evidence)
            )
    return results.Note(statements=tuple(kept), rejected=tuple(rejected))


def fault(statement: results.Statement, transcript: segments.Transcript) -> str | None:
    """Why a statement is not carried by its evidence, in German; None when it is."""
    cited = _cited(statement.evidence, transcript)
    if not cited:
        return "Es ist kein Beleg angegeben."
    said = " ".join(cited)
    for find in (_foreign_number, _foreign_drug, _foreign_side, _foreign_word, _wrong_polarity):
        reason = find(statement, said)
        if reason is not None:
            return reason
    return None


def _cited(evidence: Iterable[results.Evidence], transcript: segments.Transcript) -> list[str]:
    texts = []
    for item in evidence:
        if item.segment is not None:
            try:
                text = transcript.segment(item.segment).text
            except KeyError:
                return []
            texts.append(repaired(text))
    return texts


@functools.lru_cache(maxsize=4096)
def repaired(text: str) -> str:
    """A segment's text without what the speaker took back."""
    return repair.repair(text)


@functools.lru_cache(maxsize=4096)
def _values(text: str) -> frozenset[Decimal]:
    return frozenset(numbers.values(text))


def _foreign_number(statement: results.Statement, said: str) -> str | None:
    claimed = _values(_UNIT.sub(" ", statement.text)) - _values(said)
    return "Eine Zahl steht nicht im Beleg." if claimed else None


@functools.lru_cache(maxsize=4096)
def _drugs(text: str) -> frozenset[str]:
    return frozenset(name for mention in drugs.find(text) for name in mention.names)


def _foreign_drug(statement: results.Statement, said: str) -> str | None:
    return "Ein Medikament steht nicht im Beleg." if _drugs(statement.text) - _drugs(said) else None


def _foreign_side(statement: results.Statement, said: str) -> str | None:
    for side, pattern in _SIDES.items():
        if (
            pattern.search(statement.text)
            and not pattern.search(said)
            and not re.search(r"beid(?:seit|e)", said, re.IGNORECASE)
        ):
            return f"Die Seite {side} steht nicht im Beleg."
    return None


@functools.cache
def _third_persons() -> dict[str, frozenset[str]]:
    """Every form of a verb that the table knows, by each of its forms."""
    forms: dict[str, set[str]] = {}
    for row in tables.rows("german/verbs"):
        forms.setdefault(row["infinitive"], {row["infinitive"]}).update((row["first_person"], row["third_person"]))
    return {form: frozenset(group) for group in forms.values() for form in group}


def _foreign_word(statement: results.Statement, said: str) -> str | None:
    known = {word.lower() for word in _SAID.findall(said)}
    stems = {word[:5] for word in known if len(word) > 3}
    joined = said.lower()
    for word in _WORD.findall(numbers_as_said(statement.text)):
        lowered = word.lower()
        if lowered in known or lowered[:5] in stems or lowered in _FORM_WORDS or lowered in joined:
            continue
        if any(form in known for form in _third_persons().get(lowered, ())):
            continue
        return "Ein Wort steht nicht im Beleg."
    return None


def numbers_as_said(text: str) -> str:
    """`text` without units, which figures bring along."""
    return _UNIT.sub(" ", text)


def _wrong_polarity(statement: results.Statement, said: str) -> str | None:
    negates = polarity.is_negated(said) or re.search(r"\b(?:nein|nee|nö|na|noi)\b", said, re.IGNORECASE) is not None
    if statement.polarity == "negated" and not negates:
        return "Der Beleg verneint nicht."
    if statement.polarity == "affirmed" and polarity.is_negated(statement.text) and not negates:
        return "Die Aussage verneint, der Beleg nicht."
    if statement.polarity == "uncertain" and not polarity.is_uncertain(said):
        return "Der Beleg ist nicht unsicher."
    if statement.polarity == "affirmed" and not polarity.is_negated(statement.text):
        return _denied_there(statement, said)
    return None


_NO = re.compile(r"(?:^|[?!.] )(?:nein|nee|nö|noi)\b", re.IGNORECASE)


def _denied_there(statement: results.Statement, said: str) -> str | None:
    """Why an affirmed statement is not carried: the clause it comes from denies it, or is not sure."""
    stems = _stems(statement.text)
    if not stems:
        return None
    pieces = _pieces(said)
    overlap = max((len(stems & own) for _piece, own in pieces), default=0)
    sources = [piece for piece, own in pieces if overlap and len(stems & own) == overlap]
    if sources and overlap == len(stems) and all(_is_denied(piece) for piece in sources):
        return "Der Beleg verneint."
    answered = re.search(r"\b(?:ja|doch|jo)\b", f"{said} {statement.text}", re.IGNORECASE) is None
    is_question_only = overlap == len(stems) and all(piece.endswith("?") for piece in sources)
    if sources and answered and is_question_only and _NO.search(said):
        return "Der Beleg ist eine verneinte Frage."
    if statement.section == "A" and sources and all(polarity.is_uncertain(piece) for piece in sources):
        return None if polarity.is_uncertain(statement.text) else "Der Beleg ist unsicher."
    return None


@functools.lru_cache(maxsize=1024)
def _pieces(said: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """The clauses of what was said, each with the stems of its words."""
    spans = (span for sentence in sentences.split(said) for span in sentences.clauses(sentence.text))
    return tuple((span.text, _stems(span.text)) for span in spans)


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    for cache in (repaired, _values, _drugs, _pieces):
        cache.cache_clear()


def _is_denied(piece: str) -> bool:
    return polarity.is_negated(piece) and not piece.endswith("?")


def _stems(text: str) -> frozenset[str]:
    return frozenset(word.lower()[:5] for word in _WORD.findall(text) if word.lower() not in _FORM_WORDS)
