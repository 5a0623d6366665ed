"""Resource versions: read, put, delete, history. Every function takes the connection or unit of work it runs in."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fhir_gateway import errors
from fhir_gateway.store import codec, database, search_index, statements

_READ = statements.Statement(
    "SELECT rk, version, at, body, received FROM resource_version"
    " WHERE type = :type AND id = :id ORDER BY version DESC LIMIT 1"
)
_VREAD = statements.Statement(
    "SELECT rk, version, at, body, received FROM resource_version"
    " WHERE type = :type AND id = :id AND version = :version"
)
_ARRIVED = statements.Statement("SELECT min(rk) FROM resource_version WHERE type = :type AND id = :id")
_RETIRE = statements.Statement("UPDATE resource_version SET is_current = :no WHERE rk = :rk")
_INSERT = statements.Statement(
    "INSERT INTO resource_version (type, id, version, at, is_current, body, received, method, created)"
    " VALUES (:type, :id, :version, :at, :yes, :body, :received, :method, :created) RETURNING rk"
)


@dataclass(frozen=True, slots=True)
class Stored:
    """One stored version. `body` is the JSON as it is served; None where the version is a deletion."""

    type: str
    id: str
    version: int
    at: int  # microseconds since 1970
    body: bytes | None
    created: bool = False
    changed: bool = False
    is_own: bool = False  # no request brought it: the gateway itself wrote it
    rk: int = 0

    @property
    def resource(self) -> codec.Resource:
        """The decoded body; only for versions that have one."""
        assert self.body is not None
        resource: codec.Resource = codec.decode(self.body)
        return resource

    @property
    def reference(self) -> str:
        """Type/id."""
        return f"{self.type}/{self.id}"

    @property
    def etag(self) -> str:
        """The weak entity tag of R4's http.html#versioning."""
        return f'W/"{self.version}"'


def moment(micros: int) -> dt.datetime:
    """The second that so many microseconds since 1970 are in, UTC."""
    return dt.datetime.fromtimestamp(micros // 1_000_000, tz=dt.UTC)


def instant(micros: int) -> str:
    """A FHIR instant with milliseconds, UTC."""
    return moment(micros).strftime("%Y-%m-%dT%H:%M:%S.") + f"{micros // 1000 % 1000:03d}Z"


def _stored(resource_type: str, resource_id: str, row: Any) -> Stored | None:
    if row is None:
        return None
    rk, version, at, body, received = row
    return Stored(
        resource_type, resource_id, version, at, None if body is None else bytes(body), is_own=received is None, rk=rk
    )


def read(connection: sa.Connection, resource_type: str, resource_id: str) -> Stored | None:
    """The current version, or None when there never was one. A deletion is a version without body."""
    row = _READ.run(connection, type=resource_type, id=resource_id).fetchone()
    return _stored(resource_type, resource_id, row)


def present(connection: sa.Connection, resource_type: str, resource_id: str) -> Stored | None:
    """The current version; None when there is none or it is a deletion."""
    stored = read(connection, resource_type, resource_id)
    return None if stored is None or stored.body is None else stored


def vread(connection: sa.Connection, resource_type: str, resource_id: str, version: int) -> Stored | None:
    """One version, or None."""
    row = _VREAD.run(connection, type=resource_type, id=resource_id, version=version).fetchone()
    return _stored(resource_type, resource_id, row)


def arrived(connection: sa.Connection, stored: Stored) -> int:
    """The key of the first version of a resource: resources sorted by it stand in the order of their arrival."""
    return int(_ARRIVED.run(connection, type=stored.type, id=stored.id).fetchone()[0])


def put(
    unit: database.Unit,
    resource: codec.Resource,
    *,
    received: str | None = None,
    if_version: int | None = None,
    is_new: bool = False,
    method: str = "PUT",
) -> Stored:
    """Store `resource` (with its id) as the next version; a resource that says the same again makes no new version.

    `if_version` is the version the writer saw; VersionConflict when it is not the current one any more. `is_new` says
    that the id has just been made, so that there is nothing to look for; `method` is what the history tells.
    """
    resource_type, resource_id = resource["resourceType"], resource["id"]
    current = None if is_new else read(unit.connection, resource_type, resource_id)
    if if_version is not None and (current is None or current.body is None or current.version != if_version):
        raise errors.VersionConflict
    if current is not None and current.body is not None and _same(current.resource, resource):
        return current
    version = 1 if current is None else current.version + 1
    body = codec.encode(_stamped(resource, version, unit.now))
    stored = _next(unit, current, Stored(resource_type, resource_id, version, unit.now, body), received, method)
    search_index.add(unit.connection, stored.rk, resource)
    return stored


def delete(
    unit: database.Unit, resource_type: str, resource_id: str, *, received: str | None, if_version: int | None = None
) -> Stored | None:
    """Store a deletion as the next version; None when there is nothing, or nothing any more (R4 http.html#delete)."""
    current = present(unit.connection, resource_type, resource_id)
    if if_version is not None and (current is None or current.version != if_version):
        raise errors.VersionConflict
    if current is None:
        return None
    deletion = Stored(resource_type, resource_id, current.version + 1, unit.now, None)
    return _next(unit, current, deletion, received, "DELETE")


def _next(unit: database.Unit, current: Stored | None, stored: Stored, received: str | None, method: str) -> Stored:
    """Write a version and retire the one before it. VersionConflict when another process was faster."""
    if current is not None:
        _RETIRE.run(unit.connection, rk=current.rk, no=False)
        search_index.remove(unit.connection, current.rk)
    is_created = stored.body is not None and (current is None or current.body is None)
    try:
        rk = _INSERT.run(
            unit.connection,
            type=stored.type,
            id=stored.id,
            version=stored.version,
            at=stored.at,
            yes=True,
            body=stored.body,
            received=received,
            method=method,
            created=is_created,
        ).fetchall()[0][0]
    except statements.Duplicate:
        raise errors.VersionConflict from None
    written = Stored(
        stored.type, stored.id, stored.version, stored.at, stored.body, is_created, True,
        received is None, rk,
    )  # fmt: skip
    unit.written.append(written)
    return written


def _stamped(resource: codec.Resource, version: int, at: int) -> codec.Resource:
    meta = {"versionId": str(version), "lastUpdated": instant(at), **_kept_meta(resource)}
    rest = {name: value for name, value in resource.items() if name not in ("resourceType", "id", "meta")}
    return {"resourceType": resource["resourceType"], "id": resource["id"], "meta": meta, **rest}


def _kept_meta(resource: codec.Resource) -> dict[str, Any]:
    meta = resource.get("meta") or {}
    return {name: value for name, value in meta.items() if name not in ("versionId", "lastUpdated")}


def _same(stored: codec.Resource, resource: codec.Resource) -> bool:
    if _kept_meta(stored) != _kept_meta(resource):
        return False
    left = {name: value for name, value in stored.items() if name != "meta"}
    right = {name: value for name, value in resource.items() if name != "meta"}
    return codec.encode(left) == codec.encode({name: right[name] for name in left if name in right}) and len(
        left
    ) == len(right)
