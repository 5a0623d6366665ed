"""The wire to one model server: its addresses, TLS, its key, and what may be sent again.

Only the configured origin is ever addressed. No proxy of the environment is used and no redirect is followed, since
either would take patient data elsewhere. Compressed bodies are refused: a small one can become a large one.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import re
import ssl
import urllib.parse
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Literal, cast

import httpx

from pipeline.engines import base, house, options

PAUSES = (0.25, 1.0)  # seconds before the second and the third try
_IDLE_SECONDS = 4.0  # an idle connection is kept so long; llama.cpp, uvicorn and Node end theirs after five
_DRAIN_SECONDS = 0.5
_DRAIN_BYTES = 65_536
_PAGE_BYTES = 4 * 1_048_576  # of a page that tells of the server
_BUSY = frozenset({429, 503})
_LONGEST_NAME = 253  # characters
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBERS = re.compile(r"[0-9.]+")
_GONE = frozenset({404, 405, 501})
_NOT_READY = frozenset({408, 425, 429, 502, 503, 504})

#: What a status other than 200 means, by status and then by its hundred.
_STATUS: dict[int, tuple[base.Kind, str]] = {
    3: ("disabled", "The server redirects to another address, which is never followed; name the final one as url"),
    4: ("refused", "The server refused the request"),
    5: ("unavailable", "The server has an error"),
    401: ("disabled", "The server refuses the key; check key_file"),
    403: ("disabled", "The server forbids the request; check key_file"),
    404: ("disabled", "The server does not know the model or the address; check model and url"),
    408: ("unavailable", "The server waited too long for the request"),
    425: ("unavailable", "The server is not ready"),
    429: ("unavailable", "The server is asked too often"),
    503: ("unavailable", "The server is busy or loads its model"),
}


class Lost(base.Failure):
    """There was no connection, it broke, or the server is not ready: who answers next must pass the canary."""

    def __init__(self, text: str) -> None:
        super().__init__("unavailable", text)


class Unanswered(Lost):
    """Nobody answered the request, so it may be sent again, once whoever is there now has passed the canary."""


class Outside(base.Failure):
    """The server stands outside the building."""

    def __init__(self, address: str) -> None:
        text = f"{address} is no address of the house; name its network in networks of the model if it is."
        super().__init__("disabled", text)


class Wire:
    """A pool of at most `parallel` connections to the server. Raises base.NotUsable for what can never work."""

    def __init__(self, model: options.OpenAI) -> None:
        self.root = _root(model.url)
        self.made = 0  # connections so far
        self._networks = model.networks
        self._key_file = model.key_file
        if model.key_file is not None:
            try:
                _key(model.key_file)
            except ValueError as error:
                raise base.NotUsable(str(error)) from None
        self._http = httpx.AsyncClient(
            verify=_trust(model.ca, self.root),
            headers={"User-Agent": "fhir-gateway", "Accept-Encoding": "identity"},
            timeout=httpx.Timeout(model.read_seconds, connect=model.connect_seconds, pool=None),
            limits=httpx.Limits(
                max_connections=model.parallel,
                max_keepalive_connections=model.parallel,
                keepalive_expiry=_IDLE_SECONDS,
            ),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """End all connections."""
        await self._http.aclose()

    async def page(self, path: str, until: float, *, again: bool = True) -> Any:
        """The JSON of a page; None where the server has no such page. Raises base.Failure for everything else."""
        async with self._response("GET", path, None, until, again=again) as response:
            if response.status_code in _GONE:
                return None
            if response.status_code != 200:
                raise failure(response.status_code)
            _check_encoding(response)
            content = bytearray()
            async with _raw(response) as chunks:
                async for chunk in chunks:
                    content += chunk
                    if len(content) > _PAGE_BYTES:
                        raise base.Failure("unavailable", f"The server's page {path} has no end.")
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            return None

    @contextlib.asynccontextmanager
    async def ask(
        self, body: dict[str, Any], until: float, known_until: float | None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of the event stream that answers `body`. Whoever leaves by an exception ends the connection.

        `until` is a time of the running loop; no pause before another try goes beyond it. Until `known_until` it is
        certain who is at the other end of a new connection; after it, and when it is sent again, `body` goes only
        over a connection that is there already, or Unanswered is raised. None: `body` holds nothing of a patient.
        """
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        path = "/v1/chat/completions"
        async with self._response("POST", path, content, until, again=True, known_until=known_until) as response:
            if response.status_code != 200:
                raise failure(response.status_code)
            _check_encoding(response)
            if response.headers.get("content-type", "").partition(";")[0].strip().lower() != "text/event-stream":
                raise base.Failure(
                    "unavailable", "The server answered 200, but not with the stream that was asked for."
                )
            async with _raw(response) as chunks:
                yield chunks
                await _drain(chunks)

    @contextlib.asynccontextmanager
    async def _response(
        self, method: Literal["GET", "POST"], path: str, content: bytes | None, until: float, *,
        again: bool, known_until: float | None = None,
    ) -> AsyncIterator[httpx.Response]:  # fmt: skip
        with _named_failures():
            response = await self._send(method, path, content, until, again=again, known_until=known_until)
            try:
                yield response
            finally:
                await response.aclose()

    async def _send(
        self, method: Literal["GET", "POST"], path: str, content: bytes | None, until: float, *,
        again: bool, known_until: float | None,
    ) -> httpx.Response:  # fmt: skip
        """The first response. A request that nobody answered, or that was put off, is sent again."""
        trusted = known_until
        for pause in (*(PAUSES if again else ()), None):
            request = self._http.build_request(
                method, f"{self.root}{path}", content=content, headers=self._headers(method),
                extensions={"trace": self._trace(trusted)},
            )  # fmt: skip
            try:
                response = await self._http.send(request, stream=True)
            except (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError) as error:
                if not _may_be_repeated(error):
                    raise
                if known_until is not None:
                    raise Unanswered("The model server did not answer the request.") from None
                if pause is None:
                    raise
                wait = pause
            else:
                wait = _put_off(response, pause)
                if pause is None or response.status_code not in _BUSY or _now() + wait >= until:
                    return response
                async with _raw(response) as chunks:
                    await _drain(chunks)
                await response.aclose()
            await asyncio.sleep(wait)
            trusted = None if known_until is None else 0.0
        raise AssertionError("the last try returns or raises")

    def _headers(self, method: str) -> dict[str, str]:
        headers = {"Content-Type": "application/json"} if method == "POST" else {}
        if self._key_file is not None:
            try:
                headers["Authorization"] = f"Bearer {_key(self._key_file)}"
            except ValueError as error:
                raise base.Failure("disabled", str(error)) from None
        return headers

    def _trace(self, known_until: float | None) -> Callable[[str, dict[str, Any]], Awaitable[None]]:
        """What watches a request's connection: whether it may be made, and where it leads, before a byte is sent."""

        async def trace(event: str, details: dict[str, Any]) -> None:
            if event == "connection.connect_tcp.started" and known_until is not None and _now() >= known_until:
                raise Unanswered("The connection to the model server has ended.")
            if event == "connection.connect_tcp.complete":
                self.made += 1
                await self._stays_in_the_house(details["return_value"])

        return trace

    async def _stays_in_the_house(self, connection: Any) -> None:
        """End a new connection to an address outside: its look-up was another than the one that was checked before."""
        peer = connection.get_extra_info("server_addr")
        if peer is not None and house.is_inside(str(peer[0]), self._networks):
            return
        await connection.aclose()
        raise Outside(str(peer[0])) if peer is not None else Lost("The connection to the model server broke.")


