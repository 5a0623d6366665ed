"""The imported editions of ICD-10-GM, side by side in one SQLite file of the data folder.

Each form of a year (metadata, ClaML, FHIR package, Alpha-ID) is one row: importing it again replaces what it brought
and nothing else. An edition is put together of a year's rows when it is read. The codes lie in a row as one JSON text,
which is read about four times as fast as a table with a column for each field.

The index that a year is searched by is made with each import, in the same transaction: an image (`indexing`) that a
reader copies, so that nothing it searches is changed by a later import.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import msgspec

from terminology.icd10gm import edition, indexing
from terminology.importers import content

FILE = "terminology.db"
APPLICATION = 0x66_67_74_6D  # "fgtm": what the file is, in its header
SCHEMA = 1
_WAIT = 300.0  # seconds for another process that writes: a large import holds the file for half a minute

_TABLES = (
    """CREATE TABLE part (
    year INTEGER NOT NULL, form TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL, sha256 TEXT NOT NULL,
    imported TEXT NOT NULL, known TEXT NOT NULL, codes TEXT NOT NULL, terminal INTEGER NOT NULL, notes TEXT NOT NULL,
    headings TEXT NOT NULL, phrases TEXT NOT NULL, PRIMARY KEY (year, form))""",
    """CREATE TABLE search (
    year INTEGER PRIMARY KEY, format INTEGER NOT NULL, sources TEXT NOT NULL, sha256 TEXT NOT NULL,
    image BLOB NOT NULL)""",
)

_Codes = list[edition.Code]
_Notes = dict[str, tuple[edition.Note, ...]]
_code_list = msgspec.json.Decoder(_Codes)
_note_lists = msgspec.json.Decoder(_Notes)
_heading_list = msgspec.json.Decoder(tuple[content.Heading, ...])
_phrase_list = msgspec.json.Decoder(tuple[content.Phrase, ...])


class NotUsable(Exception):
    """The file of the imported catalogues cannot be used. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A year that was imported: where from, and how many codes, terminal codes and Alpha-ID texts it has."""

    year: int
    sources: tuple[edition.Source, ...]
    codes: int
    terminal: int
    phrases: int


@dataclass(frozen=True)
class Imported(edition.Edition):
    """An edition with the file that it was read from."""

    path: Path = field(kw_only=True, compare=False)


class Store:
    """The file at `path`. It need not exist; the first import makes it. Readers open it for reading only.

    Every method raises NotUsable where the file is damaged, another program's, or of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def editions(self) -> tuple[Installed, ...]:
        """The imported years in order."""
        with self._reading() as database:
            if database is None:
                return ()
            years = [year for (year,) in database.execute("SELECT DISTINCT year FROM part ORDER BY year")]
            return tuple(_installed(database, year) for year in years)

    def load(self, year: int) -> Imported | None:
        """The edition of a year with all its codes and notes; None where no form with codes was imported."""
        with self._reading() as database:
            return self._edition(database, year) if database is not None else None

    def check(self) -> None:
        """Read the whole file; NotUsable where any of it is damaged."""
        with self._reading() as database:
            (told,) = database.execute("PRAGMA quick_check(1)").fetchone() if database is not None else ("ok",)
        if told != "ok":
            raise NotUsable(f"{self.path} is damaged ({told}): delete it and import again.")
        for one in self.editions():
            held = self.load(one.year)
            if held is not None:
                self.image(held)
            self.phrases(one.year)

    def phrases(self, year: int) -> Mapping[str, tuple[content.Phrase, ...]]:
        """The Alpha-ID texts of a year, each with what it may mean (one, as a rule); empty where none was imported."""
        with self._reading() as database:
            return _phrases(database, year) if database is not None else {}

    def texts(self, year: int) -> list[tuple[str, str]]:
        """The Alpha-ID texts of a year as they are searched: code (the first that the text means) and text."""
        return _texts(self.phrases(year))

    def image(self, held: Imported) -> bytes | None:
        """The image that an edition is searched by; None where it is of an older format or of other files."""
        with self._reading() as database:
            found = _image(database, held.year, _mark(held.sources)) if database is not None else None
        if found is not None and hashlib.sha256(found[0]).hexdigest() != found[1]:
            raise NotUsable(f"{self.path} is damaged (index of {held.year}): delete it and import again.")
        return found[0] if found is not None else None

    def headings(self, year: int) -> tuple[content.Heading, ...]:
        """Chapters and blocks of a year; empty where no form brought them."""
        with self._reading() as database:
            return _headings(database, year) if database is not None else ()

    def write(self, found: content.Content, source: edition.Source, progress: content.Progress = content.quiet) -> bool:
        """Keep a file's content and the year's index in one transaction; False where the content is there already.

        Raises NotImportable where Alpha-ID names codes that the year's edition does not hold.
        """
        with self._writing() as database:
            is_new = not _is_same(database, found.year, found.form, source.sha256)
            if is_new and found.form == "alpha-id":
                _check_phrases(self._edition(database, found.year), found)
            if is_new:
                _insert(database, found, source)
            self._index(database, progress)
            return is_new

    def index_again(self, progress: content.Progress = content.quiet) -> tuple[int, ...]:
        """Make the indexes again that are of an older format, in one transaction; their years."""
        with self._writing() as database:
            return self._index(database, progress)

    def _index(self, database: sqlite3.Connection, progress: content.Progress) -> tuple[int, ...]:
        """Make every index that is not of this format or not of its year's files; their years."""
        made = []
        for (year,) in database.execute("SELECT DISTINCT year FROM part ORDER BY year").fetchall():
            mark = _mark(_sources(database, year))
            held = self._edition(database, year) if _image(database, year, mark) is None else None
            if held is None:
                continue
            image = indexing.image(held, _texts(_phrases(database, year)), progress)
            database.execute(
                "INSERT OR REPLACE INTO search VALUES (?, ?, ?, ?, ?)",
                (year, indexing.FORMAT, mark, hashlib.sha256(image).hexdigest(), image),
            )
            made.append(year)
        return tuple(made)

    # --- connections ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """A connection for reading; None while there is nothing to read."""
        if not self.path.exists():
            yield None
            return
        with self._told(), contextlib.closing(self._open("ro")) as database:
            if not self._is_ours(database):
                yield None
                return
            database.execute("BEGIN")  # every query sees the same state; closing ends it
            yield database

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A connection within one transaction, which an error rolls back."""
        with self._told():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(self._open("rwc")) as database:
                database.execute("PRAGMA cache_spill = OFF")  # it would lock readers out long before the commit
                database.execute("BEGIN IMMEDIATE")
                try:
                    if not self._is_ours(database):
                        for table in _TABLES:
                            database.execute(table)
                        database.execute(f"PRAGMA application_id = {APPLICATION}")
                        database.execute(f"PRAGMA user_version = {SCHEMA}")
                    yield database
                except BaseException:
                    database.execute("ROLLBACK")
                    raise
                database.execute("COMMIT")

    def _open(self, mode: str) -> sqlite3.Connection:
        address = f"{self.path.absolute().as_uri()}?mode={mode}"
        return sqlite3.connect(address, uri=True, timeout=_WAIT, isolation_level=None)

    def _is_ours(self, database: sqlite3.Connection) -> bool:
        """Whether an import has filled the file; False for an empty one."""
        try:
            application, schema, tables = _header(database)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_READONLY_ROLLBACK":
                raise
            with contextlib.closing(self._open("rw")) as writer:  # undoes what an import left that was killed
                _header(writer)
            application, schema, tables = _header(database)
        if not tables and not application:
            return False
        if application != APPLICATION:
            raise NotUsable(f"{self.path} is no file of imported catalogues: move it away and import again.")
        if schema != SCHEMA:
            raise NotUsable(
                f"{self.path} has version {schema}, this gateway reads version {SCHEMA}: delete it and import again."
            )
        return True

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """What goes wrong with the file as NotUsable."""
        try:
            yield
        except (sqlite3.DatabaseError, msgspec.MsgspecError) as error:
            raise NotUsable(
                f"{self.path} cannot be used ({error}): end what writes to it, or delete it and import again."
            ) from None
        except OSError as error:
            raise NotUsable(f"{self.path} cannot be used: {error.strerror}.") from None

    def _edition(self, database: sqlite3.Connection, year: int) -> Imported | None:
        query = "SELECT form, known, codes, notes FROM part WHERE year = ?"
        rows = {row[0]: row[1:] for row in database.execute(query, (year,))}
        forms = [form for form in content.PRECEDENCE if form in rows]
        if not forms:
            return None
        parts = [({*rows[form][0].split()}, _code_list.decode(rows[form][1])) for form in forms]
        notes = next(filter(None, (_note_lists.decode(rows[form][2]) for form in forms)), {})
        return Imported(year, _merged(parts), _sources(database, year), is_complete=True, notes=notes, path=self.path)


def _phrases(database: sqlite3.Connection, year: int) -> dict[str, tuple[content.Phrase, ...]]:
    row = database.execute("SELECT phrases FROM part WHERE year = ? AND form = 'alpha-id'", (year,)).fetchone()
    found: dict[str, tuple[content.Phrase, ...]] = {}
    for phrase in _phrase_list.decode(row[0]) if row is not None else ():
        found[phrase.text] = (*found.get(phrase.text, ()), phrase)
    return found


def _texts(phrases: Mapping[str, tuple[content.Phrase, ...]]) -> list[tuple[str, str]]:
    return [(phrase.codes[0], text) for text, meant in phrases.items() for phrase in meant]


def _headings(database: sqlite3.Connection, year: int) -> tuple[content.Heading, ...]:
    rows = dict(database.execute("SELECT form, headings FROM part WHERE year = ?", (year,)))
    read = (_heading_list.decode(rows[form]) for form in content.PRECEDENCE if form in rows)
    return next(filter(None, read), ())


def _image(database: sqlite3.Connection, year: int, mark: str) -> tuple[bytes, str] | None:
    """The year's index with its SHA-256; None where it is of an older format or of other files."""
    query = "SELECT image, sha256 FROM search WHERE year = ? AND format = ? AND sources = ?"
    found: tuple[bytes, str] | None = database.execute(query, (year, indexing.FORMAT, mark)).fetchone()
    return found


