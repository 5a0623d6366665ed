"""Which vaccinations were given or ordered today, as note and transcript say it together.

Sources: STIKO, Impfkalender; ICD-10-GM Z23-Z27, Z28, U11.9; the words stand in the table `icd10gm/vaccinations`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline import results, segments
from pipeline.coding import candidate
from terminology import tables
from terminology.german import polarity, sentences
from terminology.icd10gm import edition

#: What a clause says of the vaccination that it names. `given`: done or ordered today. `wanted`: asked for or missing.
#: `denied`: over, later, declined, only spoken of, or somebody else's.
Status = Literal["given", "wanted", "denied"]

_VACCINE = re.compile(r"impf|vakzin|frisch\w*\b.{0,30}\bauf\b|auffrisch|\bspritze|\w+valente?n?\b", re.IGNORECASE)
_GIVEN = re.compile(
    r"\bimpfe?n?\b.{0,12}\b(?:ich|wir)\b|\b(?:ich|wir) (?:\w+ ){0,2}impfe?n?\b|\bfrische?n?\b.{0,30}\bauf\b"
    r"|\b(?:heute|jetzt|gleich|eben|soeben|damit)\b.{0,50}\b(?:ge)?impf|impf\w*\b.{0,50}\b(?:heute|jetzt|gleich|eben|soeben)\b"
    r"|(?:impf|auffrisch)\w*\b.{0,60}\b(?:erfolgt|durchgeführt|verabreicht|gegeben|gesetzt|injiziert|appliziert)\b"
    r"|\b(?:mache|machen|gebe|geben|spritze|spritzen|setze|setzen|verabreiche|verordne|verordnen|bestelle)"
    r" (?:ich|wir)\b"
    r"|\b(?:ich|wir) (?:\w+ ){0,2}(?:gebe|geben|spritze|spritzen|setze|verabreiche|verordne|verordnen|bestelle)\b"
    r"|\b(?:bekommt|bekommen|kriegt|kriegen|erhält|erhalten)\b.{0,40}\b(?:heute|jetzt|gleich)\b"
    r"|\b(?:heute|jetzt|gleich)\b.{0,40}\b(?:bekommt|bekommen|kriegt|kriegen|erhält|erhalten)\b"
    r"|\bi\. ?m\.|intramuskul|\b(?:verabreicht|verordnet|charge)\b",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"\b(?:links|rechts)\b|\b(?:ober|ander\w+ |link\w+ |recht\w+ )arm|oberschenkel|deltoid", re.IGNORECASE
)
_WANTED = re.compile(
    r"^(?:ja|genau|gern\w*)\b|\bzu[rm]\b|\bkommt?\b|\b(?:möcht|woll|brauch)\w*|\bwill\b|\bfehl(?:t|en)\b|\bfällig\b"
    r"|\bwegen\b|\bsteht .{0,10}an\b|\bdran\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:letzte[nrsm]?|vorige[nrsm]?|vergangene[nrsm]?|gestern|damals|früher|bereits|schon|zuletzt)\b"
    r"|\b(?:nächste[nrsm]?|kommende[nrsm]?|später|demnächst|irgendwann|bald|morgen|übermorgen|nachher)\b"
    r"|\b(?:im|ab|seit) (?:herbst|winter|frühjahr|frühling|sommer|urlaub|januar|februar|märz|april|mai|juni|juli|august"
    r"|september|oktober|november|dezember)\b|\b(?:19|20)\d\d\b|\bam (?:mon|diens|mitt|donners|frei|sams)\w*\b"
    r"|\b(?:in|vor|nach) (?:\w+ )?(?:\w+|\d+) (?:tage|woche|monat|jahr)\w*|verschieb|verschoben|\btermin (?:für|zur)\b"
    r"|\b(?:reden|sprechen|besprechen|überleg\w*|denken|empfehl\w*|empfohlen|rate|raten|sollte\w*|würde?n?|würd|wäre?"
    r"|könnte\w*)\b|\b(?:abgelehnt|verzicht\w*|lehnt|verweiger\w*|vollständig|komplett|aktuell|gültig|reicht noch"
    r"|ausreichend|pass)\b|\b(?:internet|liest|gelesen|gehört|angst|trotz|nach der|seit der|obwohl|ungeimpft\w*)\b"
    r"|\bwar\b|\bwaren\b|\bhatte\w*\b|\b(?:wenn|falls|sobald|ob|wann)\b",
    re.IGNORECASE,
)
_WHOLE = re.compile(r"^(?:wenn|falls|sobald|verneint|wann|nach dem|nach der)\b", re.IGNORECASE)
_OTHERS = re.compile(
    r"^(?:(?:die|der|meine?|seine?|ihre?) )?(?:frau|mann|schwester|bruder|mutter|vater|tochter|sohn|oma|opa|enkelin"
    r"|enkel|nachbarin|nachbar|freundin|freund|kollegin|kollege)"
    r" (?:hat|hatte|kriegt|bekommt|muss|soll|macht|geht|war|ist)\b",
    re.IGNORECASE,
)
_SIGN = re.compile(
    r"\bimpfung (?:in|ist|erfolgt|gesetzt|gegeben)\b|\bschon drin\b|\btut kurz weh\b"
    r"|\b(?:jetzt|gleich|heute)\b.{0,20}\b(?:spritze|impf\w*)|impfstelle|aufklärung .{0,20}unterschrieben|\bpiks\w*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Named:
    """A vaccination that a text names: `antigens` by name, where it stands, and what the text says of it."""

    start: int
    end: int
    antigens: frozenset[str]
    status: Status | None = None


@functools.cache
def _words() -> tuple[tuple[re.Pattern[str], frozenset[str]], ...]:
    rows = (row for row in tables.rows("icd10gm/vaccinations") if row["kind"] == "word")
    return tuple(
        (re.compile(rf"\b(?:{row['pattern']})", re.IGNORECASE), frozenset(row["antigens"].split("|"))) for row in rows
    )


@functools.cache
def _sets() -> tuple[tuple[frozenset[str], str], ...]:
    """The codes by what they are against, the widest combination first."""
    rows = (row for row in tables.rows("icd10gm/vaccinations") if row["kind"] == "set")
    found = ((frozenset(row["antigens"].split("|")), row["code"]) for row in rows)
    return tuple(sorted(found, key=lambda pair: -len(pair[0])))


def is_about_others(text: str) -> bool:
    """Whether a statement tells what somebody else does or has."""
    return _OTHERS.match(text) is not None


def named(text: str) -> list[Named]:
    """The antigens and vaccines that a text names, in its order, whatever it says of them."""
    found: list[Named] = []
    for pattern, antigens in _words():
        for match in pattern.finditer(text):
            if not any(one.start < match.end() and match.start() < one.end for one in found):
                found.append(Named(match.start(), match.end(), antigens))
    return sorted(found, key=lambda one: one.start)


def is_named(text: str) -> bool:
    """Whether a text speaks of vaccinating."""
    return _VACCINE.search(text) is not None


def statuses(text: str, *, is_among_vaccines: bool = False) -> list[Named]:
    """The antigens that a text names with what it says of each. A clause that only lists goes with the one before it.

    `is_among_vaccines`: what stands around the text speaks of vaccinating, so that a side or an arm is where it went.
    """
    found = named(text)
    if not found:
        return []
    is_about = is_among_vaccines or is_named(text)
    spans = sentences.clauses(text)
    told = [_status(span.text, is_about=is_about) for span in spans]
    if text.rstrip().endswith("?") or _WHOLE.match(text) or is_about_others(text) or polarity.is_about_family(text):
        told = ["denied"] * len(spans)
    result = []
    for one in found:
        at = next((number for number, span in enumerate(spans) if span.start <= one.start < span.end), 0)
        status = told[at] or next((known for known in reversed(told[:at]) if known), None)
        status = status or next((known for known in told[at + 1 :] if known), None)
        result.append(Named(one.start, one.end, one.antigens, status))
    return result


def _status(clause: str, *, is_about: bool) -> Status | None:
    if _DENIED.search(clause) or polarity.is_negated(clause):
        return "denied"
    if is_about and (_GIVEN.search(clause) or _PLACE.search(clause)):
        return "given"
    return "wanted" if _WANTED.search(clause) else None


@dataclass(frozen=True, slots=True)
class _Given:
    antigens: frozenset[str]
    statement: results.Statement
    evidence: tuple[results.Evidence, ...]
    is_confirmed: bool = False


def given(note: results.Note, transcript: segments.Transcript, held: edition.Edition) -> list[candidate.Candidate]:
    """The vaccinations of the visit: those that the note says were given, and those that it names as wanted or only
    by a sign of the injection and of which the transcript says that they were given."""
    found = list(_of_note(note))
    told = {name for one in found for name in one.antigens}
    signs = [s for s in note.statements if s.polarity == "affirmed" and _SIGN.search(s.text)]
    heard = [(one, evidence) for one, evidence in _heard(transcript) if one.antigens - told]
    for statement in note.statements:
        if statement.polarity in ("negated", "family"):
            continue
        for one in statuses(statement.text):
            if one.antigens <= told or one.status == "given":
                continue
            confirmed = next((evidence for other, evidence in heard if one.antigens & other.antigens), None)
            if confirmed is None and signs and one.status == "wanted" and _is_reason(statement):
                confirmed = signs[0].evidence[-1]
            if confirmed is not None:
                found.append(_Given(one.antigens, statement, (*statement.evidence, confirmed), is_confirmed=True))
                told |= one.antigens
    for one, evidence in heard:
        if signs and not one.antigens <= told:
            found.append(_Given(one.antigens, signs[0], (*signs[0].evidence, evidence), is_confirmed=True))
            told |= one.antigens
    return list(_candidates(found, held))


def _is_reason(statement: results.Statement) -> bool:
    return statement.section == "S" and is_named(statement.text)


def _of_note(note: results.Note) -> Iterator[_Given]:
    for statement in note.statements:
        if statement.polarity in ("negated", "family") or statement.section == "S":
            continue
        antigens: frozenset[str] = frozenset()
        for one in statuses(statement.text):
            if one.status == "given":
                antigens |= one.antigens
        if antigens:
            yield _Given(antigens, statement, statement.evidence)


def _heard(transcript: segments.Transcript) -> Iterator[tuple[Named, results.Evidence]]:
    """What the doctor or the nurse says that they give, with the place in the transcript."""
    for segment in transcript.segments:
        if segment.speaker in ("patient", "relative") or not is_named(segment.text):
            continue
        for span in sentences.split(segment.text):
            for one in statuses(span.text, is_among_vaccines=True):
                if one.status == "given":
                    yield one, results.Evidence(segment=segment.number, start=span.start, end=span.end)


def _candidates(found: Sequence[_Given], held: edition.Edition) -> Iterator[candidate.Candidate]:
    left = frozenset(name for one in found for name in one.antigens)
    told: set[str] = set()
    for antigens, name in _sets():
        if not antigens <= left:
            continue
        left -= antigens
        code = held.resolve(name)
        sources = [one for one in found if one.antigens & antigens]
        if code is None or code.code in told:
            continue
        told.add(code.code)
        is_confirmed = any(one.is_confirmed for one in sources)
        confirmed = " Dass sie gegeben wurde, steht an anderer Stelle." if is_confirmed else ""
        yield candidate.Candidate(
            code=code.code,
            certainty="G",
            side=None,
            statement=sources[0].statement.id,
            reason=f"Impfung von heute: „{sources[0].statement.text}“{confirmed}",
            evidence=tuple(dict.fromkeys(item for one in sources for item in one.evidence)),
            origin="visit",
        )


_FOR = re.compile(
    r"(?:impf\w*|vakzin\w*|auffrisch\w*|frisch\w*\b.{0,20}\bauf\b|spritze\w*)\b(?P<between>[^.!?;]*)$", re.IGNORECASE
)
_LINKS = re.compile(
    r"\b(?:gegen|mit|für|von|auch|heute|als|der|die|das|sie|ich|wir|ihn|und|sowie|oder|plus)\b|[\W_]", re.IGNORECASE
)
_NO_VACCINE = re.compile(
    r"\b(?:trotz|ungeimpft\w*|obwohl|nicht|keine?|ohne|fehlende[rn]?)\b|hat\b|besteht|infektion|erkrank", re.IGNORECASE
)
_NEVER_ILL = frozenset({"tetanus", "diphtheria", "poliomyelitis"})


def is_vaccination(text: str, start: int) -> bool:
    """Whether the term that begins at `start` names what is vaccinated against, not an illness that somebody has."""
    span = next((one for one in sentences.split(text) if one.start <= start < one.end), None)
    if span is None:
        return False
    sentence, at = span.text, start - span.start
    term = next((one for one in named(sentence) if one.start <= at < one.end), None)
    if term is None:
        return re.match(r"\w*impf", sentence[at:], re.IGNORECASE) is not None
    if "impf" in sentence[term.start : term.end].lower():
        return True
    before, after = sentence[: term.start], sentence[term.end :]
    against = _FOR.search(before)
    if against is not None and not _NO_VACCINE.search(before):
        between = against["between"]
        if re.search(r"\bgegen\b", between, re.IGNORECASE) or not _without_lists(between):
            return True
    follows = re.match(r"(?P<between>[^.!?;]{0,80}?)(?:-?impf|\bgeimpft|auffrisch|\bfrisch)", after, re.IGNORECASE)
    if follows is not None and not _without_lists(follows["between"]) and not _NO_VACCINE.search(before):
        return True
    listed = {name for one in named(sentence) for name in one.antigens}
    return len(listed) > 1 and bool(listed & _NEVER_ILL) and not _NO_VACCINE.search(sentence)


def _without_lists(text: str) -> str:
    """What is left of a text without antigens and the words that link them."""
    for one in reversed(named(text)):
        text = text[: one.start] + text[one.end :]
    return _LINKS.sub("", text)
