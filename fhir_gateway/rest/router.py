"""The route table of the FHIR endpoint, and the one way every request takes through it."""

from __future__ import annotations

import asyncio
import functools
import hmac
import time
import urllib.parse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fhir_gateway import errors, settings
from fhir_gateway.rest import (
    bundles,
    capability,
    document,
    formats,
    history,
    interactions,
    operations,
    outcomes,
    render,
    requests,
    routes,
    search,
    validate,
    writes,
)
from fhir_gateway.rest.ask import Answer, Ask
from fhir_gateway.rest.routes import Body, Does, Route
from fhir_gateway.store import database, inbox
from profiles import xml

if TYPE_CHECKING:
    from fhir_gateway.app import Gateway

log = structlog.get_logger()

TABLE = routes.Table(
    Route("GET", "metadata", "capabilities", Does.ANSWER, capability.capabilities),
    Route("POST", "", "transaction", Does.BUNDLE, bundles.bundle, Body.RESOURCE),
    Route("GET", "", "search-system", Does.READ, search.of_system),
    Route("POST", "_search", "search-system", Does.READ, search.of_system, Body.FORM),
    Route("GET", "_history", "history-system", Does.READ, history.of_system),
    Route("GET", "_async/{id}", "process-status", Does.READ, operations.process_status),
    Route("DELETE", "_async/{id}", "process-cancel", Does.WRITE, operations.process_cancel),
    Route("POST", "Encounter/{id}/$process", "process", Does.WRITE, operations.process, Body.OPTIONAL),
    Route("POST", "Composition/{id}/$release", "release", Does.WRITE, operations.release_composition, Body.RESOURCE),
    Route("GET", "Composition/{id}/$document", "document", Does.READ, document.document),
    Route("POST", "Composition/{id}/$document", "document", Does.WRITE, document.persisted, Body.OPTIONAL),
    Route("POST", "{type}/$validate", "validate", Does.ANSWER, validate.of_type, Body.RESOURCE),
    Route("GET", "{type}/{id}/$validate", "validate", Does.READ, validate.of_instance),
    Route("POST", "{type}/{id}/$validate", "validate", Does.READ, validate.of_instance, Body.OPTIONAL),
    Route("POST", "{type}/_search", "search-type", Does.READ, search.of_type, Body.FORM),
    Route("GET", "{type}", "search-type", Does.READ, search.of_type),
    Route("POST", "{type}", "create", Does.WRITE, interactions.create, Body.RESOURCE, writes.checked),
    Route("PUT", "{type}", "update", Does.WRITE, interactions.conditional_update, Body.RESOURCE, writes.checked),
    Route("PATCH", "{type}", "patch", Does.WRITE, interactions.conditional_patch, Body.PATCH),
    Route("DELETE", "{type}", "delete", Does.WRITE, interactions.conditional_delete),
    Route("GET", "{type}/_history", "history-type", Does.READ, history.of_type),
    Route("GET", "{type}/{id}", "read", Does.READ_ONE, interactions.read),
    Route("PUT", "{type}/{id}", "update", Does.WRITE, interactions.update, Body.RESOURCE, writes.with_id_of_address),
    Route("PATCH", "{type}/{id}", "patch", Does.WRITE, interactions.patch_resource, Body.PATCH),
    Route("DELETE", "{type}/{id}", "delete", Does.WRITE, interactions.delete),
    Route("GET", "{type}/{id}/_history", "history-instance", Does.READ, history.instance),
    Route("GET", "{type}/{id}/_history/{version}", "vread", Does.READ_ONE, interactions.vread),
)


#: Where the endpoint stands on the server.
PREFIX = "/fhir"

LARGE = 100_000  # bytes of a body that takes so long to read that it is done beside the event loop

T = TypeVar("T")


def is_below(path: str) -> bool:
    """Whether an address belongs to the endpoint."""
    return path.startswith(PREFIX) and path[len(PREFIX) : len(PREFIX) + 1] in ("", "/")


