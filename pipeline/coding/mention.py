"""What a statement says of a diagnosis that it names: whose it is, how sure, on which side, since when."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass

from pipeline import results
from terminology.german import numbers, polarity, sentences
from terminology.icd10gm import wording

_EXCLUDED = re.compile(r"\b(?:ausgeschlossen|schließ\w* .{0,40}\baus|ausschließen)\b", re.IGNORECASE)
_TO_EXCLUDE = re.compile(r"\bausschluss\b", re.IGNORECASE)
_STATUS_POST = re.compile(r"\b(?:zustand nach|z\. ?n\.)", re.IGNORECASE)


def sentence_of(text: str, term: wording.Term) -> str:
    """The sentence of a text that a term stands in."""
    return next((s.text for s in sentences.split(text) if s.start <= term.start < s.end), text)


def clause_of(text: str, term: wording.Term) -> str:
    """The clause of a text that a term stands in."""
    return next((s.text for s in sentences.clauses(text) if s.start <= term.start < s.end), text)


def certainty_of(statement: results.Statement, term: wording.Term) -> results.Certainty | None:
    """G, V, A or Z of a named diagnosis; None when it is not the patient's, was denied, thought of or is long over."""
    around = _Around.of(statement.text, term)
    own = around.own
    if (
        statement.polarity == "family"
        or polarity.is_about_family(own)
        or _OTHERS.search(" ".join((*around.before[-1:], own)))
    ):
        return None
    if _THOUGHT.search(own) or any(_THOUGHT.search(clause) for clause in around.before[-1:]):
        return None
    if _REPLACED.search(_named(own, term.text)) or around.is_taken_back():
        return None
    is_negated = polarity.is_negated(_without_own_denials(own, term.text)) or (
        statement.polarity == "negated" and around.falls(_denies)
    )
    if is_negated or _REFUTED.search(own) or around.is_answered_no():
        is_excluded = _EXCLUDED.search(own) or _EXCLUDED.search(" ".join(around.after[:1]))
        return "A" if is_excluded and term.kind != "symptom" else None
    if _TO_EXCLUDE.search(own) or _OPEN.search(_named(own, term.text)) or (around.is_asked and not _KNOWN.search(own)):
        return "V"
    if polarity.is_uncertain(own) or _is_one_of_two(statement.text, term):
        return "V"
    if statement.polarity == "uncertain" and not _KNOWN.search(own) and around.falls(polarity.is_uncertain):
        return "V"
    is_state = term.code.startswith(("Z", "I25", "I69"))
    if _STATUS_POST.search(_before(own, term.text)) or _OVER.search(own):
        return "G" if is_state else "Z"
    told = _SINCE.sub(" ", statement.text)
    is_over = polarity.is_historical(_SINCE.sub(" ", own)) or (
        statement.polarity == "historical" and not around.before and polarity.is_historical(told)
    )
    if is_over or _ONCE.search(own):
        return "G" if is_state else None
    return "G"


def _named(clause: str, name: str) -> str:
    """A clause with "§" for the term, so that a cue can say where it stands."""
    return clause.replace(name, "§", 1)


def _before(clause: str, name: str) -> str:
    """What a clause says up to the term."""
    before, found, _after = clause.partition(name)
    return f"{before}{found}"


def _is_one_of_two(text: str, term: wording.Term) -> bool:
    """Whether a term stands beside another diagnosis with "oder" between them."""
    return any(
        _OR.fullmatch(text[min(term.end, other.end) : max(term.start, other.start)]) is not None
        for other in wording.find(text)
        if other.start != term.start
    )


