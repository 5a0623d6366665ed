"""From the classes of ClaML to a year's codes: the hierarchy, and the codes that modifiers make (E11.90).

Source: BfArM, LIESMICH zur ICD-10-GM Systematik ClaML/XML, "Hinweise für die Datenübernahme": a combined code takes
over what its class and its digits say; where that is "not allowed" for the class alone, its mark says what it is for.
The post-combined rows (field 3: S) of the metadata of 2025 are all of this kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from terminology.icd10gm import edition
from terminology.importers import claml, content, meta

_LEVELS: Mapping[int, int] = {3: 3, 5: 4, 6: 5}  # level of a code by its characters, with the point
_HIGHEST = 10  # classes above each other
#: What every ClaML says of a code, beside its Meta fields.
_ALWAYS = frozenset(("code", "title", "level", "parent", "is_terminal", "chapter", "block", "is_dagger"))


@dataclass(frozen=True, slots=True)
class _Draft:
    """A code on its way: of the class itself, or combined of it and its digits."""

    code: str
    title: str
    usage: str
    meta: Mapping[str, str]
    notes: tuple[edition.Note, ...]
    above: str
    is_combined: bool = False
    digits: tuple[str, ...] = ()  # "MODIFIER DIGIT" of each


def read(document: claml.Document, year: int, name: str) -> content.Content:
    """The codes, headings and notes of a file; NotImportable where something hangs in the air."""
    drafts: dict[str, _Draft] = {}
    for entry in document.classes.values():
        if entry.kind == "category":
            _check_category(entry, document, name)
            drafts[entry.code] = _Draft(entry.code, entry.title, entry.usage, entry.meta, entry.notes, entry.above)
    for entry in document.classes.values():
        if entry.kind == "category" and entry.modified:
            for draft in _combined(entry, drafts[entry.code], document, name):
                drafts.setdefault(draft.code, draft)
    parents = {edition.parent(code) for code in drafts}
    places = {code: _place(document, code) for code in document.classes if len(code) == _LEVELS[3]}
    codes = {
        code: _code(draft, code not in parents, places.get(code[:3], ("", "")))
        for code, draft in sorted(drafts.items())
    }
    known = meta.known(draft.meta for code, draft in drafts.items() if code not in parents)
    return content.Content(
        form="claml",
        year=year,
        name=name,
        version=f"{document.version} {document.date}".strip(),
        codes=codes,
        known=known | _ALWAYS,
        headings=tuple(_headings(document)),
        notes=_notes(document, drafts, codes),
    )


def _check_category(entry: claml.Entry, document: claml.Document, name: str) -> None:
    if not content.CODE.fullmatch(entry.code):
        fault = f"the category {content.shown(entry.code)}, which is no code"
    elif not entry.title:
        fault = f"no title for {entry.code}"
    elif entry.above not in document.classes:
        fault = f"{entry.code} without {content.shown(entry.above)}, the class above it"
    else:
        return
    raise content.NotImportable(f"{name} has {fault}: fetch the file again.")


def _combined(entry: claml.Entry, base: _Draft, document: claml.Document, name: str) -> Iterator[_Draft]:
    """The codes that the modifiers of a class make: fourth characters first, then fifth ones behind them."""
    fourth: list[tuple[claml.Modified, claml.Entry]] = []
    fifth: list[tuple[claml.Modified, claml.Entry]] = []
    for modified in entry.modified:
        if modified.modifier not in document.modifiers:
            shown = content.shown(modified.modifier)
            raise content.NotImportable(f"{name} has no digits of the modifier {shown}: fetch the file again.")
        for digit in document.modifiers[modified.modifier]:
            if (modified.is_all and not modified.valid) or digit.code in modified.valid:
                (fourth if digit.code.startswith(".") else fifth).append((modified, digit))
    grown = [_grown(base, digit, name) for _modified, digit in fourth]
    yield from grown
    for above in grown or [base]:
        for _modified, digit in fifth:
            if not set(digit.excluded) & set(above.digits):
                yield _grown(above, digit, name)


def _grown(above: _Draft, digit: claml.Entry, name: str) -> _Draft:
    code = above.code + digit.code
    if not content.CODE.fullmatch(code) or edition.parent(code) != above.code:
        shown = f"{content.shown(digit.code)} of {content.shown(digit.modifier)}"
        raise content.NotImportable(f"{name} puts {shown} behind {above.code}, which makes no code: fetch it again.")
    return _Draft(
        code,
        f"{above.title}: {digit.title}" if digit.title else above.title,
        digit.usage or above.usage,
        {**above.meta, **digit.meta},
        digit.notes,
        above.code,
        is_combined=True,
        digits=(*above.digits, f"{digit.modifier} {digit.code}"),
    )


def _code(draft: _Draft, is_terminal: bool, place: tuple[str, str]) -> edition.Code:
    values = meta.values(draft.meta, draft.code)
    if draft.is_combined:
        use = meta.MARKED_USE.get(draft.usage, "P")
        if values.get("practice") == "V":
            values["practice"] = use
        if "hospital" in values:
            values["hospital"] = "V" if not is_terminal else use if values["hospital"] == "V" else values["hospital"]
    chapter, block = place
    return edition.Code(
        code=draft.code,
        title=draft.title,
        level=_LEVELS[len(draft.code)],
        parent=edition.parent(draft.code),
        is_terminal=is_terminal,
        chapter=chapter,
        block=block,
        is_dagger=draft.usage == "dagger",
        **values,
    )


def _place(document: claml.Document, code: str) -> tuple[str, str]:
    """Chapter and first category of the innermost block of a three-character code."""
    block = ""
    above = document.classes[code].above
    for _step in range(_HIGHEST):
        entry = document.classes.get(above)
        if entry is None:
            break
        if entry.kind == "block" and not block:
            block = entry.code[:3]
        if entry.kind == "chapter":
            return content.chapter(entry.code), block
        above = entry.above
    return "", block


def _headings(document: claml.Document) -> Iterator[content.Heading]:
    for entry in document.classes.values():
        if entry.kind == "chapter":
            yield content.Heading("chapter", content.chapter(entry.code), entry.title)
        elif entry.kind == "block":
            yield content.Heading("block", entry.code, entry.title, _chapter_of(document, entry))


def _chapter_of(document: claml.Document, entry: claml.Entry) -> str:
    for _step in range(_HIGHEST):
        if entry.kind == "chapter":
            return content.chapter(entry.code)
        above = document.classes.get(entry.above)
        if above is None:
            break
        entry = above
    return ""


def _notes(
    document: claml.Document, drafts: Mapping[str, _Draft], codes: Mapping[str, edition.Code]
) -> dict[str, tuple[edition.Note, ...]]:
    """The notes by code, by block and by chapter. Of the codes that a text names, those that the year holds."""
    found = {code: draft.notes for code, draft in drafts.items()}
    for entry in document.classes.values():
        if entry.kind in ("chapter", "block"):
            found[content.chapter(entry.code) if entry.kind == "chapter" else entry.code] = entry.notes
    return {
        owner: tuple(
            edition.Note(note.kind, note.text, tuple(code for code in note.codes if "-" in code or code in codes))
            for note in notes
        )
        for owner, notes in found.items()
        if notes
    }