def failure(status: int) -> base.Failure:
    """What a status other than 200 means."""
    kind, text = _STATUS.get(status) or _STATUS.get(status // 100, ("unavailable", "The server answered oddly"))
    said = f"{text} (HTTP {status})."
    return Lost(said) if status in _NOT_READY else base.Failure(kind, said)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _root(url: str) -> str:
    """The origin and path before `/v1`."""
    try:
        parts = urllib.parse.urlsplit(url)
        has_port = parts.port != 0
    except ValueError:
        raise base.NotUsable(
            "The url of the model server cannot be read; write it like http://127.0.0.1:8000/v1."
        ) from None
    if parts.username is not None or parts.password is not None:
        raise base.NotUsable("The url of the model server must hold no user or password; put the key into key_file.")
    if parts.scheme not in {"http", "https"} or not parts.hostname or not has_port or not url.isascii() or " " in url:
        raise base.NotUsable("The url of the model server must be like http://127.0.0.1:8000/v1.")
    if not _is_host(url, parts.hostname):
        raise base.NotUsable("The url of the model server names no host that there can be; check its name or address.")
    if parts.query or parts.fragment:
        raise base.NotUsable("The url of the model server must end with its path; remove what begins with ? or #.")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1').rstrip('/')}"


def _is_host(url: str, host: str) -> bool:
    """Whether a host is an address or a name that can be looked up: RFC 1123, and `_`, which containers' names have."""
    try:
        decoded = httpx.URL(url).host  # raises for what is no punycode
        if ":" in host or _NUMBERS.fullmatch(host):
            ipaddress.ip_address(host)
            return "%" not in decoded
    except (httpx.InvalidURL, ValueError):
        return False
    return len(host) <= _LONGEST_NAME and all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split("."))


