"""Corrections over the border of a turn: "Morphin zehn." – "Zehn?" – "Ach nein, fünf."

A turn corrects the last one of the same speaker when it opens like a correction, when nothing but short remarks of
others stand between, and when `terminology.german.repair` finds what is taken back. "Nein" alone may answer the other
speaker: it corrects only where nothing stands between, or nothing but an echo of what was said.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline import segments
from terminology.german import concepts, numbers, repair, sentences

_BETWEEN = 2  # turns of others at most
_REMARK = 5  # words of such a turn at most
_WORD = re.compile(r"\w+")

Turn = tuple[segments.Speaker, str]


@dataclass(frozen=True, slots=True)
class Corrected:
    """Turns that say one thing together, by their numbers, the first being the one that was corrected.

    `together` is what they say when all of them are cited, `apart` what stands in each by itself; an echo says nothing.
    """

    numbers: tuple[int, ...]
    together: str
    apart: tuple[str, ...]
    echoes: frozenset[int]


@functools.lru_cache(maxsize=64)
def across(turns: tuple[Turn, ...]) -> dict[int, Corrected]:
    """What is corrected over the border of a turn, by the number of each turn that takes part; turns count from 1."""
    found: dict[int, Corrected] = {}
    for number in range(2, len(turns) + 1):
        how = repair.opens(turns[number - 1][1])
        first = _corrected_by(turns, number, how) if how else 0
        group = _joined(turns, found, first, number) if first else None
        if group is not None:
            found.update(dict.fromkeys((*group.numbers, *group.echoes), group))
    return found


def _corrected_by(turns: tuple[Turn, ...], number: int, how: str) -> int:
    """The number of the turn that this one may correct; 0 when there is none."""
    speaker = turns[number - 1][0]
    for earlier in range(number - 1, max(0, number - 2 - _BETWEEN), -1):
        if turns[earlier - 1][0] == speaker:
            said = turns[earlier - 1][1]
            between = (turn[1] for turn in turns[earlier : number - 1])
            is_near = all(_is_echo(text, said) or (how == "marker" and _is_remark(text)) for text in between)
            return earlier if is_near else 0
    return 0


def _is_remark(text: str) -> bool:
    return len(text.split()) <= _REMARK and "?" not in text


def _is_echo(text: str, said: str) -> bool:
    """Whether a turn says again what was said and nothing else: "Zehn Milligramm?"."""
    known = {_figure(word) for word in _WORD.findall(said)} | concepts.form_words()
    return len(text.split()) <= _REMARK and all(_figure(word) in known for word in _WORD.findall(text))


def _figure(word: str) -> str:
    """A word in lower case, a spoken number in figures."""
    number = numbers.value(word)
    return word.lower() if number is None else str(number)


def _joined(turns: tuple[Turn, ...], found: dict[int, Corrected], first: int, number: int) -> Corrected | None:
    """The turns together, if this one takes back what was said in the first."""
    before = found.get(first)
    said = before.together if before else repair.repair(turns[first - 1][1])
    opening, rest = _opening(turns[number - 1][1])
    together = repair.repaired(f"{said} {opening}")
    if not any(start < len(said) for start, _end in together.gone):
        return None
    behind = len(said) + 1
    own = _without(opening, [(start - behind, end - behind) for start, end in together.gone])
    members = before.numbers if before else (first,)
    echoes = frozenset(n for n in range(first + 1, number) if _is_echo(turns[n - 1][1], turns[first - 1][1]))
    return Corrected(
        numbers=(*members, number),
        together=f"{together.text} {rest}".strip(),
        apart=(_without(said, together.gone), *("" for _member in members[1:]), f"{own} {rest}".strip()),
        echoes=echoes | (before.echoes if before else frozenset()),
    )


def _opening(text: str) -> tuple[str, str]:
    """The sentence that corrects, with the next one where it holds nothing but the marker, and what follows."""
    spans = sentences.split(text)
    count = 2 if len(spans) > 1 and len(spans[0].text.split()) <= 2 else 1
    end = spans[count - 1].end
    return " ".join(text[:end].split()), " ".join(text[end:].split())


def _without(text: str, gone: Iterable[tuple[int, int]]) -> str:
    """A text without these stretches, as far as they lie in it."""
    kept: list[str] = []
    at = 0
    for start, end in gone:
        if end > 0 and start < len(text):
            kept.append(text[at : max(at, start)])
            at = max(at, end)
    return " ".join("".join([*kept, text[at:]]).split())


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    across.cache_clear()
