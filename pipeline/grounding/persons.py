"""Whose it is: what a relative, a colleague or the patient in the next bed has is not the patient's, nor another's."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline import results, segments
from pipeline.grounding import places, quotes, reading
from terminology import tables
from terminology.german import concepts, vocabulary

#: The patient, where a clause names him.
SELF = "self"
#: Relatives as a whole: one of them may be any relative.
_ALL = "familie"
#: Whoever a relative speaks of who is not the patient: the relative or another one.
_SPEAKER = "speaker"
_SELF = re.compile(
    r"\b(?:ich|mir|mich|wir|uns|mi|i(?= [a-zäöü]{2})|"
    r"mein\w* (?:kopf|bauch|bein|arm|knie|rücken|herz|hals|haut|lunge|niere|leber|magen|hüfte|schulter|fuß|hand))\b",
    re.IGNORECASE,
)
_PATIENT = re.compile(r"\b(?:Sie|Ihnen|Patient(?:in)?|Pat)\b")
#: Words for the patient that only say where another is.
_NEAR = re.compile(r"\b(?:neben|bei|von|zu|mit) (?:mir|uns|ihnen)\b", re.IGNORECASE)
_OBJECT = re.compile(
    r"\b(?:mit|von|vom|für|zu|zur|zum|durch|wegen|nach|gegenüber|um|über|an|bezüglich)\s+"
    r"(?:(?:der|dem|den|die|das|eine[rmn]?|einem)\s+)?(?:(?:mei|dei|sei|ihr|unse?r)\w*\s+)?$",
    re.IGNORECASE,
)
_VISITS = re.compile(r"\b(?:wohn\w*|angesteckt|zu besuch|übernacht\w*|eingezogen)\b", re.IGNORECASE)
#: A patient's words for the wife and the husband; a doctor calls anybody so.
_SPOUSE = re.compile(r"\b(?:die|der|d') ?(?:frau|mann)\b(?! doktor)", re.IGNORECASE)
_WRITTEN_WIFE = re.compile(r"\b(?:Frau|Mann)(?= [a-zäöüß]|:)")
_SPOUSES = ("ehefrau", "ehemann")
_COLLEAGUE = re.compile(r"kolleg|chef|lehrer|trainer|pfleger|betreuer", re.IGNORECASE)
#: After this a sentence speaks of the patient again: "meine Frau ist gestorben, seitdem schlafe ich schlecht".
_TURNS = re.compile(
    r"\b(?:seitdem|seither|jetzt|deshalb|deswegen|daher|darum|nun|aktuell|selbst|selber)\b", re.IGNORECASE
)
#: A relative who tells what he has himself.
_OF_SPEAKER = re.compile(
    r"\b(?:ich|i)\b.{0,20}\b(?:selbst|selber)\b|\b(?:selbst|selber) (?:\w+ )?(?:ich|i)\b|"
    r"^(?:und |aber |also |ja |denn )*(?:ich|i) (?:hab|habe|hatte|leide|nehm|nehme|bin) ",
    re.IGNORECASE,
)
_OF_PATIENT = re.compile(
    r"\b(?:ihm|ihn|er|sie|ihr|ihre\w*|sein\w*|der|die|dem|den|uns|das gefühl|den eindruck)\b|\bge\w{3,}(?:t|en)\b",
    re.IGNORECASE,
)


_ALSO = re.compile(r"\b(?:auch|wie)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Named:
    start: int
    who: str


def fault(
    statement: results.Statement, said: reading.Said, cited: Sequence[quotes.Cited], *, has_relative: bool
) -> str | None:
    """ "person" when what the statement says of somebody was said of others alone; else None."""
    owners = _owners(tuple((item.text, item.speaker) for item in cited), has_relative)
    if len(owners) != len(said.clauses) or not any(named for _clause, named in owners):
        return None
    has_clinical = False
    general: list[str | None] = []
    for claim, who in _claimed(statement):
        found = _of_claim(claim, said, owners)
        if not found or (not claim.is_clinical and (who is not None or statement.polarity == "family")):
            continue
        has_clinical = has_clinical or claim.is_clinical
        if (claim.is_clinical or claim.is_noun) and not any(_fits(who, other, statement) for other in found):
            return None if _is_own_denial(statement, said, owners) else "person"
        general += found
    is_theirs = not has_clinical and bool(general) and not any(_fits(None, other, statement) for other in general)
    return "person" if is_theirs and not _is_own_denial(statement, said, owners) else None


def _claimed(statement: results.Statement) -> list[tuple[places.Claim, str | None]]:
    """The claims of a statement, each with the person that it names for them."""
    text, found = statement.text, []
    clauses = reading.clauses_of(text, "unknown", False)
    owners = _of_clauses(tuple(clause.text for clause in clauses), tuple(clause.sentence for clause in clauses), "")
    for number, (clause, named) in enumerate(zip(clauses, owners, strict=True)):
        for claim in places.claims(clause.text):
            if concepts.kin(claim.word) is None and not vocabulary.lexicon("relatives").find(claim.word):
                is_noun = claim.is_noun or (number > 0 and clause.text[claim.start].isupper())
                found.append((replace(claim, is_noun=is_noun), _owner(named, claim.start)))
    return found


def _of_claim(
    claim: places.Claim, said: reading.Said, owners: tuple[tuple[reading.Clause, tuple[_Named, ...]], ...]
) -> list[str | None]:
    """Of whom a claim was said; questions count only when nothing else says it, others than quoted ones as well."""
    clauses = [clause for clause, _named in owners]
    found = places.of(claim, clauses)
    told = [place for place in found if said.clauses[place.clause].at(place.start) in ("affirmed", "negated")] or found
    quoted = [place for place in told if clauses[place.clause].sentence in said.quoted] or told
    return [_answered(place, said, owners) for place in quoted]


def _answered(
    place: places.Place, said: reading.Said, owners: tuple[tuple[reading.Clause, tuple[_Named, ...]], ...]
) -> str | None:
    """Of whom a place speaks; that of a question of whom its answer does: "Nehmen Sie das?", "Das war mein Mann"."""
    named = owners[place.clause][1]
    if said.clauses[place.clause].at(place.start) in ("open", "unclear"):
        later = range(place.clause + 1, len(owners))
        answer = next(
            (number for number in later if said.clauses[number].standing not in ("asked", "open", "unclear")), None
        )
        if answer is not None and not _ALSO.search(owners[answer][0].sentence):
            named = owners[answer][1] or named
    return _owner(named, place.start)


def _fits(who: str | None, other: str | None, statement: results.Statement) -> bool:
    """Whether what was said of `other` may be told of `who`."""
    if statement.polarity == "family":
        if who in (None, SELF):
            return other != SELF
        return other in (None, who, _ALL, _SPEAKER) or who == _ALL
    return who not in (None, SELF) or other in (None, SELF)


def _is_own_denial(
    statement: results.Statement, said: reading.Said, owners: tuple[tuple[reading.Clause, tuple[_Named, ...]], ...]
) -> bool:
    """Whether the patient says of himself that it is not so: "meine Frau nimmt das, ich nicht"."""
    if statement.polarity != "negated":
        return False
    return any(
        clause.denied is not None and any(one.who == SELF for one in named)
        for clause, (_clause, named) in zip(said.clauses, owners, strict=True)
    )


def _owner(named: tuple[_Named, ...], position: int) -> str | None:
    """Of whom a clause speaks at a place: the one that it named last before it, else the first after."""
    before = [one.who for one in named if one.start <= position]
    return before[-1] if before else named[0].who if named else None


@functools.lru_cache(maxsize=2048)
def _owners(
    parts: tuple[tuple[str, segments.Speaker], ...], has_relative: bool
) -> tuple[tuple[reading.Clause, tuple[_Named, ...]], ...]:
    """Every clause of what was said with the persons that it names as those who have something."""
    found: list[tuple[reading.Clause, tuple[_Named, ...]]] = []
    for text, speaker in parts:
        clauses = reading.clauses_of(text, speaker, has_relative)
        if speaker == "relative" or (speaker in ("doctor", "nurse") and has_relative):
            found += [(clause, _of_talk(clause, speaker)) for clause in clauses]
            continue
        sentences_ = tuple(clause.sentence for clause in clauses)
        found += zip(clauses, _of_clauses(tuple(clause.text for clause in clauses), sentences_, speaker), strict=True)
    return tuple(found)


def _of_talk(clause: reading.Clause, speaker: segments.Speaker) -> tuple[_Named, ...]:
    """Whom a clause names where the patient is spoken of as "Ihr Sohn" and "der Kleine"."""
    is_own = speaker == "relative" and _OF_SPEAKER.search(clause.text) and not _OF_PATIENT.search(clause.text)
    return (_Named(0, _SPEAKER),) if clause.is_family or is_own else ()


def _of_clauses(texts: tuple[str, ...], sentences_: tuple[str, ...], speaker: str) -> list[tuple[_Named, ...]]:
    """The persons of each clause; one that names nobody goes on with the person of the clause before."""
    found: list[tuple[_Named, ...]] = []
    for number, (text, sentence) in enumerate(zip(texts, sentences_, strict=True)):
        named = _named(text, speaker)
        goes_on = number > 0 and sentences_[number - 1] == sentence and not _TURNS.search(text)
        if not named and goes_on and found[-1]:
            named = (_Named(0, found[-1][-1].who),)
        found.append(named)
    return found


@functools.lru_cache(maxsize=8192)
def _named(clause: str, speaker: str) -> tuple[_Named, ...]:
    """The persons of whom a clause tells something, in its order; not those who only do, see or say something."""
    others = [] if acts(clause) else _others(clause, speaker)
    bare = _NEAR.sub(lambda match: " " * len(match[0]), clause)
    own = [_Named(match.start(), SELF) for match in _SELF.finditer(bare)] if speaker not in ("doctor", "nurse") else []
    if speaker in ("doctor", "nurse", ""):
        own += [_Named(match.start(), SELF) for match in _PATIENT.finditer(bare)]
    if not others:
        return tuple(own)
    return tuple(sorted([*others, *own], key=lambda one: one.start))


def _others(clause: str, speaker: str) -> list[_Named]:
    found: list[_Named] = []
    for hit in vocabulary.lexicon("relatives").find(clause):
        if _is_object(clause, hit.start) or (speaker in ("doctor", "nurse") and _COLLEAGUE.search(hit.text)):
            continue
        found.append(_Named(hit.start, hit.row["kin"] or hit.text.lower()))
    if speaker in ("doctor", "nurse"):
        return found
    if speaker == "":
        words = [(match.start(), concepts.kin(match[0].lower())) for match in reading.WORD.finditer(clause)]
        written = [_Named(start, kin) for start, kin in words if kin is not None and kin not in _SPOUSES]
        found += [one for one in written if not _is_object(clause, one.start)]
    spouses = _WRITTEN_WIFE if speaker == "" else _SPOUSE
    for match in spouses.finditer(clause):
        if not _is_object(clause, match.start()):
            found.append(_Named(match.start(), "ehefrau" if "frau" in match[0].lower() else "ehemann"))
    return found


def _is_object(clause: str, start: int) -> bool:
    before = clause[max(0, start - 40) : start]
    if _OBJECT.search(before):
        return True
    return (
        re.search(r"\bbei(?:m)? (?:\w+ )?$", before, re.IGNORECASE) is not None and _VISITS.search(clause) is not None
    )


def acts(clause: str) -> bool:
    """Whether the persons of a clause only do, see or say something: "meine Frau hat gemessen"."""
    return _acting().search(clause) is not None


@functools.cache
def _acting() -> re.Pattern[str]:
    """What relatives do that is no illness. Source: the table `german/person_verbs`."""
    words = "|".join(row["pattern"] for row in tables.rows("german/person_verbs"))
    return re.compile(rf"\b(?:{words})\b", re.IGNORECASE)


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    for cache in (_owners, _named):
        cache.cache_clear()
