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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from terminology import reporting
from terminology.icd10gm import edition, indexing, rows
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


_AGAIN = "delete it and import again"
_RIGHTS = "give the user of the gateway the right to read and write the data folder and this file"
_ROOM = "make room on its disk, or see to the disk, and try again"
_BUSY = "another import is running; try again when it has ended"

#: What to do about an error of SQLite, by the start of its name. Any other is damage.
_ADVICE: Mapping[str, str] = {
    "SQLITE_CANTOPEN": _RIGHTS,
    "SQLITE_READONLY": _RIGHTS,
    "SQLITE_PERM": _RIGHTS,
    "SQLITE_AUTH": _RIGHTS,
    "SQLITE_FULL": _ROOM,
    "SQLITE_IOERR": _ROOM,
    "SQLITE_BUSY": _BUSY,
    "SQLITE_LOCKED": _BUSY,
}


class NotUsable(Exception):
    """The file of the imported catalogues cannot be used. The message says why and what to do."""


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

    def editions(self) -> tuple[rows.Installed, ...]:
        """The imported years in order."""
        with self._reading() as database:
            if database is None:
                return ()
            years = [year for (year,) in database.execute("SELECT DISTINCT year FROM part ORDER BY year")]
            return tuple(rows.installed(database, year) for year in years)

    def load(self, year: int) -> Imported | None:
        """The edition of a year with all its codes and notes; None where no form with codes was imported."""
        with self._reading() as database:
            return self._edition(database, year) if database is not None else None

    def check(self) -> None:
        """Read the whole file; NotUsable where any of it is damaged."""
        with self._reading() as database:
            if database is None:
                return
            (told,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if told != "ok":
                raise NotUsable(f"{self.path} is damaged ({told}): {_AGAIN}.")
            rows.decode_all(database)
        for one in self.editions():
            held = self.load(one.year)
            if held is not None:
                self.image(held)

    def phrases(self, year: int) -> Mapping[str, tuple[content.Phrase, ...]]:
        """The Alpha-ID texts of a year, each with what it may mean (one, as a rule); empty where none was imported."""
        with self._reading() as database:
            return rows.phrases(database, year) if database is not None else {}

    def texts(self, year: int) -> list[tuple[str, str]]:
        """The Alpha-ID texts of a year as they are searched: code (the first that the text means) and text."""
        return rows.texts(self.phrases(year))

    def image(self, held: Imported) -> bytes | None:
        """The image that an edition is searched by; None where it is of an older format or of other files."""
        with self._reading() as database:
            found = rows.image(database, held.year, rows.mark(held.sources)) if database is not None else None
        if found is not None and hashlib.sha256(found[0]).hexdigest() != found[1]:
            raise NotUsable(f"{self.path} is damaged (index of {held.year}): {_AGAIN}.")
        return found[0] if found is not None else None

    def headings(self, year: int) -> tuple[content.Heading, ...]:
        """Chapters and blocks of a year; empty where no form brought them."""
        with self._reading() as database:
            return rows.headings(database, year) if database is not None else ()

    def write(
        self, found: content.Content, source: edition.Source, progress: reporting.Progress = reporting.quiet
    ) -> bool:
        """Keep a file's content and the year's index in one transaction; False where this very file is there already.

        Raises NotImportable where another year has the very codes and titles; for Alpha-ID where it names codes that
        the year's edition does not hold, or has far fewer texts than those that it replaces.
        """
        with self._writing(progress) as database:
            if rows.is_same(database, found.year, found.form, source.sha256):
                return False
            if found.form == "alpha-id":
                rows.check_phrases(database, found)
            else:
                rows.check_year(database, found)
            rows.insert(database, found, source)
            self._index(database, progress)
            return True

    def remove(self, year: int, progress: reporting.Progress = reporting.quiet) -> tuple[edition.Source, ...]:
        """Take out all that was imported of a year; the files that it came from, none where there was none."""
        if not self.exists():
            return ()
        with self._writing(progress) as database:
            sources = rows.sources(database, year)
            rows.remove(database, year)
            return sources

    def index_again(self, progress: reporting.Progress = reporting.quiet) -> tuple[int, ...]:
        """Make the indexes again that are of an older format, in one transaction; their years."""
        with self._writing(progress) as database:
            return self._index(database, progress)

    def _index(self, database: sqlite3.Connection, progress: reporting.Progress) -> tuple[int, ...]:
        """Make every index that is not of this format or not of its year's files; their years."""
        made = []
        for (year,) in database.execute("SELECT DISTINCT year FROM part ORDER BY year").fetchall():
            mark = rows.mark(rows.sources(database, year))
            held = self._edition(database, year) if rows.image(database, year, mark) is None else None
            if held is None:
                continue
            image = indexing.image(held, rows.texts(rows.phrases(database, year)), progress)
            database.execute(
                "INSERT OR REPLACE INTO search VALUES (?, ?, ?, ?, ?)",
                (year, indexing.FORMAT, mark, hashlib.sha256(image).hexdigest(), image),
            )
            made.append(year)
        return tuple(made)

    # --- connections ----------------------------------------------------------------------------------------------

    def exists(self) -> bool:
        """Whether there is a file."""
        with self._told():
            try:
                self.path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return False
        return True

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """A connection for reading; None while there is nothing to read."""
        if not self.exists():
            yield None
            return
        with self._told(), contextlib.closing(self._open("ro")) as database:
            if not self._is_ours(database):
                yield None
                return
            database.execute("BEGIN")  # every query sees the same state; closing ends it
            yield database

    @contextlib.contextmanager
    def _writing(self, progress: reporting.Progress) -> Iterator[sqlite3.Connection]:
        """A connection within one transaction, which an error rolls back. It waits for another one that writes."""
        with self._told():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(self._open("rwc")) as database:
                database.execute("PRAGMA cache_spill = OFF")  # it would lock readers out long before the commit
                _begin(database, progress)
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
            application, schema, tables = rows.header(database)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_READONLY_ROLLBACK":
                raise
            with contextlib.closing(self._open("rw")) as writer:  # undoes what an import left that was killed
                rows.header(writer)
            application, schema, tables = rows.header(database)
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
            raise NotUsable(f"{self.path} cannot be used ({error}): {_advice(error)}.") from None
        except PermissionError as error:
            raise NotUsable(f"{self.path} cannot be used ({error.strerror}): {_RIGHTS}.") from None
        except OSError as error:
            raise NotUsable(f"{self.path} cannot be used: {error.strerror}.") from None

    def _edition(self, database: sqlite3.Connection, year: int) -> Imported | None:
        found = rows.codes(database, year)
        if found is None:
            return None
        codes, notes = found
        return Imported(year, codes, rows.sources(database, year), is_complete=True, notes=notes, path=self.path)


def _begin(database: sqlite3.Connection, progress: reporting.Progress) -> None:
    """Begin to write. While another process writes it is told, and waited for."""
    database.execute("PRAGMA busy_timeout = 0")
    try:
        database.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_BUSY":
            raise
        progress("waiting for another import", 0, 0)
        database.execute(f"PRAGMA busy_timeout = {_WAIT * 1000:.0f}")
        database.execute("BEGIN IMMEDIATE")
    database.execute(f"PRAGMA busy_timeout = {_WAIT * 1000:.0f}")


def _advice(error: Exception) -> str:
    """What to do about an error with the file."""
    name: str = getattr(error, "sqlite_errorname", "")
    return next((told for start, told in _ADVICE.items() if name.startswith(start)), _AGAIN)