_OR = re.compile(r",? oder (?:eine?[nmrs]? )?(?:\w+ )?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Around:
    """The clause that names a term, and those before and after it in the statement."""

    before: tuple[str, ...]
    own: str
    after: tuple[str, ...]
    is_asked: bool = False

    @classmethod
    def of(cls, text: str, term: wording.Term) -> _Around:
        within = next((s for s in sentences.split(text) if s.start <= term.start < s.end), None)
        sentence, start = (within.text, term.start - within.start) if within is not None else (text, term.start)
        found = sentences.clauses(sentence)
        at = next((number for number, span in enumerate(found) if span.start <= start < span.end), None)
        is_asked = sentence.rstrip().endswith("?") or sentence[start + len(term.text) :].lstrip().startswith("?")
        if at is None:
            return cls((), sentence, (), is_asked)
        texts = tuple(span.text for span in found)
        return cls(texts[:at], texts[at], texts[at + 1 :], is_asked)

    def is_taken_back(self) -> bool:
        """Whether what follows corrects it: "Bronchitis, nein, eine Pneumonie"."""
        follows = [clause for clause in self.after[:2] if wording.find(clause)]
        return bool(follows) and any(_CORRECTS.match(clause) for clause in self.after[:2])

    def is_answered_no(self) -> bool:
        """Whether a "nein" alone follows: "Gicht: nein"."""
        return bool(self.after) and not wording.find(self.after[0]) and _ONLY_NO.fullmatch(self.after[0]) is not None

    def falls(self, cue: Callable[[str], bool]) -> bool:
        """Whether a cue of another clause means the term as well: one before it, as in "Kein Anhalt für A, B oder C",
        or one after it that says nothing of its own, as in "Eine Embolie, nein"."""
        if _BUT.match(self.own) or any(_CORRECTS.match(clause) for clause in self.before[-1:]):
            return False
        if any(cue(clause) for clause in self.before):
            return True
        return any(cue(clause) and _refers_back(clause) for clause in self.after)


def _without_own_denials(clause: str, name: str) -> str:
    """A clause without the denials that are part of the diagnosis: "Migräne ohne Aura"."""
    before, found, after = clause.partition(name)
    return _OF_ITS_KIND.sub(" ", f"{before}{'Krankheit' if found else ''}{_WITHOUT.sub(' ', after)}")


def _denies(clause: str) -> bool:
    return polarity.is_negated(clause) or _NO.match(clause) is not None


def _refers_back(clause: str) -> bool:
    if _BACK.match(clause):
        return True
    words = re.findall(r"\w+", polarity.without_cues(clause).lower())
    return all(_EMPTY.fullmatch(word) for word in words)


_OTHERS = re.compile(
    r"^\s*(?:fa|familienanamnese)\b|\bbelastung für\b|\bfamiliär\w* (?:belast|vorbelast)|\bkind de[rs] patient",
    re.IGNORECASE,
)
#: What another diagnosis stands for, "statt § Bronchitis", and what is only spoken about; § is the term.
_REPLACED = re.compile(
    r"\b(?:an)?statt (?:eine[rs]? )?§|\beher\b.+\bals (?:eine? )?§|\büber (?:die |das |den )?§ (?:gesprochen|geredet)",
    re.IGNORECASE,
)
_REFUTED = re.compile(r"\bwiderleg\w*|\bnicht bestätigt\b", re.IGNORECASE)
#: What is asked or looked for; § is the term.
_OPEN = re.compile(
    r"\b(?:dd|differenzialdiagnos\w*|mögliche[nrsm]?|frage|abklär\w*|z\. ?a\.|grenzwertige?\w?|fragliche[nrsm]?)\b.*§"
    r"|§.{0,3}\?",
    re.IGNORECASE,
)
_KNOWN = re.compile(r"\bbekannt\w*", re.IGNORECASE)
_OVER = re.compile(
    r"\b(?:aus|ab)geheilt\w*|\babgelaufene?[nrsm]?\b|\büberstanden\w*|\bin der anamnese\b|\banamnestisch\b"
    r"|\bremittiert\b",
    re.IGNORECASE,
)
_CORRECTS = re.compile(
    r"(?:ach |äh |oh )*(?:nein|nee|quatsch|korrektur|korrigiere|vielmehr|besser gesagt)\b", re.IGNORECASE
)
_ONLY_NO = re.compile(r"\W*(?:nein|nee|nö|negativ)\W*", re.IGNORECASE)
_OF_ITS_KIND = re.compile(
    r"\bnicht[- ]?(?:entgleist|dekompensiert|insulinpflichtig|entzündlich|exazerbiert|allergisch|proliferativ)\w*"
    r"|\bkeine verschlechterung de[rs]\b",
    re.IGNORECASE,
)
_WITHOUT = re.compile(r"\bohne\b.*", re.IGNORECASE)
_NO = re.compile(r"(?:nein|nee|nö|ne)\b", re.IGNORECASE)
_ONCE = re.compile(r"\bals (?:klein|schul)?kind\b|\bhattest du\b|\bhatten sie (?:früher|schon|damals)\b", re.IGNORECASE)
_BUT = re.compile(r"(?:sondern|aber|jedoch|dafür|stattdessen)\b", re.IGNORECASE)
_BACK = re.compile(r"(?:die|der|das|den|dem|welche[rs]?)\b", re.IGNORECASE)
_THOUGHT = re.compile(
    r"\b(?:erst|zuerst|zunächst|anfangs)\b.{0,20}\b(?:dachte|gedacht|vermutet)|\bdachte ich\b|\bhätte ich gedacht\b"
    r"|\b(?:das|dies) wäre?\b|\bkönnte man denken\b",
    re.IGNORECASE,
)
#: Words that say nothing of their own beside a denial.
_EMPTY = re.compile(
    r"nein|nee|nö|ne|ich|wir|sie|er|es|das|die|der|den|dem|ist|sind|war|waren|wird|würde|sagen?|denke|glaube|meine|so|ja"
    r"|also|mal|haben|hat|habe|auch|noch|da|denn|doch|eher|jetzt|bei|ihnen|mehr|anhalt|hinweise?|zeichen|nachweis"
    r"|verdacht|im|moment"
)


_AGO = re.compile(
    r"(?:\b(?P<n1>\w+|\d+) (?P<u1>tage|wochen|monate|jahre)n? (?:seit|nach|her)\b"
    r"|\bvor (?P<n2>\w+|\d+) (?P<u2>tage|woche|monat|jahr)\w*)",
    re.IGNORECASE,
)
_SINCE = re.compile(
    r"\bseit (?:(?P<n>\w+|\d+) (?P<u>tag|woche|monat|jahr)\w*|(?P<year>(?:19|20)\d\d)\b)"
    r"|\bED:? (?P<ed>(?:19|20)\d\d)\b",
    re.IGNORECASE,
)
_DAYS = {"tag": 1, "woc": 7, "mon": 30, "jah": 365}


def _count(text: str) -> int | None:
    return int(text) if text.isdigit() else 1 if text.lower().startswith("ein") else numbers.value(text)


def days_ago(text: str) -> int | None:
    """How many days ago something was, as a text says it."""
    match = _AGO.search(text)
    if match is None:
        return None
    count, unit = _count(match["n1"] or match["n2"]), (match["u1"] or match["u2"]).lower()
    return count * _DAYS[unit[:3]] if count is not None else None


def since(text: str, day: dt.date | None) -> str | None:
    """The onset that a text tells, no finer than it tells it: a day, month or year as ISO 8601; None without one."""
    match = _SINCE.search(text)
    if match is None:
        return None
    if match["year"] or match["ed"]:
        return str(match["year"] or match["ed"])
    count, unit = _count(match["n"]), match["u"].lower()[:3]
    if count is None or day is None or count * _DAYS[unit] > 36500:
        return None
    onset = (day - dt.timedelta(days=count * _DAYS[unit])).isoformat()
    return {"tag": onset, "woc": onset[:7], "mon": onset[:7], "jah": onset[:4]}[unit]
