"""Resource versions: read, put, history. Every function takes the connection or unit of work it runs in."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fhir_gateway import errors
from fhir_gateway.store import codec, database, search_index

_READ = sa.text("SELECT rk, version, at, body FROM resource_version WHERE type = :type AND id = :id AND is_current")
_VREAD = sa.text(
    "SELECT rk, version, at, body FROM resource_version WHERE type = :type AND id = :id AND version = :version"
)
_HISTORY = sa.text(
    "SELECT rk, version, at, body FROM resource_version WHERE type = :type AND id = :id ORDER BY version DESC"
)
_RETIRE = sa.text("UPDATE resource_version SET is_current = :no WHERE rk = :rk")
_INSERT = sa.text(
    "INSERT INTO resource_version (type, id, version, at, is_current, body, received)"
    " VALUES (:type, :id, :version, :at, :yes, :body, :received) RETURNING rk"
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

    @property
    def resource(self) -> codec.Resource:
        """The decoded body; only for versions that have one."""
        assert self.body is not None
        resource: codec.Resource = codec.decode(self.body)
        return resource

    @property
    def etag(self) -> str:
        """The weak entity tag of R4's http.html#versioning."""
        return f'W/"{self.version}"'


def instant(micros: int) -> str:
    """A FHIR instant with milliseconds, UTC."""
    moment = dt.datetime.fromtimestamp(micros / 1_000_000, tz=dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def read(connection: sa.Connection, resource_type: str, resource_id: str) -> Stored | None:
    """The current version, or None when there never was one. A deletion is a version without body."""
    row = connection.execute(_READ, {"type": resource_type, "id": resource_id}).first()
    return None if row is None else Stored(resource_type, resource_id, row.version, row.at, row.body)


def vread(connection: sa.Connection, resource_type: str, resource_id: str, version: int) -> Stored | None:
    """One version, or None."""
    row = connection.execute(_VREAD, {"type": resource_type, "id": resource_id, "version": version}).first()
    return None if row is None else Stored(resource_type, resource_id, row.version, row.at, row.body)


def history(connection: sa.Connection, resource_type: str, resource_id: str) -> list[Stored]:
    """All versions, newest first."""
    rows = connection.execute(_HISTORY, {"type": resource_type, "id": resource_id})
    return [Stored(resource_type, resource_id, row.version, row.at, row.body) for row in rows]


def put(
    unit: database.Unit,
    resource: codec.Resource,
    *,
    received: str | None = None,
    if_version: int | None = None,
) -> Stored:
    """Store `resource` (with its id) as the next version; a resource that says the same again makes no new version.

    `if_version` is the version the writer saw; VersionConflict when it is not the current one any more.
    """
    resource_type, resource_id = resource["resourceType"], resource["id"]
    row = unit.connection.execute(_READ, {"type": resource_type, "id": resource_id}).first()
    if if_version is not None and (row is None or row.version != if_version):
        raise errors.VersionConflict
    if row is not None and row.body is not None and _same(codec.decode(row.body), resource):
        return Stored(resource_type, resource_id, row.version, row.at, row.body)
    version = 1 if row is None else row.version + 1
    body = codec.encode(_stamped(resource, version, unit.now))
    if row is not None:
        unit.connection.execute(_RETIRE, {"rk": row.rk, "no": False})
        search_index.remove(unit.connection, row.rk)
    try:
        rk = unit.connection.execute(
            _INSERT,
            {
                "type": resource_type,
                "id": resource_id,
                "version": version,
                "at": unit.now,
                "yes": True,
                "body": body,
                "received": received,
            },
        ).scalar_one()
    except sa.exc.IntegrityError:
        raise errors.VersionConflict from None
    search_index.add(unit.connection, rk, resource)
    return Stored(resource_type, resource_id, version, unit.now, body, created=row is None, changed=True)


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
