"""HL7 v2 over HTTP: `POST /hl7v2` takes what MLLP takes and answers the same messages.

https://hapifhir.github.io/hapi-hl7v2/hapi-hl7overhttp/specification.html: one message a request, its answer in the
response, content type `application/hl7-v2` or `x-application/hl7-v2+er7`. A batch is answered by all answers in a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from fhir_gateway import errors
from fhir_gateway.messages import reception
from fhir_gateway.rest import outcomes, requests, router

if TYPE_CHECKING:
    from fhir_gateway.app import Gateway

MEDIA_TYPES: Final = (reception.CONTENT_TYPE, "application/hl7-v2", "application/hl7-v2+er7")

log = structlog.get_logger()


async def post(request: Request) -> Response:
    """Take the messages in the body. 401, 408, 413 and 415 as below /fhir; 503 when they could not be kept."""
    gateway: Gateway = request.app.state.gateway
    try:
        router.authorise(gateway, request)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in MEDIA_TYPES:
            return _said(415, f"The body is {reception.CONTENT_TYPE}.")
        body = await requests.read_body(request, gateway.settings.rest, megabytes=gateway.settings.hl7v2.max_megabytes)
        answers = await reception.known(await gateway.reception.receive(body, channel="hl7v2-http"))
    except outcomes.Refused as refusal:
        return _said(refusal.status, refusal.issues[0].text)
    except errors.StoreUnavailable as error:
        log.error("a message could not be kept", error=type(error).__name__)
        return _said(503, error.message)
    if not answers:
        return Response(status_code=204)
    return Response(b"".join(answers), media_type=reception.CONTENT_TYPE)


def _said(status: int, text: str) -> Response:
    return PlainTextResponse(text + "\n", status)
