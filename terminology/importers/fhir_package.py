"""The FHIR package bfarm.terminologien.icd10gm: package.json and a CodeSystem with a concept for each class.

Source: FHIR R4, CodeSystem (concept, property, designation); the properties are named as in ClaML. Concepts stand in
one list with a property `parent`, or within each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from terminology import reporting
from terminology.icd10gm import edition
from terminology.importers import content, files, meta

SYSTEMS = ("http://fhir.de/CodeSystem/bfarm/icd-10-gm", "http://fhir.de/CodeSystem/dimdi/icd-10-gm")

_VALUES = ("valueCode", "valueString", "valueBoolean", "valueInteger")
#: The files of a package that are read, by how their names begin, and the bytes of each at most.
_MOST_BYTES = {"package.json": files.MEGABYTE, "CodeSystem": 64 * files.MEGABYTE}
_MOST_CONCEPTS = 200_000
_HIGHEST = 10  # concepts above each other
_ALWAYS = frozenset(("code", "title", "level", "parent", "is_terminal"))

Json = Mapping[str, object]


@dataclass(slots=True)
class _Concept:
    code: str
    title: str
    above: str
    properties: dict[str, str] = field(default_factory=dict)
    notes: list[tuple[edition.NoteKind, str]] = field(default_factory=list)


class Package:
    """What has been found of a package so far."""

    def __init__(self) -> None:
        self._version = ""
        self._system: Json | None = None
        self._name = ""

    @property
    def is_one(self) -> bool:
        """Whether there was a CodeSystem of ICD-10-GM."""
        return self._system is not None

    @property
    def years(self) -> tuple[int, ...]:
        """The years that the versions of the CodeSystem and of the package name."""
        versions = (_text(self._system or {}, "version")[:4], self._version[:4])
        return tuple(int(year) for year in versions if re.fullmatch("[0-9]{4}", year))

    def add(self, member: files.Member) -> None:
        """Take package.json or a CodeSystem; NotImportable where it is no JSON, too large, or a second ICD-10-GM.

        A file of another name is left out unread.
        """
        most = next((size for start, size in _MOST_BYTES.items() if member.name.startswith(start)), None)
        if most is None:
            return
        if len(member.data) > most:
            raise content.NotImportable(
                f"{member.name} is larger than {most // files.MEGABYTE} MB: no published catalogue is."
            )
        try:
            found = msgspec.json.decode(member.data.removeprefix(b"\xef\xbb\xbf"))  # refuses half a character too
        except (ValueError, RecursionError):
            raise content.NotImportable(f"{member.name} is no whole JSON file: fetch the package again.") from None
        if not isinstance(found, dict):
            return
        if member.name == "package.json":
            self._version = _text(found, "version")
        elif found.get("resourceType") == "CodeSystem" and _text(found, "url") in SYSTEMS:
            if self._system is not None:
                raise content.NotImportable("The package holds ICD-10-GM more than once: import one year at a time.")
            self._system, self._name = found, member.name

    def content(self, year: int, progress: reporting.Progress = reporting.quiet) -> content.Content:
        """The codes and notes of the CodeSystem; NotImportable where a concept is none."""
        system = self._system or {}
        if system.get("content") not in ("complete", None):
            raise content.NotImportable(f"{self._name} is not the complete CodeSystem: fetch the package again.")
        concepts: dict[str, _Concept] = {}
        for concept in _concepts(system, self._name):
            if concept.code in concepts:
                raise content.NotImportable(f"{self._name} has {concept.code} twice: fetch the package again.")
            concepts[concept.code] = concept
            if len(concepts) % 1000 == 0:
                progress("reading concepts", len(concepts), 0)
        return _content(concepts, year, self._name, self._version or _text(system, "version"))


def _content(concepts: Mapping[str, _Concept], year: int, name: str, version: str) -> content.Content:
    categories = {code: concept for code, concept in concepts.items() if content.CODE.fullmatch(code)}
    parents = {edition.parent(code) for code in categories}
    codes = {
        code: _code(concept, code not in parents, _place(concepts, concept)) for code, concept in categories.items()
    }
    known = meta.known(concept.properties for code, concept in categories.items() if code not in parents)
    if any("usage" in concept.properties for concept in categories.values()):
        known |= {"is_dagger"}
    if all(code.chapter for code in codes.values()):
        known |= {"chapter", "block"}
    notes = {owner: tuple(_note(kind, text, codes) for kind, text in found.notes) for owner, found in concepts.items()}
    return content.Content(
        form="fhir-package",
        year=year,
        name=name,
        version=version,
        codes=dict(sorted(codes.items())),
        known=_ALWAYS | known,
        headings=tuple(_headings(concepts)),
        notes={owner: found for owner, found in notes.items() if found},
    )


def _code(concept: _Concept, is_terminal: bool, place: tuple[str, str]) -> edition.Code:
    return edition.Code(
        code=concept.code,
        title=concept.title,
        level=len(concept.code.replace(".", "")),
        parent=edition.parent(concept.code),
        is_terminal=is_terminal,
        chapter=place[0],
        block=place[1],
        is_dagger=concept.properties.get("usage") == "dagger",
        **meta.values(concept.properties, concept.code),
    )


def _note(kind: edition.NoteKind, text: str, codes: Mapping[str, edition.Code]) -> edition.Note:
    named = dict.fromkeys(match[0] for match in content.REFERENCE.finditer(text))
    return edition.Note(kind, text, tuple(code for code in named if "-" in code or code in codes))


def _place(concepts: Mapping[str, _Concept], concept: _Concept) -> tuple[str, str]:
    """Chapter and first category of the innermost block above a concept."""
    block, above = "", concept.above
    for _step in range(_HIGHEST):
        found = concepts.get(above)
        if found is None:
            break
        if _is_block(found.code) and not block:
            block = found.code[:3]
        chapter = content.chapter(found.code)
        if chapter:
            return chapter, block
        above = found.above
    return "", block


def _is_block(code: str) -> bool:
    match = content.REFERENCE.fullmatch(code)
    return match is not None and match[2] is not None


def _headings(concepts: Mapping[str, _Concept]) -> Iterator[content.Heading]:
    for concept in concepts.values():
        chapter = content.chapter(concept.code)
        if chapter:
            yield content.Heading("chapter", chapter, concept.title)
        elif _is_block(concept.code):
            yield content.Heading("block", concept.code, concept.title, _place(concepts, concept)[0])


def _concepts(system: Json, name: str) -> Iterator[_Concept]:
    """The concepts of a CodeSystem, wherever they stand."""
    left = [(concept, "") for concept in reversed(_objects(system, "concept"))]
    seen = 0
    while left:
        given, outer = left.pop()
        seen += 1
        code, title = _text(given, "code").strip(), content.plain(_text(given, "display"))
        if not code or not title or seen > _MOST_CONCEPTS:
            raise content.NotImportable(f"{name} has a concept without code or display: fetch the package again.")
        concept = _Concept(code, title, outer)
        for found in _objects(given, "property"):
            _take(concept, _text(found, "code"), _value(found))
        for found in _objects(given, "designation"):
            use = found.get("use")
            kind = meta.NOTES.get(_text(use, "code") if isinstance(use, Mapping) else "")
            if kind is not None and _text(found, "value"):
                concept.notes.append((kind, content.plain(_text(found, "value"))))
        yield concept
        left += [(inner, code) for inner in reversed(_objects(given, "concept"))]


def _take(concept: _Concept, name: str, value: str) -> None:
    if name == "parent":
        concept.above = concept.above or value
    elif name in meta.NOTES and value:
        concept.notes.append((meta.NOTES[name], content.plain(value)))
    elif name:
        concept.properties[name] = value


def _objects(given: Json, name: str) -> list[Json]:
    found = given.get(name)
    return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []


def _text(given: Json, name: str) -> str:
    found = given.get(name)
    return found if isinstance(found, str) else ""


def _value(given: Json) -> str:
    """A property's value as text; a boolean as J or N, as the metadata write it."""
    found = next((given[name] for name in _VALUES if name in given), "")
    return ("J" if found else "N") if isinstance(found, bool) else str(found)
