"""Finding current resources by one of their references."""

from __future__ import annotations

import sqlalchemy as sa

from fhir_gateway.store import resources, schema


def by_reference(
    connection: sa.Connection, resource_type: str, parameter: str, target_type: str, target_id: str
) -> list[resources.Stored]:
    """The current resources of a type whose reference parameter points to target_type/target_id, oldest first."""
    version, index = schema.resource_version, schema.index_reference
    query = (
        sa.select(version.c.id, version.c.version, version.c.at, version.c.body)
        .where(
            version.c.type == resource_type,
            version.c.is_current,
            version.c.body.is_not(None),
            sa.exists().where(
                index.c.rk == version.c.rk,
                index.c.parameter == parameter,
                index.c.target_type == target_type,
                index.c.target_id == target_id,
            ),
        )
        .order_by(version.c.rk)
    )
    return [resources.Stored(resource_type, row.id, row.version, row.at, row.body) for row in connection.execute(query)]
