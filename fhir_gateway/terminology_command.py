"""The work behind `fhir-gateway terminology`: the catalogues that there are, their codes, and importing a file."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from fhir_gateway import errors
from terminology.icd10gm import catalogue, edition, finding, installed, starter, validation
from terminology.importers import content, files, recognising

Setting = Literal["practice", "hospital"]

_MARKS = "*!+†-."  # what may stand behind a code as it is written


def store(data: Path) -> installed.Store:
    """The imported catalogues of a data folder."""
    return installed.Store(data / installed.FILE)


@contextlib.contextmanager
def _one_sentence() -> Iterator[None]:
    """What is wrong with a file as an error of the command."""
    try:
        yield
    except (content.NotImportable, installed.NotUsable) as error:
        raise errors.GatewayError(str(error)) from None


def day_of(text: str | None) -> dt.date:
    """The day of --date; today where it was not given."""
    if text is None:
        return dt.datetime.now().astimezone().date()
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise errors.ConfigurationError("--date takes a day as YYYY-MM-DD, e.g. 2026-03-31.") from None


def _held(data: Path, day: dt.date) -> edition.Edition:
    """The edition that counts on a day, as the coder chooses it."""
    with _one_sentence():
        catalogue.use(data / installed.FILE)
        return catalogue.edition_of(day.year)


# --- list --------------------------------------------------------------------------------------------------------


def listed(data: Path) -> Iterator[str]:
    """The catalogues that there are, one a line, below each the files that it was imported from."""
    with _one_sentence():
        catalogue.use(data / installed.FILE)
        found = {one.year: one for one in store(data).editions()}
        years = catalogue.years()
    for year in years:
        one = found.get(year)
        if one is None:
            yield f"{year}  starter catalogue  {len(starter.load(year).codes):,} terminal codes"
            continue
        texts = f", {one.phrases:,} texts" if one.phrases else ""
        yield f"{year}  imported  {one.codes:,} codes, {one.terminal:,} terminal{texts}"
        for source in one.sources:
            yield (
                f"      {source.form:<12}  {source.name}  version {source.version}  "
                f"imported {source.imported[:10]}  sha256 {source.sha256[:16]}"
            )


# --- show --------------------------------------------------------------------------------------------------------

_USES: Mapping[edition.Use, str] = {
    "P": "zur Primärverschlüsselung zugelassen",
    "O": "nur als Sternschlüsselnummer, neben einer Primärschlüsselnummer",
    "Z": "nur als Ausrufezeichenschlüsselnummer, neben einer Primärschlüsselnummer",
    "V": "nicht zur Verschlüsselung zugelassen",
}
_SEXES: Mapping[edition.Sex, str] = {"M": "männlich", "W": "weiblich", "": ""}
_ERRORS: Mapping[edition.Error, str] = {"M": "Muss-Fehler", "K": "Kann-Fehler", "": "kein Fehler"}
_UNITS = {"days": "Tagen", "years": "Jahren"}
_NOTES: Mapping[edition.NoteKind, str] = {
    "inclusion": "Inkl.",
    "exclusion": "Exkl.",
    "hint": "Hinweis",
    "definition": "Definition",
}


def shown(data: Path, name: str, day: dt.date) -> Iterator[str]:
    """Everything that the edition of a day says of a code, as lines."""
    held = _held(data, day)
    code = held.codes.get(_name(name))
    if code is None:
        raise errors.GatewayError(f"ICD-10-GM {held.year} holds no {content.shown(name)}: look for it with search.")
    yield f"{_written(code)}  {code.title}"
    yield _origin(held)
    yield from _hierarchy(data, held, code)
    yield "endständig" if code.is_terminal else "nicht endständig: kodiert wird mit einem Kode darunter"
    yield f"§ 295 SGB V (Praxis): {_USES[code.practice]}"
    yield f"§ 301 SGB V (Krankenhaus): {_USES[code.hospital]}"
    yield from _limits(code)
    yield from _notes(held, code)
    below = [found for found in held.codes.values() if found.parent == code.code]
    if below:
        yield "Darunter:"
        yield from (f"  {_written(found)}  {found.title}" for found in below)


def _name(text: str) -> str:
    """A code as the catalogue names it: E11.90 for e1190 or E11.90-."""
    bare = text.strip().upper().rstrip(_MARKS)
    match = re.fullmatch(r"([A-Z][0-9]{2})\.?([0-9]{1,2})", bare)
    return f"{match[1]}.{match[2]}" if match else bare


def _written(code: edition.Code) -> str:
    """The code with its mark."""
    return f"{code.code}{'†' if code.is_dagger else code.mark or ''}"


def _origin(held: edition.Edition) -> str:
    if not held.is_complete:
        return f"ICD-10-GM {held.year}, Startkatalog: eine Auswahl"
    return f"ICD-10-GM {held.year} aus {', '.join(source.name for source in held.sources)}"


def _hierarchy(data: Path, held: edition.Edition, code: edition.Code) -> Iterator[str]:
    """Chapter, block and the codes above, as far as they are known."""
    with _one_sentence():
        headings = store(data).headings(held.year)
    for heading in headings:
        if heading.kind == "chapter" and heading.name == code.chapter:
            yield f"Kapitel {heading.name}  {heading.title}"
        if heading.kind == "block" and code.block and heading.name.startswith(code.block):
            yield f"Gruppe {heading.name}  {heading.title}"
    for above in reversed(list(_above(held, code))):
        yield f"über {code.code}: {_written(above)}  {above.title}"


def _above(held: edition.Edition, code: edition.Code) -> Iterator[edition.Code]:
    above = held.codes.get(code.parent or "")
    while above is not None:
        yield above
        above = held.codes.get(above.parent or "")


def _limits(code: edition.Code) -> Iterator[str]:
    if code.sex:
        yield f"Geschlecht: {_SEXES[code.sex]} (sonst {_ERRORS[code.sex_error]})"
    ages = [
        f"{word} {age.count} {_UNITS[age.unit]}" if age.count or word == "ab" else "nur vor der Geburt"
        for word, age in (("ab", code.age_from), ("unter", code.age_to))
        if age is not None
    ]
    if ages:
        yield f"Alter: {', '.join(ages)} (sonst {_ERRORS[code.age_error]})"
    if code.is_rare:
        yield "in Mitteleuropa sehr selten"
    if not code.is_used:
        yield "nicht mit Inhalt belegt"
    if code.is_notifiable:
        yield "IfSG: Arztmeldepflicht"
    if code.has_lab_exemption:
        yield "IfSG: Laborausschlussziffer 32006"


def _notes(held: edition.Edition, code: edition.Code) -> Iterator[str]:
    """The notes of the code and of what stands above it, the nearest first."""
    owners = [code.code, *(above.code for above in _above(held, code))]
    owners += [owner for owner in held.notes if "-" in owner and owner.startswith(code.block or "-")]
    for owner in [*owners, code.chapter]:
        for note in held.notes.get(owner, ()):
            place = "" if owner == code.code else f" ({owner})"
            yield f"{_NOTES[note.kind]}{place}: {note.text}"


# --- search and validate -----------------------------------------------------------------------------------------


def found(data: Path, text: str, day: dt.date, limit: int) -> Iterator[str]:
    """The codes that a text may mean, the best first: score, how it was found, code, title, and what led to it."""
    held = _held(data, day)
    with _one_sentence():
        finder = finding.finder(day.year)
    for hit in finder.search(text, limit):
        code = held.codes[hit.code]
        words = "" if content.plain(hit.matched) in (code.title, code.code) else f"  ({hit.matched})"
        yield f"{hit.score:.2f}  {hit.how:<9}  {_written(code):<8}  {code.title}{words}"


def lived(text: str | None) -> validation.Lived | None:
    """The age of --age: completed years, or days with a d behind; None where it was not given."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,3})|([0-9]{1,5})d", text)
    if match is None:
        raise errors.ConfigurationError("--age takes completed years, e.g. 35, or days of life with a d, e.g. 10d.")
    days = int(match[1]) * _YEAR if match[1] else int(match[2])
    return validation.Lived(int(match[1]) if match[1] else days // _YEAR, days)


_YEAR = 365  # days; BfArM, LIESMICH: j001 is 365 completed days of life


def judged(
    data: Path, name: str, day: dt.date, setting: Setting, sex: edition.Sex, age: validation.Lived | None
) -> tuple[str, bool]:
    """What is to be told of a code, in German, and whether it may stand."""
    held = _held(data, day)
    code = name.strip().rstrip(_MARKS)
    is_practice = setting == "practice"

    def verdict(has_primary: bool) -> validation.Verdict:
        return validation.validate(held, code, is_practice=is_practice, sex=sex, lived=age, has_primary=has_primary)

    place = f"ICD-10-GM {held.year}, {'Praxis' if is_practice else 'Krankenhaus'}"
    beside = verdict(has_primary=True)
    if beside.fault is not None:
        return f"{code} ist nicht zulässig ({place}): {beside.fault}", False
    alone = verdict(has_primary=False).fault
    warnings = [*([alone] if alone is not None else []), *beside.warnings]
    told = f"{_written(held.codes[code])} ist zulässig ({place}): {held.codes[code].title}"
    return "\n".join([told, *(f"Hinweis: {warning}" for warning in warnings)]), True


# --- import ------------------------------------------------------------------------------------------------------


def take(data: Path, file: Path, year: int | None, console: Console) -> Iterator[str]:
    """Import a file, with its progress on `console`; what was done, as lines."""
    into = store(data)
    with _one_sentence(), _drawn(console) as progress:
        sha256 = files.digest(file)
        already = _already(into, sha256, year)
        if already is not None:
            indexed = into.index_again(progress)
            yield f"{already}; {_told_of(indexed) if indexed else 'nothing was changed'}."
            return
        read = recognising.read(file, year, progress)
        before = into.load(read.year)
        source = edition.Source(
            read.name, read.form, read.version, sha256, dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        )
        into.write(read, source, progress)
    if read.form == "alpha-id":
        yield f"Alpha-ID {read.year} from {file.name}: {len(read.phrases):,} texts."
        return
    terminal = sum(code.is_terminal for code in read.codes.values())
    yield f"ICD-10-GM {read.year} from {file.name} ({read.form}): {len(read.codes):,} codes, {terminal:,} terminal."
    unsaid = [name for name in content.FIELDS if name not in read.known]
    if unsaid:
        yield f"The file does not say: {', '.join(unsaid)}."
    if not read.notes:
        yield "The file has no inclusions, exclusions and hints."
    different = sorted(before.codes.keys() ^ read.codes.keys()) if before is not None else []
    if different:
        yield (
            f"{len(different):,} codes are in this file or in what was there before, not in both, the first is "
            f"{different[0]}."
        )
    yield "A running gateway takes it after its next start."


def edition_of(file: Path) -> edition.Edition:
    """What a file holds, without importing it."""
    with _one_sentence():
        read = recognising.read(file)
    if not read.codes:
        raise errors.ConfigurationError(f"{file.name} holds no codes: give metadata, ClaML or a FHIR package.")
    return edition.Edition(read.year, read.codes, (), is_complete=True, notes=read.notes)


def _already(into: installed.Store, sha256: str, year: int | None) -> str | None:
    """What is told of a file that is there already; None for a new one."""
    for one in into.editions():
        for source in one.sources:
            if source.sha256 == sha256 and year in (None, one.year):
                return f"Already imported on {source.imported[:10]} as {source.form} of {one.year}"
    return None


def _told_of(indexed: tuple[int, ...]) -> str:
    return f"the search index of {', '.join(map(str, indexed))} was made again"


@contextlib.contextmanager
def _drawn(console: Console) -> Iterator[content.Progress]:
    """Progress as bars on a terminal."""
    columns = (TextColumn("{task.description:<32}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        bars: dict[str, TaskID] = {}

        def heard(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=None)
            progress.update(bars[what], completed=done, total=total or None)

        yield heard
