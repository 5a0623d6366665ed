"""What was said, ready for the checks: its words with their dictionary forms, and its clauses with their standing."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipeline import segments
from pipeline.grounding import clauses, negating, quotes
from pipeline.grounding.clauses import Clause as Clause
from pipeline.grounding.clauses import Standing as Standing
from pipeline.grounding.negating import denies as denies
from pipeline.grounding.negating import negation as negation
from terminology import tables
from terminology.german import concepts, lemmas, polarity, sentences

WORD = re.compile(r"[^\W\d_]+")
_PREFIX = 5  # letters that two forms of one word share
ENDING = 4  # letters by which they may differ after what they share
INFLECTION = 2  # letters by which the forms of a term of medicine may differ: arthritis is no arthrose

_WIFE = re.compile(r"\b(?:meine|seine|ihre)[rn]? frau\b", re.IGNORECASE)
_OWN = re.compile(r"\b(?:ich|mir|mich|selbst|selber)\b", re.IGNORECASE)
#: A relative who speaks of others than the patient.
_OF_OTHERS = re.compile(
    r"\b(?:sein|ihr)(?:e|en|em|er)? (?:\w+ )?"
    r"(?:bruder|schwester|vater|papa|mutter|mama|oma|opa|großvater|großmutter|onkel|tante)\b|"
    r"\b(?:ich|i) (?:selbst|selber)\b|\bbei mir (?:selbst|selber)\b",
    re.IGNORECASE,
)
_PARTICLES = frozenset(
    ["ab", "an", "auf", "aus", "durch", "ein", "fest", "hin", "hoch", "krank", "los", "mit", "nach", "raus", "runter",
     "um", "vor", "weg", "weh", "weiter", "wieder", "zu", "zurück"]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Said:
    """Everything that a statement cites. `forms` are words and dictionary forms in lower case, `quoted` the sentences
    that are quoted; empty when nothing is quoted by its place.
    """

    text: str
    words: frozenset[str]
    forms: frozenset[str]
    concepts: frozenset[str]
    by_prefix: dict[str, tuple[str, ...]]
    clauses: tuple[Clause, ...]
    quoted: str = ""

    def holds(self, word: str, *, ending: int = ENDING) -> bool:
        """Whether a word was said: itself, another form of it, or a word that says the same. `ending` is how many
        letters two forms may differ by that the dictionary does not bring together.
        """
        forms = lemmas.of(word)
        if forms & self.forms:
            return True
        if any(concepts.of(form) & self.concepts for form in forms):
            return True
        others = self.by_prefix.get(word.lower()[:_PREFIX], ())
        return any(is_akin(word.lower(), other, ending=ending) for other in others)

    def holds_parts(self, word: str) -> bool:
        """Whether a compound puts together what was said apart: "Blutdruckkontrolle", "den Blutdruck kontrollieren"."""
        return any(all(self.holds(part) for part in parts) for parts in lemmas.splits(word.lower()))


def is_akin(one: str, other: str, *, ending: int = ENDING) -> bool:
    """Whether two lower-case words share their stem: "schmerzhaft" and "schmerzen", not "bronchitis" and
    "bronchoskopie".
    """
    shared = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        shared += 1
    if shared < _PREFIX:
        return False
    return len(one) - shared <= ending and len(other) - shared <= ending


@functools.cache
def verb_forms() -> dict[str, frozenset[str]]:
    """Every form of a verb that the table knows, by each of its forms."""
    forms: dict[str, set[str]] = {}
    for row in tables.rows("german/verbs"):
        forms.setdefault(row["infinitive"], {row["infinitive"]}).update((row["first_person"], row["third_person"]))
    found: dict[str, set[str]] = {}
    for group in forms.values():
        for form in group:
            found.setdefault(form, set()).update(group)
    return {form: frozenset(group) for form, group in found.items()}


def of(cited: tuple[quotes.Cited, ...], *, has_relative: bool) -> Said:
    """What these segments say. `has_relative` tells that a relative speaks somewhere in the talk: then "Ihr Sohn" may
    be the patient.
    """
    said = _of(tuple((item.text, item.speaker) for item in cited), has_relative)
    return replace(said, quoted=" ".join(item.quoted for item in cited))


@functools.lru_cache(maxsize=2048)
def _of(parts: tuple[tuple[str, segments.Speaker], ...], has_relative: bool) -> Said:
    text = " ".join(part for part, _speaker in parts)
    words = frozenset(word.lower() for word in WORD.findall(text))
    forms = set(words)
    for word in words:
        forms |= lemmas.of(word) | verb_forms().get(word, frozenset())
    found = [clause for part, speaker in parts for clause in clauses_of(part, speaker, has_relative)]
    answered = tuple(clauses.answered(found))
    for clause in answered:
        forms.update(_separable(clause))
    prefixes: dict[str, tuple[str, ...]] = {}
    for form in sorted(forms):
        if len(form) >= _PREFIX:
            prefixes[form[:_PREFIX]] = (*prefixes.get(form[:_PREFIX], ()), form)
    meant = concepts.in_phrases(text).union(*(concepts.of(form) for form in forms))
    return Said(text, words, frozenset(forms), meant, prefixes, answered)


def _separable(clause: Clause) -> Iterator[str]:
    """The verbs that a clause says in two: "setzen wir ab" -> absetzen."""
    said = [word for _start, word in clause.words]
    particles = [word for word in said if word in _PARTICLES]
    for word in said if particles else ():
        for form in lemmas.of(word):
            if form.endswith("n"):
                yield from (f"{particle}{form}" for particle in particles)


@functools.lru_cache(maxsize=4096)
def clauses_of(text: str, speaker: segments.Speaker, has_relative: bool) -> tuple[Clause, ...]:
    """The clauses of one turn, questions not yet joined to their answers."""
    found: list[Clause] = []
    for sentence in sentences.split(text):
        found += _of_sentence(sentence.text, speaker, has_relative)
    return tuple(found)


def _of_sentence(sentence: str, speaker: segments.Speaker, has_relative: bool) -> Iterator[Clause]:
    pieces = [span.text for span in sentences.clauses(sentence)]
    family = _family(pieces, sentence, speaker, has_relative)
    negations = negating.in_clauses(pieces)
    is_question = sentence.rstrip(' "»“”').endswith("?")
    for piece, denied, is_family in zip(pieces, negations, family, strict=True):
        yield Clause(
            text=piece,
            sentence=sentence,
            words=tuple((match.start(), match[0].lower()) for match in WORD.finditer(piece)),
            denied=denied,
            standing="asked" if is_question else "affirmed",
            is_family=is_family,
            speaker=speaker,
        )


def _family(pieces: list[str], sentence: str, speaker: segments.Speaker, has_relative: bool) -> list[bool]:
    if speaker == "relative":
        return [_OF_OTHERS.search(piece) is not None for piece in pieces]
    if (speaker in ("doctor", "nurse") and has_relative) or not _names_kin(sentence):
        return [False] * len(pieces)
    found: list[bool] = []
    for piece in pieces:
        own = _OWN.search(piece) is not None
        found.append(not own and (polarity.is_about_family(piece) or any(found[-1:])))
    return found


def _names_kin(sentence: str) -> bool:
    """Whether a sentence tells the illness of one who belongs to the family; a colleague does not."""
    is_kin = _WIFE.search(sentence) or any(concepts.kin(word.lower()) for word in WORD.findall(sentence))
    return bool(is_kin) and polarity.is_about_family(sentence)


def stands(said: Said, word: str) -> list[tuple[Clause, Standing]]:
    """Every place where a word was said in some form, with how it stands there; where the quoted sentences hold the
    word, the places in these alone.
    """
    forms, lowered = lemmas.of(word), word.lower()
    meant = frozenset().union(*(concepts.of(form) for form in forms))
    found = [
        (clause, clause.at(position))
        for clause in said.clauses
        for position, other in clause.words
        if other == lowered or is_same(lowered, forms, meant, other)
    ]
    quoted = [(clause, standing) for clause, standing in found if clause.sentence in said.quoted]
    return quoted or found


def is_same(lowered: str, forms: frozenset[str], meant: frozenset[str], other: str, *, ending: int = ENDING) -> bool:
    """Whether `other` is a form of a word, or a word that says the same. `forms` and `meant` are the word's dictionary
    forms and concepts, `ending` is as in `is_akin`.
    """
    others = lemmas.of(other)
    if forms & others or is_akin(lowered, other, ending=ending):
        return True
    return bool(meant) and any(concepts.of(form) & meant for form in others)


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    for cache in (_of, clauses_of):
        cache.cache_clear()
    clauses.forget()
    negating.forget()
