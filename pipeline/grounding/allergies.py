"""Allergies and intolerances of a text, and of an answer to a question for them.

An allergy is about a drug's ingredient, an allergen of the table `german/allergens`, or the first letters of a word
that no table knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from pipeline import facts, results
from pipeline.grounding import complaints
from pipeline.grounding.fact import Fact
from terminology.drugs import catalogue as drugs
from terminology.german import polarity, sentences, vocabulary

#: What a question for allergies asks: whether there is one, or whether something is borne.
Topic = Literal["allergic", "borne", "not borne"]

_ALLERGY = re.compile(r"allerg|unverträglich|überempfindlich|anaphyla", re.IGNORECASE)
_NO = r"(?:nicht|ned|net|nimmer|schlecht|kein\w*)"
_BORNE = re.compile(r"\bvertr[aäu]g(?:en|e|t|st)?\b", re.IGNORECASE)
#: "Aspirin darf ich nicht, sonst krieg ich Asthma".
_FORBIDDEN = re.compile(rf"\b(?:darf|dürfen|soll)\b.{{0,30}}\b{_NO}\b.{{0,40}}\bsonst\b", re.IGNORECASE)
_REACTED = re.compile(
    r"ausschlag|quaddel|\bjuck|pusteln|nessel|(?:an|zu)?(?:geschwollen|schwillt)|keine luft|luftnot|atemnot|asthma\b|"
    r"umgekippt|kollabiert|bewusstlos|\bschock|\bintensiv|notarzt|reanimiert|am ganzen körper",
    re.IGNORECASE,
)
_SEVERE = re.compile(
    r"keine luft|luftnot|atemnot|umgekippt|kollabiert|bewusstlos|\bschock|\bintensiv|notarzt|reanimiert|"
    r"am ganzen körper|zugeschwollen|schwillt .{0,20}\bzu\b",
    re.IGNORECASE,
)
_FROM = re.compile(r"\b(?:auf|nach|von|vom|durch|gegen|bei)\s+(?:\w+\s+)?$", re.IGNORECASE)
_FROM_IT = re.compile(r"\b(?:davon|darauf|drauf|dagegen|danach)\b|\bvon[.!]?$", re.IGNORECASE)
#: What is given because of an allergy: "wegen Penicillinallergie Clindamycin".
_BECAUSE = re.compile(
    r"\b(?:wegen|bei|aufgrund) (?:\w+ ){0,3}\w*(?:allergie|unverträglichkeit)\b(?! (?:gegen|auf|von))", re.IGNORECASE
)
_STINGS = frozenset({"Wespe", "Biene", "Hornisse", "Insektenstich"})
_NAMED_AFTER = re.compile(
    r"\b(?:gegen|auf|von|nach|durch)\s+(?:\w+\s+)?([A-ZÄÖÜ]\w{3,})|(\w{4,}?)-?(?:allergi|unverträglich)\w*"
)
_GENERIC = frozenset(["medik", "tabl", "irgen", "etwas", "antib", "nahru"])
_COMPOUND = re.compile(r"(\w{4,40}?)-?(?:allergi|unverträglich)\w*", re.IGNORECASE)
_IS_ALLERGIC = re.compile(
    r"\b(?:bin|ist|sind|war|reagier\w*)\b.{0,40}(?:allergisch|überempfindlich)|"
    r"(?:allergisch|überempfindlich)\b.{0,20}\b(?:bin|ist|sind|war|reagier\w*)\b",
    re.IGNORECASE,
)
_STEM = 5  # letters by which two allergens that no table knows are compared
_TAKES = re.compile(r"\b(?:nehm|nehme|nehmen|nimm|nimmt|spritze|spritzt|schlucke|eingestellt)\b", re.IGNORECASE)
_IF_TAKEN = re.compile(
    r"\b(?:wenn|sobald|als) .{0,40}\b(?:nehm|nehme|nimmt|genommen|bekommen|bekam|gekriegt|schlucke)\b", re.IGNORECASE
)
_IF = re.compile(r"\b(?:wenn|falls|sobald|als)\b", re.IGNORECASE)
#: A new statement after "und": "bin allergisch und nehme Ramipril".
_NEXT_VERB = re.compile(r"\s+und\s+(?=(?:ich |er |sie )?(?:nehm|nimm|spritz|schluck))", re.IGNORECASE)
_NO_REACTION = frozenset({"allergische reaktion", "insektenstich"})
_EXCEPT = re.compile(r"\b(?:außer|bis auf|nur|bloß|lediglich|sondern|aber)\b[^.;]*$", re.IGNORECASE)
_SAYS_DENIED = re.compile(r"^\W*vernein", re.IGNORECASE)


def is_about(text: str) -> bool:
    """Whether a text tells an allergy, or how something was not borne."""
    if _ALLERGY.search(text) or facts.is_reaction(text):
        return True
    return bool(_places(text)) and (_is_not_borne(text) or _has_reacted(text))


def read(text: str, whole: results.Polarity | None) -> Iterator[Fact]:
    """The allergies of a text with yes or no and the reactions to them; a drug that another clause says is taken is
    none.
    """
    is_denied = complaints.manner(_told_in(text), whole) == "no" and not _is_told_by_no(text, whole)
    named = [(about, at) for about, at in _places(text) if not _is_taken(text, at)]
    if not named:
        words = {(match[1] or match[2]).lower()[:_STEM] for match in _NAMED_AFTER.finditer(text)}
        named = [(about, 0) for about in sorted(words - _GENERIC)]
    for about, at in named:
        is_excepted = is_denied and not text.rstrip().endswith("?") and _EXCEPT.search(text[:at]) is not None
        yield Fact("allergy", about, "no" if is_denied and not is_excepted else "yes")
    if is_denied and not named:
        yield Fact("allergy", "", "no")
    if not is_denied and not _BECAUSE.search(text):
        for hit in vocabulary.lexicon("symptoms").find(text):
            if hit.row["concept"] not in _NO_REACTION:
                yield Fact("reaction", hit.row["concept"], "yes")


def _told_in(text: str) -> str:
    """The clause that says who is allergic, or all of the text: "Penicillin kann ich nicht nehmen, da bin ich
    allergisch" denies no allergy.
    """
    return next((s.text for s in sentences.clauses(text) if _IS_ALLERGIC.search(s.text)), text)


def taken(text: str) -> Iterator[str]:
    """The clauses of a text on an allergy that tell a drug which is taken."""
    because = _BECAUSE.search(text)
    if because is not None:
        yield text[because.end() :]
        return
    for start, clause in _clauses(text):
        if drugs.find(clause) and _is_taken(text, start):
            yield clause


def _clauses(text: str) -> Iterator[tuple[int, str]]:
    """The clauses of a text with their places, cut also where "und" begins to tell what is taken."""
    for clause in sentences.clauses(text):
        start = 0
        for match in _NEXT_VERB.finditer(clause.text):
            yield clause.start + start, clause.text[start : match.start()]
            start = match.end()
        yield clause.start + start, clause.text[start:]


def _places(text: str) -> list[tuple[str, int]]:
    """The ingredients and allergens that a text names, each with its place."""
    found = [(name, mention.start) for mention in drugs.find(text) for name in mention.names]
    found += [
        (name, match.start())
        for match in _COMPOUND.finditer(text)
        for mention in drugs.find(match[1])
        for name in mention.names
    ]
    found += [(hit.row["allergen"], hit.start) for hit in vocabulary.lexicon("allergens").find(text)]
    return found


def _is_told_by_no(text: str, whole: results.Polarity | None) -> bool:
    """Whether a "nicht" states the allergy: not borne, or a reaction told with it."""
    if _SAYS_DENIED.match(text):
        return False
    if facts.is_reaction(text) and whole != "negated":
        return True
    return _is_not_borne(text) or (whole != "negated" and bool(_places(text)) and _has_reacted(text))


def _is_not_borne(text: str) -> bool:
    return facts.is_not_borne(text) or _FORBIDDEN.search(text) is not None


def _has_reacted(text: str) -> bool:
    """Whether something happened on what a text names; on a sting only something severe is an allergy."""
    if not _REACTED.search(text):
        return False
    for about, at in _places(text):
        if about in _STINGS:
            if _SEVERE.search(text, at):
                return True
            continue
        is_after_it = _FROM_IT.search(text, at) is not None and not _TAKES.search(text)
        if is_after_it or _FROM.search(text[:at]) or _IF_TAKEN.search(_clause(text, at)):
            return True
    return False


def _is_taken(text: str, at: int) -> bool:
    """Whether the clause at this place says that something is taken, and nothing of how it is borne."""
    because = _BECAUSE.search(text)
    if because and because.end() <= at:
        return True
    clause = _clause(text, at)
    if not _TAKES.search(clause) or _IF.search(clause) or polarity.is_negated(clause):
        return False
    return not (_ALLERGY.search(clause) or _is_not_borne(clause) or _REACTED.search(clause))


def _clause(text: str, at: int) -> str:
    """The clause at a place; all of the text where none is."""
    return next((part for start, part in _clauses(text) if start <= at < start + len(part)), text)


# Questions and their answers.

_ASKS = re.compile(
    r"allerg|unverträglich|überempfindlich|\breagier\w*\b.{0,40}\b(?:auf|gegen|medikament)", re.IGNORECASE
)
_OWN_VERB = re.compile(r"\b(?:ich|er|sie|es|wir|man|hab|habe|hat|nehm\w*|nimmt|ist|war|bin)\b", re.IGNORECASE)
_GOOD = re.compile(r"\b(?:gut|problemlos|probleme?|alles|alle|bestens|prima|ohne)\b", re.IGNORECASE)
_ONLY = re.compile(r"\b(?:außer|bis auf|nur|bloß|lediglich|aber)\b", re.IGNORECASE)


def topic(question: str) -> Topic | None:
    """What a question asks of allergies; None where it asks something else."""
    if _ASKS.search(question):
        return "allergic"
    if facts.is_not_borne(question):
        return "not borne"
    return "borne" if _BORNE.search(question) else None


def answered_no(question: str, asked: Topic) -> Iterator[Fact]:
    """The allergies that "nein" tells: of "Vertragen Sie Penicillin (nicht)?" that it is not borne."""
    if asked == "allergic":
        yield from read(question, "negated")
    else:
        yield from (Fact("allergy", about, "yes") for about, _at in _places(question))


def in_answer(text: str, asked: Topic, *, is_first: bool, is_no: bool) -> list[Fact] | None:
    """The allergies that a sentence of an answer names without its topic; None where it speaks for itself.

    `is_no`: the answer begins with a no, and only what is excepted from it is an allergy.
    """
    if is_about(text) or (not is_first and _OWN_VERB.search(text)):
        return None
    named = [about for about, at in _places(text) if not _is_taken(text, at)]
    if not named or _TAKES.search(text):
        return None
    is_denied = polarity.is_negated(re.sub(r"^\W*(?:nein|nee|nö)\b", "", text, flags=re.IGNORECASE))
    if asked == "borne" and is_denied:
        return [Fact("allergy", about, "yes") for about in named]
    if _GOOD.search(text) or (is_no and not _ONLY.search(text)):
        return []
    value = "no" if is_denied and not _ONLY.search(text) else "yes"
    return [] if asked == "borne" else [Fact("allergy", about, value) for about in named]