def _key(file: Path) -> str:
    try:
        key = file.read_text("ascii").strip()
    except OSError as error:
        raise ValueError(f"The key file {file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        key = ""
    if not key.isprintable() or not key or " " in key:
        raise ValueError(f"The key file {file} must hold one key of printable ASCII characters without blanks.")
    return key


def _trust(ca: Path | None, root: str) -> ssl.SSLContext:
    """Whose certificates are trusted: the file's authorities alone, or the system's; none where there is no TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if ca is not None:
            context.load_verify_locations(ca)
        elif root.startswith("https:"):
            context.load_default_certs()
    except ssl.SSLError:
        raise base.NotUsable(f"The file {ca} holds no CA certificate in PEM.") from None
    except OSError as error:
        raise base.NotUsable(f"The file {ca} cannot be read: {error.strerror}.") from None
    return context


def _may_be_repeated(error: httpx.TransportError) -> bool:
    """Whether nothing came back. A connection that was idle may have ended while the request was on its way."""
    if isinstance(error, httpx.RemoteProtocolError):
        return "without sending a response" in str(error)
    return not _is_tls(error)


def _is_tls(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error is not None


def _raw(response: httpx.Response) -> contextlib.aclosing[AsyncGenerator[bytes, None]]:
    """The body as it comes; httpx hands out a generator, which is to be closed by whoever leaves early."""
    return contextlib.aclosing(cast(AsyncGenerator[bytes, None], response.aiter_raw()))


async def _drain(chunks: AsyncGenerator[bytes, None]) -> None:
    """Read what is left, so that the connection can be used again; not for long."""
    left = _DRAIN_BYTES
    with contextlib.suppress(TimeoutError, httpx.TransportError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for chunk in chunks:
                left -= len(chunk)
                if left < 0:
                    return


def _put_off(response: httpx.Response, pause: float | None) -> float:
    told = response.headers.get("retry-after", "")
    return max(pause or 0.0, float(told) if told.isascii() and told.isdigit() else 0.0)


def _check_encoding(response: httpx.Response) -> None:
    if response.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise base.Failure("unavailable", "The server compressed its answer although it was told not to.")


@contextlib.contextmanager
def _named_failures() -> Iterator[None]:
    """httpx' errors as ours."""
    try:
        yield
    except httpx.ConnectTimeout:
        raise Lost("No connection to the model server could be made in time.") from None
    except httpx.TimeoutException:
        raise base.Failure("timeout", "The model server was silent for too long.") from None
    except httpx.ConnectError as error:
        if _is_tls(error):
            text = "The model server's certificate is not trusted or is another host's; check ca and url."
            raise base.Failure("disabled", text) from None
        raise Lost("No connection to the model server could be made.") from None
    except httpx.TransportError:
        raise Lost("The connection to the model server broke.") from None
