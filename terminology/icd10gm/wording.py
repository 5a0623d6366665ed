"""The German terms that mean a code: what a text names. The table serves every edition; terms are our own."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from terminology import tables
from terminology.german import vocabulary


@dataclass(frozen=True, slots=True)
class Term:
    """A term found in a text, with the code that it means when nothing more is said.

    `needs_backing`: a word of everyday speech, which counts beside the record's diagnosis or a doctor's word for it.
    """

    start: int
    end: int
    text: str
    code: str
    kind: str
    needs_backing: bool = False


@functools.cache
def _lexicon() -> vocabulary.Lexicon:
    rows = [row for row in tables.rows("icd10gm/terms") if row["in_text"] in ("J", "B")]
    known = {row["term"] for row in rows}
    for row in tuple(rows):
        for inflected in _inflections(row["term"]):
            if inflected not in known:
                known.add(inflected)
                rows.append({**row, "term": inflected})
    return vocabulary.Lexicon(rows, "term", whole_words=True)


_ADJECTIVE = re.compile(r"^(\w+(?:isch|ig|lich|iv|är|al|ell|ös|ibel|ent|ant|iert|t))e ")


_STATUS_POST = "zustand nach "
_STRONG = re.compile(r"^(\w+(?:isch|ig|lich|iv|är|al|ell|ös|ibel|ent|ant|iert|ut|t))(?:es|er) ")


def _inflections(term: str) -> list[str]:
    """Forms of a term in speech: "akute bronchitis" -> "akuten bronchitis", "rippenfraktur" -> "rippenfrakturen"."""
    forms = []
    if term.startswith(_STATUS_POST):
        forms += [f"{short} {term.removeprefix(_STATUS_POST)}" for short in ("z. n.", "z.n.", "zn", "st. p.")]
    strong = _STRONG.match(term)
    if strong is not None:
        forms += [f"{strong[1]}{ending} {term[strong.end() :]}" for ending in ("e", "en", "em", "er")]
    match = _ADJECTIVE.match(term)
    for stem in (match[1],) if match else ():
        rest = term[match.end() :] if match else ""
        forms += [f"{stem}{ending} {rest}" for ending in ("en", "er", "es", "em")]
    if re.search(r"[a-zäöüß]{5}$", term) and " " not in term:
        if term.endswith("e"):
            forms.append(f"{term}n")
        elif term.endswith(("ung", "ur", "ion", "heit", "keit", "enz")):
            forms.append(f"{term}en")
        elif term.endswith(
            ("schmerz", "bruch", "infekt", "vorfall", "riss", "infarkt", "anfall", "abszess", "prolaps")
        ):
            forms += [f"{term}s", f"{term}es", f"{term}e", f"{term}en"]
    return forms


def find(text: str) -> list[Term]:
    """The diagnoses, symptoms and states that `text` names, in its order."""
    return [
        Term(hit.start, hit.end, hit.text, hit.row["code"], hit.row["kind"], hit.row["in_text"] == "B")
        for hit in _lexicon().find(text)
    ]
