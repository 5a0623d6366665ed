"""What a statement says of a diagnosis that it names: whose it is, how sure, on which side, since when."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass

from pipeline import results
from terminology.german import numbers, polarity, sentences
from terminology.icd10gm import specificity, wording

_EXCLUDED = re.compile(r"\b(?:ausgeschlossen|schließ\w* .{0,40}\baus|ausschließen)\b", re.IGNORECASE)
_TO_EXCLUDE = re.compile(r"\bausschluss\b", re.IGNORECASE)
_STATUS_POST = re.compile(r"\b(?:zustand nach|z\. ?n\.)", re.IGNORECASE)
_LEFT, _RIGHT, _BOTH = (
    re.compile(p, re.IGNORECASE)
    for p in (
        r"\blink(?:s(?:seitig\w*)?|e[rsnm]?)\b",
        r"\brecht(?:s(?:seitig\w*)?|e[rsnm]?)\b",
        r"\bbeid(?:seits|seitig|e[rn]?)\b",
    )
)


def clause_of(text: str, term: wording.Term) -> str:
    """The clause of a text that a term stands in."""
    return next((s.text for s in sentences.clauses(text) if s.start <= term.start < s.end), text)


def certainty_of(statement: results.Statement, term: wording.Term) -> results.Certainty | None:
    """G, V, A or Z of a named diagnosis; None when it is not the patient's, was denied, thought of or is long over."""
    around = _Around.of(statement.text, term)
    if statement.polarity == "family" or polarity.is_about_family(around.own):
        return None
    if _THOUGHT.search(around.own) or any(_THOUGHT.search(clause) for clause in around.before[-1:]):
        return None
    is_negated = polarity.is_negated(_without_own_denials(around.own, term.text)) or (
        statement.polarity == "negated" and around.falls(_denies)
    )
    if is_negated:
        is_excluded = _EXCLUDED.search(around.own) or _EXCLUDED.search(" ".join(around.after[:1]))
        return "A" if is_excluded and term.kind != "symptom" else None
    if _TO_EXCLUDE.search(around.own) or polarity.is_uncertain(around.own) or _is_one_of_two(statement.text, term):
        return "V"
    if statement.polarity == "uncertain" and around.falls(polarity.is_uncertain):
        return "V"
    if _STATUS_POST.search(around.own):
        return "G" if term.code.startswith(("Z", "I25")) else "Z"
    is_over = polarity.is_historical(_SINCE.sub(" ", around.own)) or (
        statement.polarity == "historical" and not around.before
    )
    if is_over or _ONCE.search(around.own):
        return "G" if term.code.startswith(("Z", "I25")) else None
    return "G"


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

    @classmethod
    def of(cls, text: str, term: wording.Term) -> _Around:
        found = sentences.clauses(text)
        at = next((number for number, span in enumerate(found) if span.start <= term.start < span.end), None)
        if at is None:
            return cls((), text, ())
        texts = tuple(span.text for span in found)
        return cls(texts[:at], texts[at], texts[at + 1 :])

    def falls(self, cue: Callable[[str], bool]) -> bool:
        """Whether a cue of another clause means the term as well: one before it, as in "Kein Anhalt für A, B oder C",
        or one after it that says nothing of its own, as in "Eine Embolie, nein"."""
        if _BUT.match(self.own):
            return False
        if any(cue(clause) for clause in self.before):
            return True
        return any(cue(clause) and _refers_back(clause) for clause in self.after)


def _without_own_denials(clause: str, name: str) -> str:
    """A clause without the denials that are part of the diagnosis: "Migräne ohne Aura"."""
    before, found, after = clause.partition(name)
    return f"{before}{'Krankheit' if found else ''}{_WITHOUT.sub(' ', after)}"


def _denies(clause: str) -> bool:
    return polarity.is_negated(clause) or _NO.match(clause) is not None


def _refers_back(clause: str) -> bool:
    if _BACK.match(clause):
        return True
    words = re.findall(r"\w+", polarity.without_cues(clause).lower())
    return all(_EMPTY.fullmatch(word) for word in words)


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


def side_of(code: str, clause: str, text: str, all_of_it: str = "") -> results.Side | None:
    """The side that the clause names, else the text; None where the code has none or two are named.

    `all_of_it`: what the note tells of findings and complaints; it counts where one side alone is named there.
    """
    if not specificity.has_side(code):
        return None
    for where in (clause, text, all_of_it):
        left, right, both = (pattern.search(where) is not None for pattern in (_LEFT, _RIGHT, _BOTH))
        if both or (left and right):
            return "B" if where is clause or (both and where is text) else None
        if left or right:
            return "L" if left else "R"
    return None


_AGO = re.compile(
    r"(?:\b(?P<n1>\w+|\d+) (?P<u1>tage|wochen|monate|jahre)n? (?:seit|nach|her)\b"
    r"|\bvor (?P<n2>\w+|\d+) (?P<u2>tage|woche|monat|jahr)\w*)",
    re.IGNORECASE,
)
_SINCE = re.compile(
    r"\bseit (?:(?P<n>\w+|\d+) (?P<u>tag|woche|monat|jahr)\w*|(?P<year>(?:19|20)\d\d)\b)", re.IGNORECASE
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
    if match["year"]:
        return str(match["year"])
    count, unit = _count(match["n"]), match["u"].lower()[:3]
    if count is None or day is None or count * _DAYS[unit] > 36500:
        return None
    onset = (day - dt.timedelta(days=count * _DAYS[unit])).isoformat()
    return {"tag": onset, "woc": onset[:7], "mon": onset[:7], "jah": onset[:4]}[unit]