class Endpoint:
    """The FHIR endpoint as an ASGI application."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        begun = time.perf_counter()
        name, response = await self._answer(request)
        await response(scope, receive, send)
        self.gateway.metrics.requests.labels(name, str(response.status_code)).inc()
        self.gateway.metrics.request_seconds.labels(name).observe(time.perf_counter() - begun)

    async def _answer(self, request: Request) -> tuple[str, Response]:
        """The name of the interaction and its response; a refusal is kept with its bytes before it is told."""
        name, body, wanted = "unknown", b"", formats.JSON
        try:
            authorise(self.gateway, request)
            path = _path(request)
            pairs = requests.query(request)
            wanted = requests.wanted_format(request, pairs, path)
            route, parts = TABLE.find(request.method, path)
            name = route.name
            if route.body is not Body.NONE or request.method in ("POST", "PUT", "PATCH"):
                body = await requests.read_body(request, self.gateway.settings.rest)
            ask = await _beside(body, requests.ask, self.gateway, TABLE, request, route, parts, pairs, body)
            if route.body is Body.FORM:
                wanted = requests.wanted_format(request, ask.pairs, path)
            answer = await perform(route, ask)
            return name, await _beside(body, _rendered, ask, answer, wanted)
        except outcomes.Refused as refusal:
            await self._keep_refused(request, body, refusal.status)
            return name, formats.refusal(refusal.resource, refusal.status, wanted, **refusal.headers)
        except (errors.StoreUnavailable, sa.exc.OperationalError, sa.exc.InterfaceError) as error:
            log.error("store unavailable", interaction=name, cause=type(error.__cause__).__name__)
            issue = outcomes.Issue("transient", errors.StoreUnavailable().message)
            return name, formats.refusal(outcomes.outcome(issue), 503, wanted, **{"Retry-After": "5"})
        except Exception as error:  # noqa: BLE001 - the last resort: say nothing of the content
            log.error("unexpected error", interaction=name, error=type(error).__name__, at=errors.place(error))
            await self._keep_refused(request, body, 500)
            issue = outcomes.Issue("exception", "The gateway failed. The log names the place.")
            return name, formats.refusal(outcomes.outcome(issue), 500)

    async def _keep_refused(self, request: Request, body: bytes, status: int) -> None:
        """Everything received is kept, also what was refused; a search by POST is a question, not a message."""
        if body and not request.scope["path"].endswith("/_search"):
            message = requests.message(request, body)
            try:
                await self.gateway.database.write(lambda unit: inbox.keep(unit, message, status=status))
            except (errors.StoreUnavailable, sa.exc.SQLAlchemyError):
                log.error("a refused request could not be kept", status=status)


async def _beside(body: bytes, work: Callable[..., T], *arguments: Any) -> T:
    """What `work` gives; for a large body in a thread, so that the others do not wait for it."""
    if len(body) <= LARGE:
        return work(*arguments)
    return await asyncio.to_thread(work, *arguments)


async def perform(route: Route, ask: Ask) -> Answer:
    """What the interaction answers, done in the way that the table says; what was read is audited."""
    store = ask.gateway.database
    if route.prepare is not None:
        ask = await _beside(ask.message.body, route.prepare, ask)
    if route.does is Does.ANSWER:
        answer = await _beside(ask.message.body, route.answers, ask)
    elif route.does is Does.READ_ONE:
        answer = await store.read_one(lambda connection: route.reads(connection, ask))
    elif route.does is Does.READ:
        answer = await store.read(lambda connection: route.reads(connection, ask))
    elif route.does is Does.WRITE:
        answer = await store.write(lambda unit: _written(unit, route, ask))
    else:
        answer = await route.bundles(ask, perform)
    if answer.seen:
        ask.gateway.reads.accessed(ask.gateway.device, route.name, answer.seen)
    return answer


def _written(unit: database.Unit, route: Route, ask: Ask) -> Answer:
    """The interaction, the request's bytes, the audit row and the runs that it starts: one durable commit."""
    answer = route.writes(unit, ask)
    if not ask.is_entry:
        inbox.keep(unit, ask.message, status=answer.status, key=ask.key)
    writes.settle(unit, ask)
    return answer


def _rendered(ask: Ask, answer: Answer, wanted: formats.Format) -> Response:
    """The answer in the wanted format. What was written is written: its resource is told in JSON where XML cannot."""
    try:
        return render.response(ask, answer, wanted)
    except xml.NotInXml:
        if answer.written:
            return render.response(ask, answer, formats.JSON)
        raise formats.not_in_xml() from None


def _path(request: Request) -> str:
    """The address below /fhir; 400 for one that no store can look for."""
    path: str = request.scope["path"]
    if "\x00" in path:
        raise outcomes.bad_request("The address holds the character U+0000.")
    return path.removeprefix(PREFIX).strip("/")


def authorise(gateway: Gateway, request: Request) -> None:
    """Refuse a request without the token (401), and where there is none one that came by another name (421, 403)."""
    if gateway.token is None:
        _came_to_this_host(gateway, request)
    if gateway.token is None or _path(request) == "metadata":
        return
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {gateway.token}".encode()):
        raise outcomes.Refused(401, outcomes.Issue("login", "This gateway wants a bearer token."))


def _came_to_this_host(gateway: Gateway, request: Request) -> None:
    """Without a token a page in a browser here could reach the gateway by a name of its own (DNS rebinding)."""
    if not _is_ours(requests.host(request), gateway.settings.server.base_url or ""):
        text = "The Host header names another host than this one."
        raise outcomes.Refused(421, outcomes.Issue("security", text))
    origin = request.headers.get("origin")
    if origin is not None and not _is_ours(origin.partition("//")[2], gateway.settings.server.base_url or ""):
        text = "Without a bearer token no page of another site may call this gateway."
        raise outcomes.Refused(403, outcomes.Issue("security", text))


@functools.lru_cache(maxsize=64)
def _is_ours(host: str, base_url: str) -> bool:
    """Whether a Host header names this machine, or the configured address."""
    try:
        called = urllib.parse.urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return called == urllib.parse.urlsplit(base_url).hostname or settings.is_loopback(called)


async def no_such_route(_request: Request, error: Exception) -> Response:
    """An address or a method that the service does not have outside /fhir, as an OperationOutcome."""
    assert isinstance(error, HTTPException)
    text = (
        "This address does not allow this method." if error.status_code == 405 else "There is nothing at this address."
    )
    issue = outcomes.Issue("not-supported" if error.status_code == 405 else "not-found", text)
    return formats.refusal(outcomes.outcome(issue), error.status_code, formats.JSON, **dict(error.headers or {}))
