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
from terminology import reporting
from terminology.icd10gm import catalogue, edition, finding, installed, starter, validation
from terminology.importers import completeness, content, files, recognising

Setting = Literal["practice", "hospital"]

_YEAR = 365  # days; BfArM, LIESMICH: j001 is 365 completed days of life
_NOT_ALLOWED, _NOT_HELD = 1, 3  # exit codes


class Nothing(errors.GatewayError):
    """There is nothing to tell of what was asked for. `status`: the exit code."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


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
    held, wanted = _held(data, day), _name(name)
    code = held.codes.get(wanted)
    if code is None and not validation.validate(held, wanted, is_practice=True).is_judged:
        raise Nothing(_not_held(held, wanted), _NOT_HELD)
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
    bare = content.printable(text).strip().upper().rstrip(content.MARKS)
    if not bare:
        raise errors.ConfigurationError("The code is empty: give one, e.g. E11.90.")
    match = re.fullmatch(r"([A-Z][0-9]{2})\.?([0-9]{1,2})", bare)
    return f"{match[1]}.{match[2]}" if match else bare


def _written(code: edition.Code) -> str:
    """The code with its mark."""
    return f"{code.code}{'†' if code.is_dagger else code.mark or ''}"


def _catalogue(held: edition.Edition) -> str:
    return f"ICD-10-GM {held.year}, {'importiert' if held.is_complete else 'Startkatalog (Auswahl)'}"


def _origin(held: edition.Edition) -> str:
    """The catalogue with its files."""
    return f"{_catalogue(held)}{': ' if held.sources else ''}{', '.join(source.name for source in held.sources)}"


def _not_held(held: edition.Edition, wanted: str) -> str:
    return f"{wanted}: im Startkatalog {held.year} (Auswahl) nicht enthalten; nicht geprüft."


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
    """The catalogue, then the codes that a text may mean, the best first: score, how, code, title, what led to it."""
    if not text.strip():
        raise errors.ConfigurationError("The text is empty: give words or a code to look for.")
    held = _held(data, day)
    with _one_sentence():
        hits = finding.finder(day.year).search(text, limit)
    if not hits and held.is_complete:
        raise Nothing(f"{_catalogue(held)}: nichts gefunden zu {content.shown(text)}.", 0)
    if not hits:
        raise Nothing(_not_held(held, content.shown(text)), _NOT_HELD)
    yield _origin(held)
    for hit in hits:
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
    if match[1]:
        return validation.Lived(int(match[1]), int(match[1]) * _YEAR or None)  # of 0 years: any day of the first
    return validation.Lived(int(match[2]) // _YEAR, int(match[2]))


def judged(
    data: Path, name: str, day: dt.date, setting: Setting, sex: edition.Sex, age: validation.Lived | None
) -> tuple[str, int]:
    """What is to be told of a code, in German, and the exit code: 0 where it may stand."""
    held, code = _held(data, day), _name(name)
    is_practice = setting == "practice"

    def verdict(has_primary: bool) -> validation.Verdict:
        return validation.validate(held, code, is_practice=is_practice, sex=sex, lived=age, has_primary=has_primary)

    place = f"{_catalogue(held)}, {'Praxis' if is_practice else 'Krankenhaus'}"
    beside = verdict(has_primary=True)
    if not beside.is_judged:
        return _not_held(held, code), _NOT_HELD
    if beside.fault is not None:
        return f"{code} ist nicht zulässig ({place}): {beside.fault}", _NOT_ALLOWED
    alone = verdict(has_primary=False).fault
    warnings = [*([alone] if alone is not None else []), *beside.warnings]
    told = f"{_written(held.codes[code])} ist zulässig ({place}): {held.codes[code].title}"
    return "\n".join([told, *(f"Hinweis: {warning}" for warning in warnings)]), 0


# --- import ------------------------------------------------------------------------------------------------------


def take(data: Path, file: Path, year: int | None, console: Console) -> Iterator[str]:
    """Import a file, with its progress on `console`; what was done, as lines."""
    into = store(data)
    with _one_sentence(), _drawn(console) as progress:
        sha256 = files.digest(file)
        read = recognising.read(file, year, progress)
        before = into.load(read.year)
        source = edition.Source(
            read.name, read.form, read.version, sha256, dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        )
        is_new = into.write(read, source, progress)
        indexed = () if is_new else into.index_again(progress)
        imported = _imported(into, read)
    name = content.file_name(file)
    if not is_new:
        done = (
            f"the search index of {', '.join(map(str, indexed))} was made again" if indexed else "nothing was changed"
        )
        yield f"Already imported on {imported[:10]} as {read.form} of {read.year}; {done}."
        return
    if read.form == "alpha-id":
        yield f"Alpha-ID {read.year} from {name}: {len(read.phrases):,} texts."
        return
    terminal = sum(code.is_terminal for code in read.codes.values())
    yield f"ICD-10-GM {read.year} from {name} ({read.form}): {len(read.codes):,} codes, {terminal:,} terminal."
    if unchecked := completeness.unchecked(read.year):
        yield f"Completeness could not be checked against a known number of {', '.join(unchecked)} of {read.year}."
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
        raise errors.ConfigurationError(
            f"{content.file_name(file)} holds no codes: give metadata, ClaML or a FHIR package."
        )
    return edition.Edition(read.year, read.codes, (), is_complete=True, notes=read.notes)


def _imported(into: installed.Store, read: content.Content) -> str:
    """When the form of a year was imported that is there now."""
    sources = (source for one in into.editions() if one.year == read.year for source in one.sources)
    return next((source.imported for source in sources if source.form == read.form), "")


def removed(data: Path, year: int, console: Console) -> Iterator[str]:
    """Take out what was imported of a year; what it was, as lines."""
    with _one_sentence(), _drawn(console) as progress:
        sources = store(data).remove(year, progress)
    if not sources:
        raise errors.GatewayError(f"No ICD-10-GM {year} was imported: `fhir-gateway terminology list` shows the years.")
    for source in sources:
        yield f"Removed of {year}: {source.name} ({source.form})."
    yield "A running gateway goes without it after its next start."


@contextlib.contextmanager
def _drawn(console: Console) -> Iterator[reporting.Progress]:
    """Progress as bars on a terminal."""
    columns = (TextColumn("{task.description:<32}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        bars: dict[str, TaskID] = {}

        def heard(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=None)
            progress.update(bars[what], completed=done, total=total or None)

        yield heard
