"""Which of the published forms a file is, told by what is in it, and its content."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from terminology import reporting
from terminology.importers import alpha_id, claml, combining, completeness, content, fhir_package, files, metadata

#: A year in the name of a file of BfArM: icd10gm2025syst_kodes.txt, alphaidse2026.zip.
_YEAR_IN_NAME = re.compile(r"(?:icd-?10-?gm|alphaid(?:se)?)[_-]?(20\d\d)(?!\d)", re.IGNORECASE)
_HEAD = 65_536  # bytes in which an XML file says what it is
_SMALL = 200_000  # bytes; the files of chapters and blocks are smaller

_FORMS = "the metadata (TXT or CSV), ClaML, the FHIR package of ICD-10-GM, or Alpha-ID"


def read(path: Path, year: int | None = None, progress: reporting.Progress = reporting.quiet) -> content.Content:
    """The content of a published file, checked to be whole. `year`: what the file itself may not say.

    Raises NotImportable with one sentence.
    """
    chapters: list[str] = []
    blocks: list[str] = []
    found: list[content.Content] = []
    package = fhir_package.Package()
    for member in files.members(path):
        progress(f"reading {member.name}", 0, 0)
        kind = _kind(member)
        if kind == "chapters":
            chapters = _lines(member)
        elif kind == "blocks":
            blocks = _lines(member)
        elif kind == "json":
            package.add(member)
        elif kind != "":
            if found:
                raise content.NotImportable(
                    f"{content.file_name(path)} holds more than one catalogue: import them one by one."
                )
            found.append(_content(kind, member, path, year, progress))
    if package.is_one and not found:
        found.append(package.content(_checked_year(package.years, (content.file_name(path),), year), progress))
    if not found:
        raise content.NotImportable(f"{content.file_name(path)} is none of what can be imported: {_FORMS}.")
    whole = found[0]
    if chapters or blocks:
        whole = replace(whole, headings=whole.headings or metadata.headings(chapters, blocks))
    completeness.check(whole)
    return whole


def _kind(member: files.Member) -> str:
    """A form, or chapters, blocks, json; empty for what is none of them."""
    head = member.data[:_HEAD]
    if re.search(rb"<(?:\w+:)?ClaML[\s>]", head):
        return "claml"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return "json"
    first = head.split(b"\n", 1)[0].decode("latin-1").removeprefix("ï»¿").rstrip("\r")
    if metadata.is_metadata(first):
        return "metadata"
    if alpha_id.is_alpha_id(first):
        return "alpha-id"
    if len(member.data) < _SMALL and re.match(r"\d\d;|[A-Z]\d\d;[A-Z]\d\d;", first):
        lines = _lines(member)
        return "chapters" if metadata.is_chapters(lines) else "blocks" if metadata.is_blocks(lines) else ""
    return ""


def _content(
    kind: str, member: files.Member, path: Path, year: int | None, progress: reporting.Progress
) -> content.Content:
    names = (member.name, content.file_name(path))
    if kind == "claml":
        document = claml.parse(member.data, member.name, progress)
        return combining.read(
            document, _checked_year(() if document.year is None else (document.year,), names, year), member.name
        )
    text = _text(member)
    if kind == "metadata":
        codes = metadata.codes(text, member.name, progress)
        found = _checked_year((), names, year)
        return content.Content("metadata", found, member.name, str(found), codes, content.METADATA_FIELDS)
    phrases = alpha_id.phrases(text, member.name, progress)
    found = _checked_year((), names, year)
    return content.Content("alpha-id", found, member.name, str(found), phrases=phrases)


def _checked_year(said: tuple[int, ...], names: tuple[str, ...], wanted: int | None) -> int:
    """The year of a file: what it says itself, what its names say, and what was asked for. They must agree."""
    named = [int(match[1]) for name in names for match in _YEAR_IN_NAME.finditer(name)]
    years = {*said, *named, *([wanted] if wanted is not None else [])}
    if not years:
        raise content.NotImportable(f"{names[-1]} does not say its year: name it with --year.")
    if len(years) > 1:
        listed = " and ".join(map(str, sorted(years)))
        raise content.NotImportable(f"The file is for {listed} at once: take the file, or the --year, that is meant.")
    (year,) = years
    if year not in content.YEARS:
        raise content.NotImportable(f"There is no ICD-10-GM {year}: name the year of the file with --year.")
    return year


def _text(member: files.Member) -> str:
    """The text in UTF-8, else in ISO 8859-1, which BfArM used before."""
    try:
        return member.data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return member.data.decode("iso-8859-1")


def _lines(member: files.Member) -> list[str]:
    return [line for line in content.lines(_text(member)) if line]