def _mark(sources: Sequence[edition.Source]) -> str:
    """What an index is of: the SHA-256 of each file."""
    return " ".join(sorted(source.sha256 for source in sources))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _header(database: sqlite3.Connection) -> tuple[int, int, int]:
    """Which program's file it is, its version, and how many tables it has."""
    queries = ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    application, schema, tables = (int(database.execute(query).fetchone()[0]) for query in queries)
    return application, schema, tables


def _insert(database: sqlite3.Connection, found: content.Content, source: edition.Source) -> None:
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


def _is_same(database: sqlite3.Connection, year: int, form: content.Form, sha256: str) -> bool:
    row = database.execute("SELECT sha256 FROM part WHERE year = ? AND form = ?", (year, form)).fetchone()
    return row is not None and row[0] == sha256


def _check_phrases(year: edition.Edition | None, found: content.Content) -> None:
    if year is None:
        raise content.NotImportable(
            f"There is no ICD-10-GM {found.year} that the texts could be checked with: import its metadata first."
        )
    missing = sorted({code for phrase in found.phrases for code in phrase.codes if code not in year.codes})
    if missing:
        raise content.NotImportable(
            f"{found.name} names {len(missing):,} codes that ICD-10-GM {found.year} does not hold, the first is "
            f"{missing[0]}: import the texts of the same year."
        )


#: What a code is taken for where no form says it.
_DEFAULTS = {column.name: column.default for column in fields(edition.Code)}


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


def _sources(database: sqlite3.Connection, year: int) -> tuple[edition.Source, ...]:
    rows = database.execute(
        "SELECT name, form, version, sha256, imported FROM part WHERE year = ? ORDER BY form", (year,)
    )
    return tuple(edition.Source(*row) for row in rows)


def _installed(database: sqlite3.Connection, year: int) -> Installed:
    counts = {
        form: numbers
        for form, *numbers in database.execute(
            "SELECT form, json_array_length(codes), terminal, json_array_length(phrases) FROM part WHERE year = ?",
            (year,),
        )
    }
    codes, terminal, _none = next((counts[form] for form in content.PRECEDENCE if form in counts), (0, 0, 0))
    return Installed(year, _sources(database, year), codes, terminal, counts.get("alpha-id", (0, 0, 0))[2])
