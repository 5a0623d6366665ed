"""The rows of the file of imported catalogues: what each form of a year brought, and what they make together."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import msgspec

from terminology.icd10gm import edition, indexing
from terminology.importers import content

_Codes = list[edition.Code]
_Notes = dict[str, tuple[edition.Note, ...]]
_code_list = msgspec.json.Decoder(_Codes)
_note_lists = msgspec.json.Decoder(_Notes)
_heading_list = msgspec.json.Decoder(tuple[content.Heading, ...])
_phrase_list = msgspec.json.Decoder(tuple[content.Phrase, ...])

_LEAST_OF_BEFORE = 0.9  # of the Alpha-ID texts that a file replaces, a corrected one has more
#: What a code is taken for where no form says it.
_DEFAULTS = {column.name: column.default for column in fields(edition.Code)}


@dataclass(frozen=True, slots=True)
class Installed:
    """A year that was imported: where from, and how many codes, terminal codes and Alpha-ID texts it has."""

    year: int
    sources: tuple[edition.Source, ...]
    codes: int
    terminal: int
    phrases: int


def codes(
    database: sqlite3.Connection, year: int
) -> tuple[dict[str, edition.Code], dict[str, tuple[edition.Note, ...]]] | None:
    """The codes and notes that the forms of a year make together; None where no form with codes was imported."""
    query = "SELECT form, known, codes, notes FROM part WHERE year = ?"
    held = {row[0]: row[1:] for row in database.execute(query, (year,))}
    forms = [form for form in content.PRECEDENCE if form in held]
    if not forms:
        return None
    parts = [({*held[form][0].split()}, _code_list.decode(held[form][1])) for form in forms]
    return _merged(parts), next(filter(None, (_note_lists.decode(held[form][2]) for form in forms)), {})


def decode_all(database: sqlite3.Connection) -> None:
    """Read all that the forms brought; MsgspecError where any of it is damaged."""
    for codes, notes, headings, phrases in database.execute("SELECT codes, notes, headings, phrases FROM part"):
        _code_list.decode(codes), _note_lists.decode(notes)
        _heading_list.decode(headings), _phrase_list.decode(phrases)


def phrases(database: sqlite3.Connection, year: int) -> dict[str, tuple[content.Phrase, ...]]:
    """The Alpha-ID texts of a year, each with what it may mean."""
    row = database.execute("SELECT phrases FROM part WHERE year = ? AND form = 'alpha-id'", (year,)).fetchone()
    found: dict[str, tuple[content.Phrase, ...]] = {}
    for phrase in _phrase_list.decode(row[0]) if row is not None else ():
        found[phrase.text] = (*found.get(phrase.text, ()), phrase)
    return found


def texts(phrases: Mapping[str, tuple[content.Phrase, ...]]) -> list[tuple[str, str]]:
    """The texts as they are searched: code (the first that the text means) and text."""
    return [(phrase.codes[0], text) for text, meant in phrases.items() for phrase in meant]


def headings(database: sqlite3.Connection, year: int) -> tuple[content.Heading, ...]:
    """Chapters and blocks of a year."""
    held = dict(database.execute("SELECT form, headings FROM part WHERE year = ?", (year,)))
    read = (_heading_list.decode(held[form]) for form in content.PRECEDENCE if form in held)
    return next(filter(None, read), ())


def image(database: sqlite3.Connection, year: int, mark: str) -> tuple[bytes, str] | None:
    """The year's index with its SHA-256; None where it is of an older format or of other files."""
    query = "SELECT image, sha256 FROM search WHERE year = ? AND format = ? AND sources = ?"
    found: tuple[bytes, str] | None = database.execute(query, (year, indexing.FORMAT, mark)).fetchone()
    return found


def mark(sources: Sequence[edition.Source]) -> str:
    """What an index is of: the SHA-256 of each file."""
    return " ".join(sorted(source.sha256 for source in sources))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def header(database: sqlite3.Connection) -> tuple[int, int, int]:
    """Which program's file it is, its version, and how many tables it has."""
    queries = ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    application, schema, tables = (int(database.execute(query).fetchone()[0]) for query in queries)
    return application, schema, tables


