"""Self-corrections: "hundertfünfzig, nein, hundertsechzig zu neunzig", "rechts. Ach Quatsch, links".

What the speaker took back is gone from the repaired text. Where it is not clear what was taken back, the text stays as
it was said: a doubt is shown, never guessed away. The text is read once from left to right, and at each marker no
more than `REACH` characters before and behind it: the time is linear in the text.

Source of the markers: the table `german/correction_markers`. `plain` ones correct wherever they stand, `answer` ones
may also answer a question, `closed` ones are markers only between two punctuation marks: "tut halt weh" corrects
nothing.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from terminology import tables
from terminology.german import elements, polarity

REACH = 160  # characters of the sentence before a marker, and behind it, that are looked at


@dataclass(frozen=True, slots=True)
class Repaired:
    """A text without what was taken back, and where in the text as it was said that stood, as (start, end)."""

    text: str
    gone: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class _Change:
    """What a correction does: the text before it goes from `cut` on, that behind it up to `resume`.

    `moved` is the number of characters behind `resume` after which `tail` is put, what stood before the marker and
    belongs to what was corrected: "das linke Knie, nein, das rechte" -> "das rechte Knie".
    """

    cut: int
    resume: int
    tail: tuple[int, int] = (0, 0)
    moved: int = 0


@functools.cache
def _words(*kinds: str) -> str:
    found = (row["pattern"] for row in tables.rows("german/correction_markers") if row["kind"] in kinds)
    return "|".join(sorted(found, key=len, reverse=True))


@functools.cache
def _any_marker() -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{_words('plain', 'answer', 'closed')})(?!\w)", re.IGNORECASE)


_PUNCTUATION = r" ?[,.;:!…–—-]{1,3} ?"


@functools.cache
def _marker() -> re.Pattern[str]:
    """Something said, the marker, something said again; `bare` where no punctuation mark stands before the marker."""
    filler, word = _words("filler"), _words("plain", "answer")
    closed = rf"(?:{_words('closed')})(?= ?[,.!:…–—-])"
    first = rf"(?:(?:{filler}),? ){{0,3}}(?:(?:{word})(?!\w)|{closed})"
    more = rf"(?:,? (?:{filler}|{word})(?!\w)){{0,4}}"
    return re.compile(rf"(?:{_PUNCTUATION}|(?P<bare> )){first}{more}(?: ?[,.!:…–—-]{{1,3}})? ", re.IGNORECASE)


@functools.cache
def _opening() -> re.Pattern[str]:
    filler, word = _words("filler"), _words("plain")
    closed = rf"(?:{_words('closed')})(?= ?[,.!:…–—-])"
    answer = _words("answer")
    return re.compile(
        rf"\s*(?:(?P<surely>(?:(?:{filler}),? ){{0,3}}(?:(?:{word})(?!\w)|{closed})|(?:ach|oh|och) (?:{answer})(?!\w))"
        rf"|(?:(?:{filler}),? ){{0,3}}(?:{answer})(?!\w))",
        re.IGNORECASE,
    )


def opens(text: str) -> str:
    """How a turn opens: "marker" where it can only be a correction, "answer" where it may also answer, else ""."""
    match = _opening().match(text)
    if match is None:
        return ""
    return "marker" if match["surely"] else "answer"


def repair(text: str) -> str:
    """`text` without what its speaker took back, its white space single."""
    return repaired(text).text


def repaired(text: str) -> Repaired:
    """`text` without what its speaker took back, with the places of that."""
    words = list(re.finditer(r"\S+", text))
    plain = " ".join(word[0] for word in words)
    if _any_marker().search(plain) is None:
        return Repaired(plain)
    page = _Page(plain)
    at = 0
    while match := _marker().search(plain, at):
        page.take(at, match.start())
        left, right = page.sentence(), plain[match.end() : match.end() + REACH]
        change = _change(left, right, is_bare=match["bare"] is not None)
        if change is None:
            page.take(match.start(), match.end() - 1)
            at = match.end() - 1
        else:
            at = page.apply(change, len(left), match.end())
    page.take(at, len(plain))
    return Repaired("".join(page.kept), _gone(page.places, words))


def _gone(places: list[int], words: list[re.Match[str]]) -> tuple[tuple[int, int], ...]:
    """The stretches of the text as it was said whose words have no place in the repaired one."""
    kept = set(places)
    found: list[tuple[int, int]] = []
    begin, is_open = 0, False
    for word in words:
        end = begin + len(word[0])
        if not any(place in kept for place in range(begin, end) if word[0][place - begin].isalnum()):
            if is_open:
                found[-1] = (found[-1][0], word.end())
            elif any(char.isalnum() for char in word[0]):
                found.append((word.start(), word.end()))
                is_open = True
        else:
            is_open = False
        begin = end + 1
    return tuple(found)


class _Page:
    """The repaired text as it grows: its characters, and the place in the text as it was said that each comes from."""

    def __init__(self, said: str) -> None:
        self.said = said
        self.kept: list[str] = []
        self.places: list[int] = []
        self.begin = 0

    def take(self, start: int, end: int) -> None:
        """Let what was said from `start` to `end` stand."""
        before = "".join(self.kept[-2:])
        for match in _ENDS.finditer(before + self.said[start:end]):
            self.begin = max(self.begin, len(self.kept) - len(before) + match.end())
        self.kept.extend(self.said[start:end])
        self.places.extend(range(start, end))

    def sentence(self) -> str:
        """The last sentence that stands, as much of it as is looked at."""
        return "".join(self.kept[max(self.begin, len(self.kept) - REACH) :])

    def apply(self, change: _Change, length: int, behind: int) -> int:
        """Make a correction of the last `length` characters; the place from which to go on."""
        start = len(self.kept) - length
        kept, places = self.kept[start:], self.places[start:]
        cut = self.begin if change.cut < 0 else start + change.cut
        del self.kept[cut:], self.places[cut:]
        at = behind + change.resume
        if change.moved:
            self.take(at, at + change.moved)
            self.kept.extend(kept[slice(*change.tail)])
            self.places.extend(places[slice(*change.tail)])
        elif change.cut < 0:
            self.kept.append(self.said[at : at + 1].upper()[:1])
            self.places.append(at)
            return at + 1
        return at + change.moved


_ENDS = re.compile(r"[.!?] ")


def _change(left: str, right: str, *, is_bare: bool) -> _Change | None:
    """The correction from what stood before and after the marker; None when nothing fits."""
    if not left.strip():
        return None
    if is_bare:
        return _beside(left, right)
    for attempt in (_not_but, _same_kind, _took_all_back, _same_opening):
        change = attempt(left, right)
        if change is not None:
            return change
    return None


_NOT_BUT = re.compile(r"nicht (?P<old>[^,.;]{2,40}), sondern ", re.IGNORECASE)


def _not_but(left: str, right: str) -> _Change | None:
    """ "beim Aufstehen, nein, nicht beim Aufstehen, sondern beim Bücken"."""
    match = _NOT_BUT.match(right)
    bare = left.rstrip(" ,")
    if match and bare.lower().endswith(match["old"].lower().strip()):
        return _Change(len(bare) - len(match["old"].strip()), match.end())
    return None


_RETRACTION = re.compile(
    r"(?:das|es) (?:war|ist|waren|sind) (?:(?:ja|doch|gar) )?(?:nicht |(?:meine?|der|die|das|mein) )", re.IGNORECASE
)


def _took_all_back(left: str, right: str) -> _Change | None:
    """ "Einmal war er unter achtzig, nein, das war meine Frau"."""
    return _Change(-1, 0) if _RETRACTION.match(right) else None


_OPENINGS = re.compile(
    r"(der|die|das|den|dem|ein|eine|einen|im|in|am|an|auf|vom|von|über|unter|beim|bei|mit|seit|zum|zur|wegen)\b",
    re.IGNORECASE,
)


def _same_opening(left: str, right: str) -> _Change | None:
    """ "der Hubschrauber, nein, der Krankenwagen": the new phrase opens with the old one's word."""
    opening = _OPENINGS.match(right)
    if opening is None:
        return None
    places = list(re.finditer(rf"\b{opening[1]}\b", left, re.IGNORECASE))
    if places and len(left[places[-1].start() :].split()) <= 4:
        return _Change(places[-1].start(), 0)
    return None


