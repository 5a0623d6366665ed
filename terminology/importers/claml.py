"""ClaML 2.0.0 as BfArM publishes the Systematisches Verzeichnis: from XML to classes, modifiers and their rubrics.

Source: EN 14463 (ClaML), its DTD; BfArM, LIESMICH zur ICD-10-GM Systematik ClaML/XML. The DTD that a file names is not
fetched, and a file that declares entities is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from terminology import reporting
from terminology.icd10gm import edition
from terminology.importers import content, meta

_CHUNK = 1 << 16  # bytes that are parsed between two reports of progress
_DEEPEST = 100  # elements within each other; a file of BfArM has about ten
_MARKS: Mapping[str, str] = {"dagger": "†", "aster": "*", "optional": "!"}
_BEFORE_MARK = re.compile(r" ([.,;:)\]])")  # the blank that a reference leaves

_TITLES = ("preferredLong", "preferred")  # the first that there is


@dataclass(slots=True)
class Rubric:
    """A text of a class: its kind, the words without and with the codes that it refers to."""

    kind: str
    title: str = ""
    text: str = ""
    references: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Modified:
    """That a class is combined with a modifier; `valid`: the digits that are, None for all."""

    modifier: str
    is_all: bool = True
    valid: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Entry:
    """A Class, or a ModifierClass, whose `code` is a digit, with a point where it is the fourth character."""

    code: str
    kind: str = ""
    usage: str = ""
    modifier: str = ""
    above: str = ""
    meta: dict[str, str] = field(default_factory=dict)
    excluded: list[str] = field(default_factory=list)  # "MODIFIER DIGIT": not after this one
    modified: list[Modified] = field(default_factory=list)
    rubrics: list[Rubric] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The full title, else the short one."""
        found = {rubric.kind: rubric.title for rubric in reversed(self.rubrics)}
        return next((found[kind] for kind in _TITLES if found.get(kind)), "")

    @property
    def notes(self) -> tuple[edition.Note, ...]:
        """Inclusions, exclusions, hints and definitions in their order."""
        return tuple(
            edition.Note(meta.NOTES[rubric.kind], rubric.text, tuple(dict.fromkeys(rubric.references)))
            for rubric in self.rubrics
            if rubric.kind in meta.NOTES and rubric.text
        )


@dataclass(slots=True)
class Document:
    """A whole file."""

    version: str = ""
    date: str = ""
    classes: dict[str, Entry] = field(default_factory=dict)
    modifiers: dict[str, list[Entry]] = field(default_factory=dict)

    @property
    def year(self) -> int | None:
        """The year of its version; None where that is none."""
        return int(self.version[:4]) if self.version[:4].isascii() and self.version[:4].isdigit() else None


def parse(data: bytes, name: str, progress: reporting.Progress = reporting.quiet) -> Document:
    """The classes and modifiers of a file; NotImportable where it is no ClaML, cut off, or declares entities."""
    reader = _Reader(name, len(data), progress)
    parser = expat.ParserCreate()
    reader.attach(parser)
    try:
        for start in range(0, len(data), _CHUNK):
            parser.Parse(data[start : start + _CHUNK], False)
            progress(f"reading {name}", start, len(data))
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise content.NotImportable(
            f"{name} is no whole XML file (line {error.lineno}: {expat.ErrorString(error.code)}): fetch it again."
        ) from None
    except (LookupError, ValueError):
        raise content.NotImportable(f"{name} is in a character set that is not known: fetch it again.") from None
    if not reader.document.classes:
        raise content.NotImportable(f"{name} has no class: fetch the file again.")
    progress(f"reading {name}", len(data), len(data))
    return reader.document


