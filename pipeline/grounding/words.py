"""Words: none that was not said, and none that does not exist. What has no content is no statement."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from pipeline import results
from pipeline.grounding import drugs, findings, reading
from terminology import labs, tables
from terminology.german import concepts, lemmas, polarity, quantities, vocabulary

_SHORT = 4  # letters under which a word is a form word, unless it is written in capitals
#: What stands before a word and makes its opposite of it, or another thing.
_TURNING = frozenset(
    ["un", "in", "im", "nicht", "anti", "hypo", "hyper", "dys", "pseudo", "brady", "tachy", "miss", "ent", "prä",
     "post", "sub", "ab", "zu"]
)  # fmt: skip
_STEM = 5  # letters of a word by which a quote holds it
_MODIFIER = 3  # letters of the rest of a compound at least


def content(statement: results.Statement) -> str | None:
    """ "no-content" for talk, headings, questions and form words alone; None when something is stated."""
    text = statement.text.strip()
    bare = text.strip(" .,:;!?…-–").lower()
    if text.endswith("?") or bare in concepts.headings() or vocabulary.is_small_talk(text):
        return "no-content"
    return None if _has_content(text) else "no-content"


def _has_content(text: str) -> bool:
    head, colon, rest = text.partition(":")
    is_headed = colon != "" and head.strip().lower() in concepts.headings()
    told = rest if is_headed else text
    words = {word.lower() for word in reading.WORD.findall(told) if len(word) > 1} - _fillers()
    if words - concepts.form_words():
        return True
    is_denial = (is_headed or bool(words & concepts.headings())) and polarity.is_negated(told)
    return is_denial or bool(quantities.find(told)) or bool(drugs.mentions(told))


@functools.cache
def _fillers() -> frozenset[str]:
    """Single words that only keep the talk going."""
    return frozenset(row["filler"].strip(" ,.?") for row in tables.rows("german/fillers"))


def is_quoted(text: str, said: reading.Said) -> bool:
    """Whether the quoted sentences hold anything of what a statement is about: a word, a concept or a number of it."""
    quoted = said.quoted.lower()
    found = [word.lower() for word in reading.WORD.findall(text) if word.lower() not in concepts.form_words()]
    if not found or len(quoted) >= len(said.text) or any(word[:_STEM] in quoted for word in found):
        return True
    spoken = {form for word in reading.WORD.findall(quoted) for form in lemmas.of(word)}
    meant = {concept for form in spoken for concept in concepts.of(form)}
    if any(lemmas.of(word) & spoken or any(concepts.of(form) & meant for form in lemmas.of(word)) for word in found):
        return True
    numbers = {value for other in quantities.find(said.quoted) for value in other.said}
    if any(set(claim.said) & numbers for claim in quantities.find(text)):
        return True
    return bool(
        {term.concept for term in findings.terms(text)} & {term.concept for term in findings.terms(said.quoted)}
    )


def fault(statement: results.Statement, said: reading.Said) -> str | None:
    """The check that a word fails: drug, diagnosis (in an allergy), invented-word or foreign-word."""
    found: set[str] = set()
    for word in _to_carry(statement.text, said):
        name = _of_word(word, said)
        if name is not None:
            found.add(name)
    if found and findings.is_allergy(statement.text):
        return "diagnosis"
    return next((name for name in ("drug", "invented-word", "foreign-word") if name in found), None)


def opposite(statement: results.Statement, said: reading.Said) -> str | None:
    """ "negation" when the statement has the opposite of a word that was said, and not the word itself."""
    for match in reading.WORD.finditer(statement.text):
        if match[0].lower() not in concepts.form_words() and _is_new(match[0], said):
            forms = lemmas.of(match[0])
            if any(other in said.forms for form in forms for other in concepts.opposites(form)):
                return "negation"
    return None


def _to_carry(text: str, said: reading.Said) -> Iterator[str]:
    """The words of a text that must have been said: no quantities, drugs, or terms that were said by other names."""
    written = quantities.prepared(text)
    new = [match for match in reading.WORD.finditer(written) if _is_new(match[0], said)]
    covered = list(_covered(written, said)) if new else []
    for match in new:
        if not any(start <= match.start() and match.end() <= end for start, end in covered):
            yield match[0]


def _is_new(word: str, said: reading.Said) -> bool:
    """Whether a word was not said in any form, and is long enough to claim something, or written in capitals."""
    is_word = len(word) >= _SHORT or (word.isupper() and len(word) > 1)
    return is_word and word.lower() not in said.words and not said.forms & lemmas.of(word)


def _covered(written: str, said: reading.Said) -> Iterator[tuple[int, int]]:
    """What other checks answer for."""
    given = findings.concepts_of(said.text)
    analytes = {labs.by_name(hit.text) for hit in labs.mentions(said.text)}
    yield from ((found.start, found.end) for found in quantities.find(written) if found.kind != "code")
    yield from ((mention.start, mention.end) for mention in drugs.mentions(written))
    if not findings.is_allergy(written):
        yield from ((term.start, term.end) for term in findings.terms(written) if term.concept in given)
    yield from ((hit.start, hit.end) for hit in labs.mentions(written) if labs.by_name(hit.text) in analytes)


def _of_word(word: str, said: reading.Said) -> str | None:
    lowered = word.lower()
    if (
        concepts.kin(lowered) is not None
        or said.holds(word)
        or lowered in concepts.form_words()
        or _is_part(lowered, said)
        or said.holds_parts(lowered)
    ):
        return None
    if drugs.looks_like_one(word):
        return "drug"
    return "foreign-word" if lemmas.is_known(word) else "invented-word"


def _is_part(lowered: str, said: reading.Said) -> bool:
    """Whether a word is part of a compound that was said: "Schmerzen" of "Knieschmerzen", not "regelmäßig" of
    "unregelmäßig".
    """
    forms = {lowered, *(form for form in lemmas.of(lowered) if len(form) >= _SHORT)}
    for spoken in said.words:
        for form in forms:
            if len(spoken) < len(form) + _MODIFIER:
                continue
            if spoken.startswith(form):
                return True
            modifier = spoken[: -len(form)]
            if spoken.endswith(form) and modifier not in _TURNING and not modifier.startswith(("un", "hypo", "hyper")):
                return True
    return False