def _beside(left: str, right: str) -> _Change | None:
    """ "zwei nein drei Tage": without punctuation marks only what stands right before the marker and right behind."""
    new = next(iter(elements.find(right, named=False)), None)
    old = next(iter(reversed(elements.find(left, named=False))), None)
    if new is None or old is None or new.start or old.end != len(left) or old.kind != new.kind:
        return None
    return _Change(old.start, 0)


#: Words that say nothing of their own before a corrected element; any other ("wir senken es auf") changes the sentence.
_LINK = re.compile(
    r"(?:es|er|sie|das|die|der|den|dem|des|ein|eine|einen|einem|waren?|war|wars|war's|ist|sind|sinds|sind's|doch|eher|nur|so|etwa|ungefähr|circa|"
    r"auf|bei|mit|in|im|am|an|um|von|vom|zu|zum|zur|seit|vor|nach|für|über|unter|ab|bis|dann|schon|genau|ja|halt|nochmal|meine|meinte|mein|ich|wohl|"
    r"hier|da|dort|natürlich|richtig|also|jetzt|heißt|gewesen|auch|gegen|täglich),?",
    re.IGNORECASE,
)
_LEAD_WORDS = 4  # words between the marker and the corrected element
_TAIL_WORDS = 3  # words between what is corrected and the marker
_CLAUSE_END = re.compile(r"[,.;:!?…]|$")
#: A second one beside the first: "links, nein, rechts auch".
_ALSO = re.compile(r"\b(?:auch|dazu|zusätzlich|außerdem)\b", re.IGNORECASE)