class _Reader:
    """The handlers of the parser. Text is collected only within the first German Label of a Rubric."""

    def __init__(self, name: str, size: int, progress: reporting.Progress) -> None:
        self.name = name
        self.document = Document()
        self._depth = 0
        self._entry: Entry | None = None
        self._rubric: Rubric | None = None
        self._words: list[str] | None = None
        self._reference: list[str] | None = None
        self._target = self._mark = ""
        self._plain: list[str] = []

    def attach(self, parser: expat.XMLParserType) -> None:
        """Be the handler of what the parser finds."""
        parser.buffer_text = True
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.text
        parser.EntityDeclHandler = self.refuse_entity
        parser.SkippedEntityHandler = self.refuse_skipped

    def refuse_entity(self, name: str, *_rest: object) -> None:
        """A declared entity may be a bomb or a file of this machine."""
        raise content.NotImportable(
            f"{self.name} declares the entity {content.shown(name)}, which no ClaML of BfArM does: fetch it from BfArM."
        )

    def refuse_skipped(self, name: str, is_parameter: bool) -> None:
        """An entity that only the DTD could explain would leave a hole in a text."""
        if not is_parameter:
            self.refuse_entity(name)

    def start(self, tag: str, given: dict[str, str]) -> None:
        """An element opens."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise content.NotImportable(f"{self.name} is nested too deep to be a ClaML of BfArM: fetch it from BfArM.")
        if self._depth == 1 and tag != "ClaML":
            raise content.NotImportable(f"{self.name} is no ClaML file: it opens with {content.shown(tag)}.")
        if self._words is not None:
            self._inside_label(tag, given)
        elif tag == "Title":
            self.document.version, self.document.date = given.get("version", ""), given.get("date", "")
        elif tag in ("Class", "ModifierClass"):
            self._entry = Entry(
                given.get("code", ""), given.get("kind", ""), given.get("usage", ""), given.get("modifier", "")
            )
        elif self._entry is not None:
            self._inside_entry(self._entry, tag, given)

    def _inside_entry(self, entry: Entry, tag: str, given: dict[str, str]) -> None:
        code = given.get("code", "")
        if tag == "Meta" and given.get("name") == "excludeOnPrecedingModifier":
            entry.excluded.append(given.get("value", ""))
        elif tag == "Meta":
            entry.meta[given.get("name", "")] = given.get("value", "")
        elif tag == "SuperClass" and not entry.above:
            entry.above = code
        elif tag == "ModifiedBy":
            entry.modified.append(Modified(code, given.get("all", "true") == "true"))
        elif tag == "ValidModifierClass" and entry.modified:
            entry.modified[-1].valid.append(code)
        elif tag == "Rubric":
            self._rubric = Rubric(given.get("kind", ""))
        elif (
            tag == "Label"
            and self._rubric is not None
            and not self._rubric.text
            and given.get("xml:lang", "de").startswith("de")
        ):
            self._words, self._plain = [], []

    def _inside_label(self, tag: str, given: dict[str, str]) -> None:
        if tag == "Reference":
            self._reference = []
            self._target, self._mark = given.get("code", ""), _MARKS.get(given.get("usage", ""), "")
        else:
            self._say(" ")

    def text(self, data: str) -> None:
        """Characters."""
        if self._reference is not None:
            self._reference.append(data)
        elif self._words is not None:
            self._say(data)

    def _say(self, data: str) -> None:
        if self._words is not None:
            self._words.append(data)
            self._plain.append(data)

    def end(self, tag: str) -> None:
        """An element closes."""
        self._depth -= 1
        if tag == "Reference" and self._reference is not None:
            self._end_reference("".join(self._reference).strip())
        elif tag == "Label" and self._words is not None and self._rubric is not None:
            self._rubric.text = _BEFORE_MARK.sub(r"\1", content.plain("".join(self._words)))
            self._rubric.title = content.plain("".join(self._plain))
            self._words = None
        elif tag == "Rubric" and self._rubric is not None and self._entry is not None:
            self._entry.rubrics.append(self._rubric)
            self._rubric = None
        elif self._words is not None:
            self._say(" ")
        elif tag in ("Class", "ModifierClass") and self._entry is not None:
            self._keep(self._entry)
            self._entry = None

    def _end_reference(self, text: str) -> None:
        if self._words is not None:
            self._words.append(f" {text.rstrip('†+*!')}{self._mark or text[len(text.rstrip('†+*!')) :]} ")
        found = content.REFERENCE.match(self._target or text)
        if found is not None and self._rubric is not None:
            self._rubric.references.append(found[0])
        self._reference = None

    def _keep(self, entry: Entry) -> None:
        if not entry.code:
            raise content.NotImportable(f"{self.name} has a class without a code: fetch the file again.")
        if entry.modifier:
            self.document.modifiers.setdefault(entry.modifier, []).append(entry)
        elif entry.code in self.document.classes:
            raise content.NotImportable(f"{self.name} has the class {content.shown(entry.code)} twice: fetch it again.")
        else:
            self.document.classes[entry.code] = entry
