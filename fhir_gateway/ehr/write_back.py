"""Sending results to the EHR: one transaction where the server takes it, else one update after the other.

Ids are derived from the content, so a repeat after a lost answer writes the same resources again and no new ones. What
was delivered in its present version is not sent again.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from fhir_gateway.ehr import client
from fhir_gateway.store import codec, database, schema

_delivered = schema.delivered

#: Answers by which a server says that it takes no transactions.
_NO_TRANSACTIONS = frozenset({404, 405, 501})


async def deliver(ehr: client.Ehr, store: database.Database, resources: list[codec.Resource]) -> None:
    """Send what has not been delivered yet, in the given order; raises Unreachable or Rejected."""
    missing = await store.read(lambda connection: _missing(connection, ehr.base, resources))
    if not missing:
        return
    if not (ehr.config.transaction and await _transaction(ehr, missing)):
        for resource in missing:
            status, answer = await ehr.request("PUT", _reference(resource), _outgoing(resource))
            if status not in (200, 201):
                raise client.Rejected(status, client.told(status, answer))
    await store.write(lambda unit: _remember(unit, ehr.base, missing))


async def _transaction(ehr: client.Ehr, resources: list[codec.Resource]) -> bool:
    """Whether the server took them as one transaction; False when it takes none."""
    status, answer = await ehr.request(
        "POST",
        "",
        {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "fullUrl": f"{ehr.base}/{_reference(resource)}",
                    "resource": _outgoing(resource),
                    "request": {"method": "PUT", "url": _reference(resource)},
                }
                for resource in resources
            ],
        },
    )
    if status in _NO_TRANSACTIONS:
        return False
    if status not in (200, 201):
        raise client.Rejected(status, client.told(status, answer))
    for entry in answer.get("entry", []):
        code = str(entry.get("response", {}).get("status", "200"))[:3]
        if not code.startswith("2"):
            raise client.Rejected(int(code), client.told(int(code), entry["response"].get("outcome", {})))
    return True


def _outgoing(resource: codec.Resource) -> codec.Resource:
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in ("versionId", "lastUpdated")}
    return {**{name: value for name, value in resource.items() if name != "meta"}, **({"meta": meta} if meta else {})}


def _reference(resource: codec.Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _key(base: str, resource: codec.Resource) -> dict[str, Any]:
    return {"target": base, "reference": _reference(resource), "version": resource["meta"]["versionId"]}


def _missing(connection: sa.Connection, base: str, resources: list[codec.Resource]) -> list[codec.Resource]:
    rows = connection.execute(
        sa.select(_delivered.c.reference, _delivered.c.version).where(
            _delivered.c.target == base, _delivered.c.reference.in_([_reference(r) for r in resources])
        )
    )
    sent = {(row.reference, row.version) for row in rows}
    return [r for r in resources if (_reference(r), r["meta"]["versionId"]) not in sent]


def _remember(unit: database.Unit, base: str, resources: list[codec.Resource]) -> None:
    for resource in resources:
        key = _key(base, resource)
        unit.connection.execute(
            _delivered.delete().where(_delivered.c.target == base, _delivered.c.reference == key["reference"])
        )
        unit.connection.execute(_delivered.insert().values(**key))
