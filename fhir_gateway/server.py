"""The process: uvicorn with our application, our logs, and an end within ten seconds of SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fhir_gateway import app, errors, logs, settings

MAX_HEAD = 65_536  # bytes of a request's line and headers
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

log = structlog.get_logger()


class _Server(uvicorn.Server):
    """Says where it listens once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            for server in self.servers:
                for listening in server.sockets:
                    host, port = listening.getsockname()[:2]
                    log.info("listening", url=f"http://{host}:{port}/fhir")


def _protocol(header_seconds: float) -> type[HttpToolsProtocol]:
    """uvicorn's HTTP protocol; it ends a connection whose request head is too large, or takes too long to come."""

    class Protocol(HttpToolsProtocol):
        _clock: asyncio.TimerHandle | None = None  # runs while a request head is waited for
        _head = 0  # bytes of it that have come

        def data_received(self, data: bytes) -> None:
            if self._clock is not None:
                end = data.find(b"\r\n\r\n")
                self._head += len(data) if end < 0 else end
                if self._head > MAX_HEAD:
                    self.transport.write(_TOO_LARGE)
                    self.transport.close()
                    return
            super().data_received(data)

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._wait_for_head()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._clock is None:
                self._wait_for_head()

        def on_headers_complete(self) -> None:
            self._stop_waiting()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _wait_for_head(self) -> None:
            self._clock = self.loop.call_later(header_seconds, self.transport.close)
            self._head = 0

        def _stop_waiting(self) -> None:
            if self._clock is not None:
                self._clock.cancel()
                self._clock = None

    return Protocol


def serve(config: settings.Settings) -> int:
    """Run until stopped; the exit code. Raises the reason when the start failed."""
    logs.configure()
    listener = _bind(config.server.host, config.server.port)
    application = app.build(config)
    options = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, int(config.server.drain_seconds / 2)),
        timeout_keep_alive=30,
        http=_protocol(config.rest.header_seconds),
    )
    server = _Server(options)
    try:
        # SystemExit is uvicorn's way to say that the start failed; the reason stands in `failure`.
        loop = asyncio.Runner(loop_factory=options.get_loop_factory())
        with contextlib.suppress(SystemExit), loop as runner:
            runner.run(server.serve([listener]))
    finally:
        listener.close()
    failure = getattr(application.state, "failure", None)
    if failure is not None:
        raise failure
    return 0 if server.started else 1


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, _kind, _proto, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else an answer waits 40 ms for its own head
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        raise errors.ConfigurationError(f"The port {port} on {host} cannot be opened: {error.strerror}.") from None
    return listener
