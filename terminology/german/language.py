"""Whether a text is German, by its commonest words."""

from __future__ import annotations

import re

#: The most frequent function words of spoken German and of the languages it could be taken for.
_GERMAN = frozenset(
    ["der", "die", "das", "und", "ist", "ich", "nicht", "sie", "ein", "eine", "mit", "auf", "für", "den", "dem", "im", "zu", "es", "so", "was", "wie", "war", "hat", "haben", "habe", "hab", "wir", "aber", "auch", "da", "dann", "noch", "schon", "ja", "nein", "mal", "von", "bei", "sich", "mir", "mich", "ihnen", "ihr", "wenn", "oder", "weil", "dass", "kein", "keine", "seit", "nur", "jetzt", "bitte", "bin", "sind", "aus", "am", "an", "nach", "des", "er", "man", "werden", "wird", "kann", "oder", "vor", "über", "um", "i", "net", "ned", "mia", "des", "is", "a", "no", "scho", "oiso"]
)  # fmt: skip
_OTHER = frozenset(
    ["the", "and", "is", "of", "to", "you", "it", "that", "was", "for", "on", "are", "with", "his", "they", "be", "at", "have", "this", "from", "or", "had", "by", "not", "but", "what", "all", "were", "when", "your", "can", "said", "there", "use", "an", "each", "she", "which", "do", "how", "their", "if", "will", "up", "about", "out", "many", "then", "them", "these", "so", "some", "her", "would", "make", "like", "him", "into", "time", "has", "look", "two", "more", "go", "no", "way", "could", "my", "than", "been", "call", "who", "its", "now", "did", "get", "come", "may", "my", "i'm", "don't", "le", "la", "les", "et", "est", "une", "des", "que", "qui", "pas", "vous", "je", "dans", "pour", "sur", "avec", "nous", "mais", "très", "el", "los", "las", "y", "que", "de", "una", "por", "con", "no", "para", "il", "di", "che", "e", "un", "non", "sono", "ho", "ve", "bir", "bu", "ne", "için", "çok", "mi", "ben", "sen", "nie", "jest", "to", "się", "na", "że", "w", "z", "do", "tak"]
)  # fmt: skip
_AMBIGUOUS = _GERMAN & _OTHER
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")

_FEW = 4  # words under which a text is too short to be called foreign


def is_german(text: str) -> bool:
    """Whether German function words outweigh other languages'. A few words without any are given the benefit of doubt."""
    words = [word.lower() for word in _WORD.findall(text)]
    german = sum(1 for word in words if word in _GERMAN and word not in _AMBIGUOUS)
    other = sum(1 for word in words if word in _OTHER and word not in _AMBIGUOUS)
    umlauts = sum(1 for word in words if any(char in word for char in "äöüß"))
    if len(words) < _FEW:
        return other == 0 or german + umlauts >= other
    if german + other == 0:
        return umlauts > 0 and umlauts * 10 >= len(words)
    return german + umlauts > other
