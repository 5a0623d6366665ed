"""Finding current resources by one of their references."""

from __future__ import annotations

import sqlalchemy as sa

from fhir_gateway.search import parameters, values
from fhir_gateway.store import resources, search_index, statements

_BY_REFERENCE = statements.Statement(
    "SELECT v.rk, v.id, v.version, v.at, v.body, v.received"
    " FROM index_reference i JOIN resource_version v ON v.rk = i.rk"
    " WHERE i.parameter = :parameter AND i.target_type = :target_type AND i.target_id = :target_id ORDER BY v.rk"
)


def by_reference(
    connection: sa.Connection, resource_type: str, parameter: str, target_type: str, target_id: str
) -> list[resources.Stored]:
    """The current resources of a type whose reference parameter points to target_type/target_id, oldest first."""
    search_index.flush(connection)
    key = parameters.of_type(resource_type)[parameter].key
    found = _BY_REFERENCE.run(connection, parameter=key, target_type=target_type, target_id=target_id).fetchall()
    return [
        resources.Stored(resource_type, id_, version, at, bytes(body), is_own=received is None, rk=rk)
        for rk, id_, version, at, body, received in found
    ]


_BY_TOKEN = statements.Statement(
    "SELECT v.id FROM index_token i JOIN resource_version v ON v.rk = i.rk"
    " WHERE i.parameter = :parameter AND i.system = :system AND i.code = :code ORDER BY v.rk"
)


def by_identifier(connection: sa.Connection, resource_type: str, system: str, value: str) -> list[str]:
    """The ids of the current resources of a type with this identifier, oldest first."""
    search_index.flush(connection)
    parameter = parameters.of_type(resource_type).get("identifier")
    if parameter is None:
        return []
    found = _BY_TOKEN.run(connection, parameter=parameter.key, system=values.key(system), code=values.key(value))
    return [row[0] for row in found.fetchall()]
