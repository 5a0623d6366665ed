"""POST [base]: a transaction as a whole, a batch entry by entry. https://hl7.org/fhir/R4/http.html#transaction"""

from __future__ import annotations

from typing import Any

from fhir_gateway import errors
from fhir_gateway.rest import entries, outcomes, transaction
from fhir_gateway.rest.ask import Answer, Ask
from fhir_gateway.rest.routes import Perform
from fhir_gateway.store import codec, inbox


async def bundle(ask: Ask, perform: Perform) -> Answer:
    """POST [base]."""
    kind, bodies = entries.opened(ask)
    if kind == "transaction":
        return await transaction.transaction(ask, bodies)
    return await _batch(ask, bodies, perform)


async def _batch(ask: Ask, bodies: list[Any], perform: Perform) -> Answer:
    """Each entry for itself; one that is refused says why in its own response."""
    await ask.gateway.database.write(lambda unit: inbox.keep(unit, ask.message, status=200, key=ask.key))
    answers = [await _batched(ask, number, body, perform) for number, body in enumerate(bodies)]
    result = {"resourceType": "Bundle", "type": "batch-response", **({"entry": answers} if answers else {})}
    return Answer(200, resource=result)


async def _batched(ask: Ask, number: int, body: Any, perform: Perform) -> codec.Resource:
    try:
        entry = entries.read(ask, number, body)
        return entries.response(entry, await perform(entry.route, entry.ask))
    except outcomes.Refused as refusal:
        return entries.refused(refusal)
    except errors.StoreUnavailable as error:
        return entries.refused(outcomes.Refused(503, outcomes.Issue("transient", error.message)))
