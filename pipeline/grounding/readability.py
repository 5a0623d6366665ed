"""How readable a German text is: the Flesch reading ease in Amstad's form, and the syllables that it rests on."""

from __future__ import annotations

import re

from terminology.german import numbers, sentences

#: Amstad's constants. Source: T. Amstad, Wie verständlich sind unsere Zeitungen?, Dissertation, Zürich 1978.
_BASE, _PER_SYLLABLE = 180.0, 58.5

_TOKEN = re.compile(r"[^\s/–—]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_SYMBOLS = frozenset(numbers.UNIT_SYMBOLS.values())
_SHORTHAND = 5  # letters of an abbreviation in capitals at most: "MRT", "COPD"

#: A group of vowels that is spoken as one.
_SPOKEN = re.compile(r"eau$|aa|ee|oo|ie|ei|ai|au|eu|äu|ey|ay|oy|oi|ou|[aeiouyäöüàáâèéêëíîïóôúû]")
#: Letters that look like vowels and are none: "Qualität", "Yoga".
_MUTE = re.compile(r"(?<=q)u|^y(?=[aeiou])")
#: Where two vowels are spoken apart, each pattern cutting between its two groups: be|enden, Pati|ent, Famili|e, Ile|us,
#: Prote|in, Stero|id. Source: the word divisions of Duden, Die deutsche Rechtschreibung; eigene Zusammenstellung.
_APART = re.compile(
    r"^(?P<l1>(?:un)?(?:be|ge))(?P<r1>e(?:nd|in|il|hr|rd|ig)|inhalt|irr|urteil|unruh|impf)"
    r"|(?P<l2>[lrtpz]i|gradi|gredi)(?P<r2>en[tz])"
    r"|(?P<l3>mili|lini|arteri|bakteri|materi|foli|studi|prämi|akti|seri|lili|komödi|tragödi|hygi)(?P<r3>e(?=n|$))"
    r"|(?P<l4>(?<!^schr)(?<!^sp)(?<=[a-zäöüß]{2})i)(?P<r4>en$)"
    r"|(?P<l5>[lrs]e|ä)(?P<r5>u[ms]$)"
    r"|(?P<l6>o)(?P<r6>id)"
    r"|(?P<l7>e)(?P<r7>en$)"
    r"|(?P<l8>koffe|prote|[ck]ase|[ck]ode|[ck]a|hero)(?P<r8>in(?:e|s|en|urie)?$)"
    r"|(?P<l9>mosa|na|[kr]o)(?P<r9>i[kv])"
    r"|(?P<l10>kari|spezi|rabi|skabi)(?P<r10>es)"
    r"|^(?P<l11>ko|zo)(?P<r11>o[lpr])"
)


def syllables(word: str) -> int:
    """The syllables of one German word; at least 1.

    Figures, unit symbols and abbreviations in capitals count one syllable, however they are read aloud
    (R. Flesch, How to Write Plain English, New York 1979, chapter 2): a dose is not hard to read because its number is
    long. The parts of a hyphenated word are counted by themselves. The count follows the rules of speech, without a
    dictionary; single foreign words may be counted one too few or too many.
    """
    return max(1, sum(_of_part(part) for part in word.split("-")))


def _of_part(part: str) -> int:
    if any(char.isdigit() for char in part) or part in _SYMBOLS:
        return 1
    letters = "".join(_LETTERS.findall(part))
    if letters.isupper() and len(letters) <= _SHORTHAND:
        return 1
    cut = _APART.sub(_divided, _MUTE.sub("", letters.lower()))
    return len(_SPOKEN.findall(cut)) or bool(letters)


def _divided(match: re.Match[str]) -> str:
    number = (match.lastgroup or "")[1:]
    return f"{match[f'l{number}']}|{match[f'r{number}']}"


def words(text: str) -> list[str]:
    """The words of `text`, hyphenated ones whole, without punctuation marks; figures and unit symbols are words."""
    stripped = (token.strip(".,;:!?…()[]\"'»«“”„’") for token in _TOKEN.findall(text))
    return [token for token in stripped if token and (token in _SYMBOLS or any(char.isalnum() for char in token))]


_UNIT_END = re.compile(r"[;:](?=\s+\w)")


def units(text: str) -> int:
    """How many full units of speech `text` has: its sentences, and what a colon or a semicolon marks off in them.

    Source: R. Flesch, How to Write Plain English, New York 1979, chapter 2.
    """
    return sum(1 + len(_UNIT_END.findall(sentence.text)) for sentence in sentences.split(text))


def flesch_amstad(text: str) -> float:
    """The Flesch reading ease of a German text: 180 − words a sentence − 58.5 × syllables a word.

    About 0 to 100, the higher the easier: 60 to 70 is what pupils of 13 to 15 years read, 50 to 60 moderately hard, 30
    to 50 hard, below 30 for academics (the usual reading of Flesch 1948 and Amstad 1978); it may leave that span for
    very short or very long sentences. A text without words has the score 0. What counts as a sentence says `units`.
    """
    counted = words(text)
    if not counted:
        return 0.0
    spoken = sum(syllables(word) for word in counted)
    return _BASE - len(counted) / max(1, units(text)) - _PER_SYLLABLE * spoken / len(counted)