def _same_kind(left: str, right: str) -> _Change | None:
    """The first number, side, day, frequency or drug after the marker takes the place of the last one before it."""
    clause = re.split(r"[.;!?] ", right, maxsplit=1)[0]
    new = next((e for e in elements.find(clause) if len(clause[: e.start].split()) <= _LEAD_WORDS), None)
    if new is None:
        return None
    candidates = [e for e in elements.find(left) if e.kind == new.kind] if _ALSO.search(clause) is None else []
    if not candidates or len(left[candidates[-1].end :].split()) > _TAIL_WORDS:
        return None
    old = candidates[-1]
    lead = clause[: new.start].split()
    spoken = {word.strip(",.").lower() for word in left.split()}
    if any(word.strip(",").lower() not in spoken and not _LINK.fullmatch(word) for word in lead):
        return None
    if new.kind == "drug" and not _is_other_drug(left[old.end :], clause, clause[new.end :], left):
        return None
    cut, resume = _place(left, old, lead, new)
    tail = left[old.end :].rstrip(" ,.–-")
    again = _said_again(tail, right[new.end :])
    if not _belongs(tail[again:], old, right[new.end + again :]):
        return _Change(cut, resume)
    return _Change(cut, resume, (old.end + again, old.end + len(tail)), new.end + again - resume)


def _said_again(tail: str, behind: str) -> int:
    """How many characters behind the new word are whole words that stood behind the old one too: its unit."""
    length = 0
    for match in _SPOKEN.finditer(tail):
        if tail[: match.end()].lower() != behind[: match.end()].lower() or behind[match.end() :][:1].isalnum():
            break
        length = match.end()
    return length


_SPOKEN = re.compile(r" \w+")


def _belongs(tail: str, old: elements.Element, behind: str) -> bool:
    """Whether what stood behind a corrected word goes with the new one, which stands alone: a unit, a body part."""
    words = tail.split()
    if not words or tail[:1] != " " or "," in tail or _CLAUSE_END.match(behind) is None:
        return False
    return old.kind in ("number", "side", "frequency", "ordinal") or (old.kind == "drug" and not _has_number(words))


def _has_number(words: list[str]) -> bool:
    return any(elements.is_number(word) for word in words)


def _is_other_drug(tail: str, clause: str, behind: str, left: str) -> bool:
    """Whether a drug takes another's place; "Ramipril, nein, auch Bisoprolol nicht" names two."""
    if polarity.is_negated(left) or polarity.is_negated(clause):
        return False
    words = tail.strip(" ,.–-").split()
    return not words or _has_number(words) or _CLAUSE_END.match(behind) is not None


def _place(left: str, old: elements.Element, lead: list[str], new: elements.Element) -> tuple[int, int]:
    """Where the old text is cut and the new one goes on."""
    before = left[: old.start].rstrip().split()
    is_same = lead and [w.lower() for w in before[-len(lead) :]] == [w.lower() for w in lead]
    is_joined = lead and before and before[-1].lower() == lead[-1].lower()
    is_new = lead and not {word.lower().strip(",") for word in lead} & set(left.lower().split())
    if is_same or is_joined or is_new:
        return old.start, new.start
    if not lead:
        return old.start, 0
    places = list(re.finditer(rf"\b{re.escape(lead[0])}\b", left[: old.start], re.IGNORECASE))
    return (places[-1].start() if places else old.start), 0
