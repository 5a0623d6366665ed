"""Hand-written SQL for the hot path: one text with :names, run on the driver's own connection.

SQLAlchemy Core doubles the processor time of a write (measured, reference/fhir-stack.md 5.2); it builds the schema, the
migrations and the searches, and these few statements go past it. Both databases get the same text.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

_NAME = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")


class Duplicate(Exception):
    """A unique index refused the row: somebody else wrote it first."""


def _failures(connection: sa.Connection) -> tuple[type[Exception], ...]:
    """What the driver raises when the database itself is in trouble."""
    driver: Any = connection.dialect.loaded_dbapi
    return driver.OperationalError, driver.InterfaceError


class Statement:
    """One statement. `:name` marks a value; the driver binds it."""

    __slots__ = ("_postgres", "_sqlite")

    def __init__(self, text: str) -> None:
        self._sqlite = text
        self._postgres = _NAME.sub(r"%(\1)s", text.replace("%", "%%"))

    def run(self, connection: sa.Connection, **values: Any) -> Any:
        """The driver's cursor after the statement. Raises Duplicate, or OperationalError when the database fails."""
        raw: Any = connection.connection.driver_connection
        try:
            if isinstance(raw, sqlite3.Connection):
                return raw.execute(self._sqlite, values)
            return raw.execute(self._postgres, values)
        except connection.dialect.loaded_dbapi.IntegrityError as error:
            raise Duplicate from error
        except _failures(connection) as error:
            raise sa.exc.OperationalError("statement", None, error) from error

    def many(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """The statement once for each row."""
        raw: Any = connection.connection.driver_connection
        try:
            if isinstance(raw, sqlite3.Connection):
                raw.executemany(self._sqlite, rows)
            else:
                with raw.cursor() as cursor:
                    cursor.executemany(self._postgres, rows)
        except _failures(connection) as error:
            raise sa.exc.OperationalError("statement", None, error) from error
