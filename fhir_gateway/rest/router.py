"""The route table of the FHIR endpoint, and the one way every request takes through it."""

from __future__ import annotations

import hmac
import time
import urllib.parse
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fhir_gateway import errors, settings
from fhir_gateway.rest import bundles, capability, interactions, operations, outcomes, requests, search
from fhir_gateway.store import inbox

if TYPE_CHECKING:
    from fhir_gateway.app import Gateway

log = structlog.get_logger()

Interaction = Callable[[requests.Context], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table. `keeps` tells that the request's bytes are kept, also when it is refused."""

    method: str
    path: str
    name: str
    interaction: Interaction
    keeps: bool = False


ROUTES: tuple[Route, ...] = (
    Route("POST", "", "transaction", bundles.bundle, keeps=True),
    Route("POST", "/", "transaction", bundles.bundle, keeps=True),
    Route("GET", "/metadata", "capabilities", capability.capabilities),
    Route("POST", "/Encounter/{id}/$process", "process", operations.process, keeps=True),
    Route("POST", "/Composition/{id}/$release", "release", operations.release_composition, keeps=True),
    Route("POST", "/{type}/_search", "search-type", search.search),
    Route("GET", "/{type}/{id}/_history/{version}", "vread", interactions.vread),
    Route("GET", "/{type}/{id}/_history", "history-instance", interactions.history),
    Route("GET", "/{type}/{id}", "read", interactions.read),
    Route("PUT", "/{type}/{id}", "update", interactions.update, keeps=True),
    Route("GET", "/{type}", "search-type", search.search),
    Route("POST", "/{type}", "create", interactions.create, keeps=True),
)


def mount(application: FastAPI, gateway: Gateway) -> None:
    """Put the table under /fhir."""
    for route in ROUTES:
        application.add_api_route(
            f"/fhir{route.path}", _endpoint(gateway, route), methods=[route.method], include_in_schema=False
        )


def _endpoint(gateway: Gateway, route: Route) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        begun = time.perf_counter()
        response = await _answer(gateway, route, request)
        gateway.metrics.requests.labels(route.name, str(response.status_code)).inc()
        gateway.metrics.request_seconds.labels(route.name).observe(time.perf_counter() - begun)
        return response

    return endpoint


async def _answer(gateway: Gateway, route: Route, request: Request) -> Response:
    """What the interaction answers; a refusal is kept with the request's bytes before it is told."""
    context = requests.Context(gateway, request)
    try:
        _authorise(gateway, request)
        if request.method in ("POST", "PUT"):
            limit = gateway.settings.rest.max_body_megabytes * 1_048_576
            context = requests.Context(gateway, request, await requests.read_body(request, limit))
        return await route.interaction(context)
    except outcomes.Refused as refusal:
        if route.keeps and context.body:
            status = refusal.status
            await gateway.database.write(lambda unit: inbox.keep(unit, context.message, status=status))
        return requests.json_response(refusal.resource, refusal.status)
    except errors.StoreUnavailable as error:
        log.error("store unavailable", interaction=route.name, cause=type(error.__cause__).__name__)
        issue = outcomes.Issue("transient", error.message)
        return requests.json_response(outcomes.outcome(issue), 503, **{"Retry-After": "5"})
    except Exception as error:  # noqa: BLE001 - the last resort: say nothing of the content
        log.error("unexpected error", interaction=route.name, error=type(error).__name__, at=errors.place(error))
        issue = outcomes.Issue("exception", "The gateway failed. The log names the place.")
        return requests.json_response(outcomes.outcome(issue), 500)


def _authorise(gateway: Gateway, request: Request) -> None:
    if gateway.token is None:
        _came_to_this_host(gateway, request)
    if gateway.token is None or request.url.path == "/fhir/metadata":
        return
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {gateway.token}".encode()):
        raise outcomes.Refused(401, outcomes.Issue("login", "This gateway wants a bearer token."))


def _came_to_this_host(gateway: Gateway, request: Request) -> None:
    """Without a token a page in a browser here could reach the gateway by a name of its own (DNS rebinding)."""
    configured = urllib.parse.urlsplit(gateway.settings.server.base_url or "").hostname
    called = request.url.hostname or ""
    if called != configured and not settings.is_loopback(called):
        text = "The Host header names another host than this one."
        raise outcomes.Refused(421, outcomes.Issue("security", text))


async def no_such_route(_request: Request, error: Exception) -> Response:
    """An address or a method that the table does not have, as an OperationOutcome."""
    assert isinstance(error, HTTPException)
    text = (
        "This address does not allow this method." if error.status_code == 405 else "There is nothing at this address."
    )
    issue = outcomes.Issue("not-supported" if error.status_code == 405 else "not-found", text)
    return requests.json_response(outcomes.outcome(issue), error.status_code, **dict(error.headers or {}))
