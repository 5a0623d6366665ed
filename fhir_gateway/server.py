"""The process: uvicorn with our application, our logs, and an end within ten seconds of SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fhir_gateway import app, errors, logs, settings

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
    """uvicorn's HTTP protocol; it closes a connection whose request head takes longer than `header_seconds`."""

    class Protocol(HttpToolsProtocol):
        _clock: asyncio.TimerHandle | None = None

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
    server = _Server(
        uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=max(1, int(config.server.drain_seconds / 2)),
            timeout_keep_alive=30,
            http=_protocol(config.rest.header_seconds),
        )
    )
    try:
        with contextlib.suppress(
            SystemExit
        ):  # uvicorn's way to say that the start failed; the reason stands in `failure`
            asyncio.run(server.serve([listener]))
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
