"""What an answer says to its question: yes, no, or neither.

Source of the words: the table `german/replies`. Its kinds: `opening`, said before the answer itself; `unsure`;
`partly`, a no that is none; `no`; `ended`, a no to what is asked of now; `yes`; `contrary`, a yes that also affirms
against a negated question; `degree`, when or how much, which affirms; `all` and `rest`, of several things asked at
once; `except`, what is otherwise than the rest; `light`, words that name nothing of what was asked; `value`, questions
that take for granted what they ask of.
"""

from __future__ import annotations

import functools
import re
from typing import Literal

from terminology import tables
from terminology.german import concepts, lemmas, polarity, sentences

#: `contrary` affirms whatever the question says; `yes` agrees with it.
Answer = Literal["yes", "contrary", "no", "unclear"]

_WORD = re.compile(r"[^\W\d_]+")
_OPENINGS = 4  # that are skipped at most
_FEW = 3  # words of a sentence after which the next may hold the answer
_MODALS = frozenset(["kann", "mag", "will", "darf", "soll", "muss", "könnte", "möchte", "weiß", "halte", "halt"])
_VERB_FIRST = re.compile(
    r"(?:und |aber |also |dann )?\w+(?:en|st|t|d) (?:sie|du|es|er|ihr|wir|ich|das|die|der)\b", re.IGNORECASE
)


def of(told: tuple[str, ...], asked: frozenset[str]) -> Answer:
    """What the sentences of an answer say to a question. `asked` are the forms of the question's words."""
    for sentence in told[:2]:
        bare = _bare(sentence)
        found = _of_sentence(bare, asked) if bare else "unclear"
        if found != "unclear" or len(bare.split()) > _FEW:
            return found
    return "unclear"


def _of_sentence(sentence: str, asked: frozenset[str]) -> Answer:
    text = sentence.strip(" .!…")
    if _starts("unsure").match(text) or _starts("partly").match(text):
        return "unclear"
    if _starts("no").match(text):
        return "no"
    yes = _starts("yes").match(text) or _starts("all").match(text)
    if yes is not None:
        rest = _bare(text[yes.end() :].lstrip(" ,.!"))
        if _starts("unsure").match(rest) or _is_ended(rest, asked):
            return "unclear"
        if _starts("no").match(rest) and not _starts("partly").match(rest):
            return "no" if _is_refusal(rest, asked) else "yes"
        return "contrary" if _starts("contrary").match(rest) or _ends("contrary").search(text) else "yes"
    pieces = [span.text for span in sentences.clauses(text)]
    affirms = any(_ends("contrary", "yes").search(piece) for piece in pieces)
    if any(_is_refusal(piece, asked) for piece in pieces) or _is_ended(text, asked):
        return "unclear" if affirms else "no"
    return "contrary" if affirms or _starts("contrary", "degree").match(text) else "unclear"


def _is_refusal(clause: str, asked: frozenset[str]) -> bool:
    """Whether a clause ends in a no and says nothing else than what was asked: "hab ich schon lange nicht mehr"."""
    match = _ends("no").search(clause.strip(" .!…"))
    if match is None or _starts("partly").match(match[0].strip()):
        return False
    if clause.lower().startswith(("seit ", "schon seit ")):
        return True
    words = [word.lower() for word in _WORD.findall(clause[: match.start()])]
    own = [word for word in words if word in _MODALS or word not in concepts.form_words()]
    return all(lemmas.of(word) & asked or _starts("light").fullmatch(word) for word in own)


def _is_ended(text: str, asked: frozenset[str]) -> bool:
    """Whether the answer ends in the end of what was asked: "das hat der Kardiologe abgesetzt"."""
    match = _ends("ended").search(text.strip(" .!…"))
    if match is None or any(word.lower() in asked for word in _WORD.findall(match[0])):
        return False
    return not _MODALS & {word.lower() for word in _WORD.findall(text)} - asked


def tells_end(told: str) -> bool:
    """Whether something said is over: "nicht mehr", "abgesetzt", "aufgehört"."""
    return _anywhere("ended").search(told) is not None


def names_all(told: str) -> bool:
    """Whether the answer affirms everything that was asked of: "beides", "alle drei"."""
    return _anywhere("all").search(told) is not None


def is_light(word: str) -> bool:
    """Whether a word names nothing of what was asked: "nehmen", "lange"."""
    return word in concepts.form_words() or _starts("light").fullmatch(word) is not None


def sets_apart(clause: str) -> bool:
    """Whether a clause tells what is otherwise than the rest: "nur Husten", "aber nachts", "Husten schon"."""
    return _anywhere("rest", "contrary", "except").search(clause) is not None


def leaves_rest(told: str) -> bool:
    """Whether the answer denies what it does not name: "sonst nichts", "nur Husten"."""
    return _anywhere("rest").search(told) is not None


def asks_value(question: str) -> bool:
    """Whether a question takes for granted what it asks of: "Seit wann haben Sie den Husten?"."""
    return _starts("value").match(_bare(question)) is not None


def agrees_to_denial(question: str, told: str) -> bool:
    """Whether a yes to a negated question can only mean the denial: "Sie rauchen nicht? Ja, genau"."""
    is_bare = len(_WORD.findall(told)) <= _FEW or polarity.is_negated(told)
    return is_bare and _VERB_FIRST.match(_bare(question)) is None


def _bare(text: str) -> str:
    """A text without what is said before the answer itself."""
    for _ in range(_OPENINGS):
        match = _openings().match(text)
        if match is None:
            break
        text = text[match.end() :]
    return text


@functools.cache
def _patterns(*kinds: str) -> str:
    return "|".join(row["pattern"] for row in tables.rows("german/replies") if row["kind"] in kinds)


@functools.cache
def _openings() -> re.Pattern[str]:
    return re.compile(rf"(?:{_patterns('opening')})(?:[,.!…]+\s*|\s+|$)", re.IGNORECASE)


@functools.cache
def _starts(*kinds: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{_patterns(*kinds)})(?!\w)", re.IGNORECASE)


@functools.cache
def _ends(*kinds: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|(?<=\W))(?:{_patterns(*kinds)})(?: mehr)?$", re.IGNORECASE)


@functools.cache
def _anywhere(*kinds: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{_patterns(*kinds)})(?!\w)", re.IGNORECASE)
