"""What was said, ready for the checks: its words with their dictionary forms, and its clauses with their standing."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from pipeline import segments
from pipeline.grounding import quotes
from terminology import tables
from terminology.drugs import catalogue, orders
from terminology.german import concepts, lemmas, polarity, sentences

#: How something stands in a clause. `open` is a question that was answered with neither yes nor no.
Standing = Literal["affirmed", "negated", "asked", "open"]

WORD = re.compile(r"[^\W\d_]+")
_PREFIX = 5  # letters that two forms of one word share
ENDING = 4  # letters by which they may differ after what they share
INFLECTION = 2  # letters by which the forms of a term of medicine may differ: arthritis is no arthrose

_NO = re.compile(
    r"^(?:(?:ach|oh|ja|also|äh|ähm)[, ]+)*(?:nein|nee|nö|naa?(?=[,.!]|$)|ne|noi|nä|"
    r"gar nicht|überhaupt nicht|auch nicht|nicht|nie|niemals|kein\w*|"
    r"eigentlich nicht|bisher nicht|zum glück nicht|gott sei dank nicht|nix|nichts|weder|koa\w*)\b",
    re.IGNORECASE,
)
_YES = re.compile(
    r"^(?:(?:ach|na|oh|also|äh|ähm)[, ]+)*(?:ja|doch|jo|joa|joh|jawohl|genau|"
    r"stimmt|freilich|klar|schon|leider|richtig|mhm|sicher|natürlich)\b",
    re.IGNORECASE,
)
#: A clause that is nothing but a no to the clause before it: "das Nitrospray, nee, nie".
_BARE_NO = re.compile(
    r"(?=.*\b(?:nein|nee|nö|nie|niemals|nicht|keine?[nrs]?|nix|nichts)\b)"
    r"(?:(?:nein|nee|nö|nie|niemals|nicht|gar|überhaupt|aber|auch|eigentlich|bisher|"
    r"keine?[nrs]?|nix|nichts|(?<=nicht )mehr|noch|hab|habe|ich|hatte)[\s.!]*)+",
    re.IGNORECASE,
)
_TAKES_BACK = re.compile(
    r"^(?:aber )?(?:das|dies|den|die|so was|sowas|davon) "
    r"(?:haben|hast|hat|ist|sind|war|liegt|sehe|spricht|kann|habe|hab|hatte) "
    r".{0,40}\b(?:nicht|nix|nichts|kein\w*)\b",
    re.IGNORECASE,
)
_FORWARD = re.compile(r"\b(?:kein\w*|ohne|weder|koa\w*|koi\w*)\b", re.IGNORECASE)
#: What was ruled out; "nicht auszuschließen" is a suspicion.
_EXCLUDED = re.compile(r"(?<!nicht )\b(?:ausschließen|auszuschließen|ausgeschlossen|ausschluss)\b", re.IGNORECASE)
_CONTRAST = re.compile(r"\b(?:aber|nur|dafür|sondern|jedoch|allerdings)\b", re.IGNORECASE)
_WIFE = re.compile(r"\b(?:meine|seine|ihre)[rn]? frau\b", re.IGNORECASE)
_OWN = re.compile(r"\b(?:ich|mir|mich|selbst|selber)\b", re.IGNORECASE)
#: A relative who speaks of others than the patient.
_OF_OTHERS = re.compile(
    r"\b(?:sein|ihr)(?:e|en|em|er)? (?:\w+ )?"
    r"(?:bruder|schwester|vater|papa|mutter|mama|oma|opa|großvater|großmutter|onkel|tante)\b|"
    r"\b(?:ich|i) (?:selbst|selber)\b|\bbei mir (?:selbst|selber)\b",
    re.IGNORECASE,
)
_LIST = 5  # words of a member of a list at most
_PARTICLES = frozenset(
    ["ab", "an", "auf", "aus", "durch", "ein", "fest", "hin", "hoch", "krank", "los", "mit", "nach", "raus", "runter",
     "um", "vor", "weg", "weh", "weiter", "wieder", "zu", "zurück"]
)  # fmt: skip


@functools.lru_cache(maxsize=8192)
def _is_uncertain(clause: str) -> bool:
    return polarity.is_uncertain(clause)


@functools.lru_cache(maxsize=8192)
def _is_historical(clause: str) -> bool:
    return polarity.is_historical(clause)


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause. `denied` is where its negation holds, (start, end) in `text`; None when it negates nothing."""

    text: str
    sentence: str
    words: tuple[tuple[int, str], ...]
    denied: tuple[int, int] | None
    standing: Standing
    is_family: bool

    @property
    def is_uncertain(self) -> bool:
        """Whether the clause is hedged."""
        return _is_uncertain(self.text)

    @property
    def is_historical(self) -> bool:
        """Whether the clause speaks of the past."""
        return _is_historical(self.text)

    def at(self, position: int) -> Standing:
        """How what stands at `position` stands."""
        if self.standing != "affirmed":
            return self.standing
        return "negated" if self.denied and self.denied[0] <= position < self.denied[1] else "affirmed"


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
    clauses = tuple(
        _answered([clause for part, speaker in parts for clause in clauses_of(part, speaker, has_relative)])
    )
    for clause in clauses:
        forms.update(_separable(clause))
    prefixes: dict[str, tuple[str, ...]] = {}
    for form in sorted(forms):
        if len(form) >= _PREFIX:
            prefixes[form[:_PREFIX]] = (*prefixes.get(form[:_PREFIX], ()), form)
    meant = concepts.in_phrases(text).union(*(concepts.of(form) for form in forms))
    return Said(text, words, frozenset(forms), meant, prefixes, clauses)


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
    negations = _negations(pieces)
    is_question = sentence.rstrip(' "»“”').endswith("?")
    for piece, denied, is_family in zip(pieces, negations, family, strict=True):
        yield Clause(
            text=piece,
            sentence=sentence,
            words=tuple((match.start(), match[0].lower()) for match in WORD.finditer(piece)),
            denied=denied,
            standing="asked" if is_question else "affirmed",
            is_family=is_family,
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


def _negations(pieces: list[str]) -> list[tuple[int, int] | None]:
    """Where each clause negates. "keine Übelkeit, Erbrechen oder Durchfall" negates to the end of its list."""
    found = [negation(piece) for piece in pieces]
    for index, piece in enumerate(pieces):
        following = pieces[index + 1] if index + 1 < len(pieces) else ""
        takes_back = following and (_BARE_NO.fullmatch(following.strip(" .!,")) or _TAKES_BACK.match(following))
        rest = f" {' '.join(pieces[index:])} "
        is_member = (
            index > 0
            and found[index - 1] is not None
            and _FORWARD.search(pieces[0]) is not None
            and len(piece.split()) <= _LIST
            and (" oder " in rest or " noch " in rest)
            and _CONTRAST.search(piece) is None
        )
        if found[index] is None and (takes_back or is_member):
            found[index] = (0, len(piece))
    return found


@functools.lru_cache(maxsize=8192)
def negation(clause: str) -> tuple[int, int] | None:
    """Where a clause negates, as (start, end): "kein" and "ohne" what follows them, "nicht" and "nie" all of it; a
    "nicht" that says how a drug is taken, that alone: "Ibuprofen nicht nüchtern".
    """
    if _EXCLUDED.search(clause):
        return 0, len(clause)
    if not polarity.is_negated(clause):
        return None
    manner = orders.manner(clause)
    if manner is not None and catalogue.find(clause) and not polarity.is_negated(orders.without_manner(clause)):
        return manner
    match = _FORWARD.search(clause)
    if match is None or polarity.is_negated(clause[: match.start()]):
        return 0, len(clause)
    follows = any(len(word) >= 4 for word in WORD.findall(clause[match.end() :]))
    return (match.start() if follows else 0), len(clause)


def denies(text: str) -> bool:
    """Whether something in a text is denied or ruled out."""
    return polarity.is_negated(text) or _EXCLUDED.search(text) is not None


def _answered(clauses: list[Clause]) -> Iterator[Clause]:
    """The clauses, each question with the standing that its answer gives it."""
    for index, clause in enumerate(clauses):
        if clause.standing != "asked":
            yield clause
            continue
        answer = next((later for later in clauses[index + 1 :] if later.standing != "asked"), None)
        yield replace(clause, standing=_standing(clause, answer))


def _standing(question: Clause, answer: Clause | None) -> Standing:
    if answer is None:
        return "asked"
    if _NO.match(answer.sentence):
        return "negated"
    if _YES.match(answer.sentence):
        return "affirmed"
    return "open"


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
        if other == lowered or _is_same(forms, lowered, meant, other)
    ]
    quoted = [(clause, standing) for clause, standing in found if clause.sentence in said.quoted]
    return quoted or found


def _is_same(forms: frozenset[str], lowered: str, meant: frozenset[str], other: str) -> bool:
    others = lemmas.of(other)
    if forms & others or is_akin(lowered, other):
        return True
    return bool(meant) and any(concepts.of(form) & meant for form in others)


def unanswered(standings: Iterable[Standing]) -> bool:
    """Whether all there is are questions that nobody answered."""
    found = list(standings)
    return bool(found) and all(standing == "asked" for standing in found)


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    for cache in (_of, clauses_of, negation, _is_uncertain, _is_historical):
        cache.cache_clear()