def insert(database: sqlite3.Connection, found: content.Content, source: edition.Source) -> None:
    """What a form of a year brings, in place of what it brought before."""
    database.execute("DELETE FROM part WHERE year = ? AND form = ?", (found.year, found.form))
    database.execute(
        "INSERT INTO part VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            found.year, found.form, source.name, source.version, source.sha256, source.imported,
            " ".join(sorted(found.known)), _json(tuple(found.codes.values())),
            sum(code.is_terminal for code in found.codes.values()),
            _json(found.notes), _json(found.headings), _json(found.phrases),
        ),
    )  # fmt: skip


def is_same(database: sqlite3.Connection, year: int, form: content.Form, sha256: str) -> bool:
    """Whether this very file brought what there is of a form and year."""
    row = database.execute("SELECT sha256 FROM part WHERE year = ? AND form = ?", (year, form)).fetchone()
    return row is not None and row[0] == sha256


def remove(database: sqlite3.Connection, year: int) -> None:
    """Take out all that was imported of a year."""
    database.execute("DELETE FROM part WHERE year = ?", (year,))
    database.execute("DELETE FROM search WHERE year = ?", (year,))


def check_year(database: sqlite3.Connection, found: content.Content) -> None:
    """NotImportable where another year has the very codes and titles: no two years of ICD-10-GM are the same."""
    titles = {name: code.title for name, code in found.codes.items()}
    query = "SELECT year, codes FROM part WHERE year <> ? AND json_array_length(codes) = ? ORDER BY year"
    for year, held in database.execute(query, (found.year, len(titles))):
        if titles and {code.code: code.title for code in _code_list.decode(held)} == titles:
            raise content.NotImportable(
                f"{found.name} has the very codes and titles of ICD-10-GM {year}, so it is not that of {found.year}: "
                f"correct the --year, or take out {year} first (fhir-gateway terminology remove {year})."
            )


def check_phrases(database: sqlite3.Connection, found: content.Content) -> None:
    """NotImportable where texts name codes that their year lacks, or are far fewer than those that they replace."""
    held = codes(database, found.year)
    if held is None:
        raise content.NotImportable(
            f"There is no ICD-10-GM {found.year} that the texts could be checked with: import its metadata first."
        )
    missing = sorted({code for phrase in found.phrases for code in phrase.codes if code not in held[0]})
    if missing:
        raise content.NotImportable(
            f"{found.name} names {len(missing):,} codes that ICD-10-GM {found.year} does not hold, the first is "
            f"{missing[0]}: import the texts of the same year."
        )
    before = installed(database, found.year).phrases
    if len(found.phrases) < _LEAST_OF_BEFORE * before:
        raise content.NotImportable(
            f"{found.name} has {len(found.phrases):,} texts, those that it would replace are {before:,}: fetch it "
            f"again, or take out the year first (fhir-gateway terminology remove {found.year})."
        )


def _merged(parts: Sequence[tuple[set[str], _Codes]]) -> dict[str, edition.Code]:
    """The codes of the form that counts, with the values that only the others know."""
    (known, first), *others = parts
    codes = {code.code: code for code in first}
    for also_known, more in others:
        names = [name for name in content.FIELDS if name in also_known - known]
        known = known | also_known
        for other in more:
            code = codes.get(other.code)
            values = {name: getattr(other, name) for name in names if getattr(other, name) != _DEFAULTS[name]}
            if code is not None and values:
                codes[code.code] = replace(code, **values)
    return codes


def sources(database: sqlite3.Connection, year: int) -> tuple[edition.Source, ...]:
    """The files that a year was imported from."""
    rows = database.execute(
        "SELECT name, form, version, sha256, imported FROM part WHERE year = ? ORDER BY form", (year,)
    )
    return tuple(edition.Source(*row) for row in rows)


def installed(database: sqlite3.Connection, year: int) -> Installed:
    """How much there is of a year."""
    counts = {
        form: numbers
        for form, *numbers in database.execute(
            "SELECT form, json_array_length(codes), terminal, json_array_length(phrases) FROM part WHERE year = ?",
            (year,),
        )
    }
    codes, terminal, _none = next((counts[form] for form in content.PRECEDENCE if form in counts), (0, 0, 0))
    return Installed(year, sources(database, year), codes, terminal, counts.get("alpha-id", (0, 0, 0))[2])
