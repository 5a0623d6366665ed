"""Work on one encounter, one after another: processes that share a PostgreSQL database wait for each other."""

from __future__ import annotations

import zlib

from fhir_gateway.store import database, statements

_TAKE = statements.Statement("SELECT pg_advisory_xact_lock(:space, :key)")
_SPACE = 0x66687267  # keeps our locks apart from others of the database


def take(unit: database.Unit, encounter: str) -> None:
    """Wait until no other transaction works on this encounter; SQLite has one writer anyway."""
    if unit.connection.dialect.name == "postgresql":
        _TAKE.run(unit.connection, space=_SPACE, key=zlib.crc32(encounter.encode()) >> 1)
