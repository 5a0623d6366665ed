"""One HTTP request to a Subscription's endpoint. https://hl7.org/fhir/R4/subscription.html#channels

The rest-hook of R4 (http://hl7.org/fhir/subscription-channel-type): "The channel is executed by making a post to the
URI. If a payload is included, the URL is interpreted as the service base, and an update (PUT) is made."
"""

from __future__ import annotations

import asyncio
from http import cookiejar

import httpx

import fhir_gateway
from fhir_gateway.store import resources
from fhir_gateway.subscriptions import channel

CONNECTIONS = 16  # requests at once, all Subscriptions together
_KEPT = 2.0  # seconds an idle connection is used again: less than servers keep it, so that none breaks off in a request
_MAX_ANSWER = 65_536  # bytes of an answer that are read so that its connection can be used again


class Failed(Exception):
    """A request was not answered with 2xx. `words` say why, `kind` is its status or the type of the error for the log.

    `is_final` says that another try cannot help.
    """

    def __init__(self, words: str, kind: str, *, is_final: bool = False) -> None:
        super().__init__(kind)
        self.words = words
        self.kind = kind
        self.is_final = is_final


class Sender:
    """Sends with few connections at a time. No proxy, no redirect, no cookie, no credential but the channel's own."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout = timeout_seconds
        self._turn = asyncio.Semaphore(CONNECTIONS)
        self._http = httpx.AsyncClient(
            headers={"User-Agent": f"fhir-gateway/{fhir_gateway.__version__}"},
            cookies=cookiejar.CookieJar(cookiejar.DefaultCookiePolicy(allowed_domains=[])),
            timeout=timeout_seconds,
            limits=httpx.Limits(max_keepalive_connections=CONNECTIONS, keepalive_expiry=_KEPT),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def shake_hands(self, target: channel.Channel) -> None:
        """POST without a body to the endpoint. Raises Failed."""
        await self._send("POST", target.endpoint, target.headers)

    async def notify(self, target: channel.Channel, stored: resources.Stored) -> None:
        """Tell of a version: POST without a body; with a payload PUT to its place below the endpoint. Raises Failed."""
        if target.payload is None:
            await self._send("POST", target.endpoint, target.headers)
            return
        url = httpx.URL(f"{str(target.endpoint).rstrip('/')}/{stored.type}/{stored.id}")
        body = await asyncio.to_thread(_payload, stored, target.payload)
        await self._send("PUT", url, (*target.headers, ("Content-Type", target.payload)), body)

    async def _send(
        self, method: str, url: httpx.URL, headers: tuple[tuple[str, str], ...], body: bytes | None = None
    ) -> None:
        status: int | None = None
        async with self._turn:
            try:
                async with (
                    asyncio.timeout(self._timeout),
                    self._http.stream(method, url, headers=list(headers), content=body) as response,
                ):
                    status = response.status_code
                    await _read(response)
            except (httpx.HTTPError, OSError) as error:
                if status is None:  # otherwise it has said all that matters
                    raise self._silent(error) from None
        if status is None or not 200 <= status <= 299:
            raise Failed(f"The endpoint answered {status}.", str(status))

    def _silent(self, error: Exception) -> Failed:
        kind = type(error).__name__
        if isinstance(error, httpx.TimeoutException | TimeoutError):
            return Failed(f"The endpoint did not answer within {self._timeout:g} s.", kind)
        return Failed(f"The endpoint could not be reached or broke off ({kind}).", kind)


async def _read(response: httpx.Response) -> None:
    """Read a short answer to its end, so that its connection can be used again."""
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > _MAX_ANSWER:
            return


def _payload(stored: resources.Stored, payload: str) -> bytes:
    assert stored.body is not None
    if payload != "application/fhir+xml":
        return stored.body
    from profiles import xml  # it reads R4's definitions, which JSON needs nothing of

    try:
        return xml.encode(stored.resource)
    except xml.NotInXml:
        raise Failed("The resource has no form in XML.", "NotInXml", is_final=True) from None
