"""The MLLP listener over real sockets: order, limits, failures, TLS and its end, on both event loops."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
import structlog

from fhir_gateway import errors
from fhir_gateway.mllp import framing, server, tls
from tests.unit.mllp.helpers import LOOPS, Certificates, Sender, run, until

VT, FS, CR = framing.VT, framing.FS, framing.CR


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    """The name of an event loop."""
    return str(request.param)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of this module."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


class Receiver:
    """Answers each message with itself in capitals, as soon as it may: see `hold` and `release`."""

    def __init__(self) -> None:
        self.begun: list[bytes] = []
        self.peers: list[server.Peer] = []
        self.ended: list[bytes] = []
        self.cancelled: list[bytes] = []
        self.failures: dict[bytes, Exception] = {}
        self._held: dict[bytes, asyncio.Event] = {}

    def hold(self, *messages: bytes) -> None:
        """These are not answered before they are released."""
        self._held |= {message: asyncio.Event() for message in messages}

    def release(self, *messages: bytes) -> None:
        """These, or all."""
        for message in messages or self._held:
            self._held[message].set()

    async def __call__(self, message: bytes, peer: server.Peer) -> Sequence[bytes]:
        self.begun.append(message)
        self.peers.append(peer)
        try:
            if message in self._held:
                await self._held[message].wait()
        except asyncio.CancelledError:
            self.cancelled.append(message)
            raise
        if message in self.failures:
            raise self.failures[message]
        self.ended.append(message)
        return [message.upper()]


@contextlib.asynccontextmanager
async def listening(
    receive: server.Receive, context: ssl.SSLContext | None = None, **limits: Any
) -> AsyncIterator[server.Listener]:
    """A listener on a free port; it is broken off at the end."""
    listener = await server.start("adt", "127.0.0.1", 0, receive, server.Limits(**limits), context)
    try:
        yield listener
    finally:
        await listener.close(0)


@contextlib.asynccontextmanager
async def connected(
    listener: server.Listener, context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Sender]:
    """A connection to the listener."""
    sender = Sender(*await asyncio.open_connection(host, listener.port, ssl=context))
    try:
        yield sender
    finally:
        await sender.close()


def frames(*messages: bytes) -> bytes:
    return b"".join(map(framing.frame, messages))


async def is_refused(port: int) -> bool:
    """Whether a new connection ends without a byte, or is not made."""
    try:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return True
    sender = Sender(_reader, writer)
    found = await sender.to_end()
    await sender.close()
    return not found


def test_a_message_is_answered_and_its_sender_known(loop: str) -> None:
    async def scenario() -> None:
        receiver = Receiver()
        async with listening(receiver) as listener, connected(listener) as sender:
            await sender.send(frames(b"a"))
            assert await sender.answers(1) == [b"A"]
            await sender.send(frames(b"b"))
            assert await sender.answers(1) == [b"B"]
            assert receiver.peers == [server.Peer("adt", listener.port, "127.0.0.1", None)] * 2

    run(loop, scenario())


def test_a_message_may_have_no_answer_or_some(loop: str) -> None:
    async def receive(message: bytes, _peer: server.Peer) -> Sequence[bytes]:
        return [b"%s%d" % (message, number) for number in range(int(message))]

    async def scenario() -> None:
        async with listening(receive) as listener, connected(listener) as sender:
            await sender.send(frames(b"0", b"2", b"0", b"1"))
            assert await sender.answers(3) == [b"20", b"21", b"10"]

    run(loop, scenario())


def test_many_messages_in_one_packet(loop: str) -> None:
    messages = [b"m%d" % number for number in range(1_000)]

    async def scenario() -> None:
        receiver = Receiver()
        async with listening(receiver) as listener, connected(listener) as sender:
            await sender.send(frames(*messages))
            assert await sender.answers(1_000) == [message.upper() for message in messages]
            assert receiver.begun == messages

    run(loop, scenario())


def test_a_message_byte_for_byte(loop: str) -> None:
    """Each byte is its own packet, so that also FS and CR come apart."""

    async def scenario() -> None:
        async with listening(Receiver()) as listener, connected(listener) as sender:
            for byte in frames(b"ab", b"c"):
                await sender.send(bytes([byte]))
                await asyncio.sleep(0.002)
            assert await sender.answers(2) == [b"AB", b"C"]

    run(loop, scenario())


def test_garbage_and_a_message_begun_anew(loop: str) -> None:
    async def scenario() -> None:
        receiver = Receiver()
        async with listening(receiver) as listener:
            async with connected(listener) as sender:
                await sender.send(b"GET / HTTP/1.1\r\n" + VT + b"lost" + frames(b"a") + b"\n" + frames(b"b"))
                assert await sender.answers(2) == [b"A", b"B"]
            await until(lambda: bool(logged))
        assert receiver.begun == [b"a", b"b"]

    with structlog.testing.capture_logs() as logged:
        run(loop, scenario())
    assert [(line["reason"], line["bytes_outside_messages"]) for line in logged] == [(None, 22)]


def test_answers_go_in_the_order_of_the_messages(loop: str) -> None:
    messages = [b"a", b"b", b"c", b"d"]

    async def scenario() -> None:
        receiver = Receiver()
        receiver.hold(b"a", b"c")
        async with listening(receiver) as listener, connected(listener) as sender:
            await sender.send(frames(*messages))
            await until(lambda: receiver.ended == [b"b", b"d"])
            receiver.release(b"c")
            await until(lambda: receiver.ended == [b"b", b"d", b"c"])
            receiver.release(b"a")
            assert await sender.answers(4) == [b"A", b"B", b"C", b"D"]
            assert receiver.begun == messages

    run(loop, scenario())


@pytest.mark.parametrize(("limits", "at_once"), [({"in_flight": 3}, 3), ({"message_bytes": 1_000}, 2)])
def test_no_more_is_worked_on_at_once_and_no_more_is_read(loop: str, limits: dict[str, Any], at_once: int) -> None:
    messages = [letter.encode() * 400 for letter in "abcdef"]
    filling = b"\n" * 32 * 1_048_576  # between frames; more than the system's buffers take

    async def scenario() -> None:
        receiver = Receiver()
        receiver.hold(*messages)
        async with listening(receiver, **limits) as listener, connected(listener) as sender:
            sending = asyncio.create_task(sender.send(frames(*messages) + filling))
            await until(lambda: len(receiver.begun) == at_once)
            await asyncio.wait([sending], timeout=0.2)
            assert not sending.done()
            assert len(receiver.begun) == at_once
            receiver.release(messages[0])
            await until(lambda: len(receiver.begun) == at_once + 1)
            assert await sender.answers(1) == [b"A" * 400]
            receiver.release()
            assert await sender.answers(5) == [message.upper() for message in messages[1:]]
            await sending

    run(loop, scenario())


def test_a_message_as_long_as_the_limit(loop: str) -> None:
    message = bytes(range(0x20, 0x7F)) * (32 * 1_048_576 // 95)
    message += b"x" * (32 * 1_048_576 - len(message))

    async def receive(got: bytes, _peer: server.Peer) -> Sequence[bytes]:
        return [b"%d %s" % (len(got), hashlib.sha256(got).hexdigest().encode())]

    async def scenario() -> None:
        async with listening(receive) as listener, connected(listener) as sender:
            await sender.send(frames(message, b"x"))
            assert await sender.answers(2) == [*await receive(message, peer), *await receive(b"x", peer)]

    peer = server.Peer("adt", 0, "", None)
    run(loop, scenario())


def test_a_message_too_large_ends_the_connection(loop: str) -> None:
    async def scenario() -> None:
        receiver = Receiver()
        async with listening(receiver, message_bytes=100) as listener:
            async with connected(listener) as sender:
                await sender.send(frames(b"a", b"x" * 101, b"b"))
                assert await sender.to_end() == [b"A"]
            async with connected(listener) as sender:
                await sender.send(VT + b"x" * 101)  # without an end
                assert await sender.to_end() == []
            async with connected(listener) as sender:
                await sender.send(frames(b"x" * 100))
                assert await sender.answers(1) == [b"X" * 100]
        assert receiver.begun == [b"a", b"x" * 100]

    with structlog.testing.capture_logs() as logged:
        run(loop, scenario())
    assert [line["reason"] for line in logged] == ["message too large"] * 2


def test_a_connection_ends_without_a_reset(loop: str) -> None:
    """Which would come where bytes of the peer are left unread, and could take its last answers away."""

    async def scenario() -> None:
        async with listening(Receiver(), message_bytes=100) as listener, connected(listener) as sender:
            await sender.send(frames(b"a") + VT + b"x" * 1_000_000)
            assert framing.Framer(100).feed(await sender.reader.read()) == [b"A"]

    run(loop, scenario())


@pytest.mark.parametrize("failure", [errors.StoreUnavailable(), ValueError("the patient's name")])
def test_what_cannot_be_received_ends_the_connection_without_an_answer(loop: str, failure: Exception) -> None:
    async def scenario() -> None:
        receiver = Receiver()
        receiver.hold(b"a", b"d")
        receiver.failures[b"b"] = failure
        async with listening(receiver) as listener:
            async with connected(listener) as sender:
                await sender.send(frames(b"a", b"b", b"c", b"d"))
                await until(lambda: receiver.ended == [b"c"])
                await sender.send(frames(b"e"))
                await asyncio.sleep(0.05)
                receiver.release(b"a")
                assert await sender.to_end() == [b"A"]
                await until(lambda: receiver.cancelled == [b"d"])
            async with connected(listener) as sender:
                await sender.send(frames(b"c"))
                assert await sender.answers(1) == [b"C"]
        assert b"e" not in receiver.begun

    with structlog.testing.capture_logs() as logged:
        run(loop, scenario())
    assert [line["event"] for line in logged] == ["mllp message not received", "mllp connection ended"]
    assert logged[0]["error"] == type(failure).__name__
    assert ("place" in logged[0]) == isinstance(failure, ValueError)
    assert "patient" not in str(logged)


def test_a_message_that_does_not_end_ends_the_connection(loop: str) -> None:
    """Also when a byte comes every now and then, and what came before is answered."""

    async def scenario() -> None:
        receiver = Receiver()
        async with listening(receiver, read_seconds=0.2) as listener, connected(listener) as sender:
            await sender.send(frames(b"a") + VT)
            dripping = asyncio.create_task(drip(sender))
            assert await sender.to_end() == [b"A"]
            dripping.cancel()
            await asyncio.wait([dripping])
        assert receiver.begun == [b"a"]

    async def drip(sender: Sender) -> None:
        while True:
            await sender.send(b"x")
            await asyncio.sleep(0.01)

    with structlog.testing.capture_logs() as logged:
        run(loop, scenario())
    assert [line["reason"] for line in logged] == ["message too slow"]


def test_messages_that_end_in_time_go_on_for_any_time(loop: str) -> None:
    """Each packet ends in the middle of a message."""

    async def scenario() -> None:
        async with listening(Receiver(), read_seconds=0.5) as listener, connected(listener) as sender:
            await sender.send(VT)
            for _ in range(6):
                await asyncio.sleep(0.12)
                await sender.send(b"a" + FS + CR + VT)
                assert await sender.answers(1) == [b"A"]

    run(loop, scenario())


def test_time_in_which_we_do_not_read_is_not_the_peers(loop: str) -> None:
    async def scenario() -> None:
        receiver = Receiver()
        receiver.hold(b"a")
        async with listening(receiver, read_seconds=0.5, in_flight=1) as listener, connected(listener) as sender:
            await sender.send(frames(b"a", b"b") + VT + b"c")
            await asyncio.sleep(0.6)
            receiver.release()
            assert await sender.answers(2) == [b"A", b"B"]
            await sender.send(FS + CR)
            assert await sender.answers(1) == [b"C"]

    run(loop, scenario())


def test_a_silent_connection_is_ended_but_not_while_it_waits_for_an_answer(loop: str) -> None:
    async def scenario() -> None:
        receiver = Receiver()
        receiver.hold(b"a")
        async with listening(receiver, idle_seconds=0.3) as listener:
            async with connected(listener) as sender:
                assert await sender.to_end() == []
            async with connected(listener) as sender:
                await sender.send(frames(b"a"))
                await asyncio.sleep(0.5)
                receiver.release()
                assert await sender.answers(1) == [b"A"]
                await sender.send(frames(b"b"))
                assert await sender.to_end() == [b"B"]

    with structlog.testing.capture_logs() as logged:
        run(loop, scenario())
    assert [(line["reason"], line["log_level"]) for line in logged] == [("idle", "info")] * 2


def test_too_many_connections(loop: str) -> None:
    async def scenario() -> None:
        async with listening(Receiver(), connections=2) as listener:
            async with connected(listener) as first, connected(listener) as second:
                for sender in (first, second):
                    await sender.send(frames(b"a"))
                    await sender.answers(1)
                for _ in range(3):
                    assert await is_refused(listener.port)
                await first.send(frames(b"b"))
                assert await first.answers(1) == [b"B"]
            while await is_answered(listener) is None:
                pass

    async def is_answered(listener: server.Listener) -> bool | None:
        """None where the connection before has not ended yet."""
        async with connected(listener) as sender:
            with contextlib.suppress(OSError):
                await sender.send(frames(b"c"))
                sender.writer.write_eof()
            return await sender.to_end() == [b"C"] or None

    with structlog.testing.capture_logs() as logged:
        run(loop, scenario())
    assert [line["event"] for line in logged] == ["mllp connection refused"]


def test_answers_that_are_not_read_do_not_pile_up(loop: str) -> None:
    calls: list[bytes] = []

    async def receive(message: bytes, _peer: server.Peer) -> Sequence[bytes]:
        calls.append(message)
        return [b"x" * 8 * 1_048_576]

    async def scenario() -> None:
        async with listening(receive, read_seconds=0.6, in_flight=2) as listener, connected(listener) as sender:
            await sender.send(frames(*[b"a"] * 50))
            await asyncio.sleep(0.2)
            assert len(calls) <= 5
            await until(lambda: bool(logged))

    with structlog.testing.capture_logs() as logged:
        run(loop, scenario())
    assert [line["reason"] for line in logged] == ["answer not taken"]


def test_a_peer_that_has_said_all_gets_its_answers(loop: str) -> None:
    async def scenario() -> None:
        receiver = Receiver()
        receiver.hold(b"a")
        async with listening(receiver) as listener, connected(listener) as sender:
            await sender.send(frames(b"a", b"b") + VT + b"not all of it")
            sender.writer.write_eof()
            await until(lambda: receiver.ended == [b"b"])
            receiver.release()
            assert await sender.to_end() == [b"A", b"B"]
        assert receiver.begun == [b"a", b"b"]

    with structlog.testing.capture_logs() as logged:
        run(loop, scenario())
    assert [line["reason"] for line in logged] == ["message broken off"]


def test_what_a_peer_sent_before_it_went_away_is_received(loop: str) -> None:
    async def scenario() -> None:
        receiver = Receiver()
        receiver.hold(b"a", b"b")
        async with listening(receiver) as listener:
            async with connected(listener) as sender:
                await sender.send(frames(b"a", b"b"))
                await until(lambda: receiver.begun == [b"a", b"b"])
                sender.writer.transport.abort()
            receiver.release()
            await until(lambda: sorted(receiver.ended) == [b"a", b"b"])

    run(loop, scenario())


def test_the_end_waits_for_what_has_come(loop: str) -> None:
    """Three messages worked on, two read that wait for room, a part of one, and a connection without any."""

    async def scenario() -> None:
        receiver = Receiver()
        receiver.hold(b"a", b"c")
        async with (
            listening(receiver, in_flight=3) as listener,
            connected(listener) as sender,
            connected(listener) as silent,
        ):
            await sender.send(frames(b"a", b"b", b"c", b"d"))
            await until(lambda: receiver.begun == [b"a", b"b", b"c"])
            await sender.send(frames(b"e") + VT + b"not all of it")
            await asyncio.sleep(0.05)
            closing = asyncio.create_task(listener.close(5))
            assert await silent.to_end() == []
            assert await is_refused(listener.port)
            receiver.release(b"a")
            assert await sender.answers(2) == [b"A", b"B"]
            await sender.send(FS + CR + frames(b"f"))
            receiver.release()
            assert await sender.to_end() == [b"C", b"D", b"E"]
            await sender.close()
            await silent.close()
            await closing
        assert receiver.begun == [b"a", b"b", b"c", b"d", b"e"]

    run(loop, scenario())


def test_the_end_does_not_wait_longer_than_it_may(loop: str) -> None:
    async def scenario() -> None:
        receiver = Receiver()
        receiver.hold(b"a", b"b")
        async with listening(receiver) as listener, connected(listener) as sender:
            await sender.send(frames(b"a", b"b"))
            await until(lambda: receiver.begun == [b"a", b"b"])
            await listener.close(0.05)
            assert sorted(receiver.cancelled) == [b"a", b"b"]
            assert await sender.to_end() == []

    run(loop, scenario())


def test_a_port_that_cannot_be_had(loop: str) -> None:
    async def scenario() -> None:
        async with listening(Receiver()) as listener:
            with pytest.raises(errors.ConfigurationError) as raised:
                await server.start("mdm", "127.0.0.1", listener.port, Receiver(), server.Limits())
            assert raised.value.message == (
                f"The MLLP port {listener.port} on 127.0.0.1 cannot be opened: Address already in use."
            )
            with pytest.raises(errors.ConfigurationError, match=r"on no\.such\.host\.invalid cannot be opened: "):
                await server.start("mdm", "no.such.host.invalid", 0, Receiver(), server.Limits())

    run(loop, scenario())


def test_a_system_that_gives_no_connection_is_asked_again(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_ACCEPT_PAUSE", 0.01)

    async def scenario() -> None:
        running = asyncio.get_running_loop()
        accept = running.sock_accept
        failures: list[OSError] = [ConnectionAbortedError(), OSError(errno.EMFILE, "Too many open files")]

        async def failing(listening: socket.socket) -> tuple[socket.socket, Any]:
            if failures:
                raise failures.pop()
            return await accept(listening)

        monkeypatch.setattr(running, "sock_accept", failing)
        async with listening(Receiver()) as listener, connected(listener) as sender:
            await sender.send(frames(b"a"))
            assert await sender.answers(1) == [b"A"]

    with structlog.testing.capture_logs() as logged:
        run(loop, scenario())
    assert [line["error"] for line in logged] == ["Too many open files"]


def server_context(certificates: Certificates, client_ca: str | None = None) -> ssl.SSLContext:
    ca = certificates.pem(client_ca) if client_ca else None
    return tls.server_context(certificates.pem("server"), certificates.key("server"), ca)


def client_context(certificates: Certificates, name: str | None = None) -> ssl.SSLContext:
    own = (certificates.pem(name), certificates.key(name)) if name else (None, None)
    return tls.client_context(certificates.pem("ca"), *own)


@pytest.mark.parametrize(
    ("client_ca", "shown", "known_as"),
    [
        (None, None, None),
        (None, "client", None),
        ("ca", "client", "kis.klinik.example"),
        ("ca", "nameless", "first.klinik.example"),
    ],
)
def test_tls(
    loop: str, certificates: Certificates, client_ca: str | None, shown: str | None, known_as: str | None
) -> None:
    message = b"a" * 1_000_000

    async def scenario() -> None:
        receiver = Receiver()
        async with (
            listening(receiver, server_context(certificates, client_ca)) as listener,
            connected(listener, client_context(certificates, shown), "localhost") as sender,
        ):
            await sender.send(frames(message, b"b"))
            assert await sender.answers(2) == [message.upper(), b"B"]
            assert receiver.peers == [server.Peer("adt", listener.port, "127.0.0.1", known_as)] * 2
            closing = asyncio.create_task(listener.close(5))
            assert await sender.to_end() == []
            await closing

    run(loop, scenario())


@pytest.mark.parametrize("shown", [None, "stranger"])
def test_a_client_without_a_certificate_of_the_ca_gets_no_answer(
    loop: str, certificates: Certificates, shown: str | None
) -> None:
    async def scenario() -> None:
        receiver = Receiver()
        async with listening(receiver, server_context(certificates, "ca")) as listener:
            with contextlib.suppress(OSError):  # TLS 1.3 tells it only after its own part of the handshake
                async with connected(listener, client_context(certificates, shown), "localhost") as sender:
                    await sender.send(frames(b"a"))
                    assert await sender.to_end() == []
            await until(lambda: bool(logged))
        assert not receiver.begun

    with structlog.testing.capture_logs() as logged:
        run(loop, scenario())
    assert [line["event"] for line in logged] == ["mllp handshake failed"]


@pytest.mark.parametrize("said", [b"", frames(b"a"), b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "MLLP", "a part"])
def test_a_handshake_that_does_not_end(loop: str, certificates: Certificates, said: bytes) -> None:
    async def scenario() -> None:
        receiver = Receiver()
        context = server_context(certificates)
        async with (
            listening(receiver, context, read_seconds=0.2) as listener,
            connected(listener) as sender,
        ):
            await sender.send(said)
            assert await sender.to_end() == []
            await until(lambda: bool(logged))
        assert not receiver.begun

    with structlog.testing.capture_logs() as logged:
        run(loop, scenario())
    assert [line["event"] for line in logged] == ["mllp handshake failed"]


def test_a_handshake_counts_as_a_connection_and_does_not_delay_the_end(loop: str, certificates: Certificates) -> None:
    async def scenario() -> None:
        async with (
            listening(Receiver(), server_context(certificates), connections=1) as listener,
            connected(listener) as sender,
        ):
            assert await is_refused(listener.port)
            await listener.close(60)
            assert await sender.to_end() == []

    run(loop, scenario())


def test_ipv6(loop: str) -> None:
    async def scenario(found: Callable[[], socket.socket]) -> None:
        try:
            found().close()
        except OSError:
            pytest.skip("needs IPv6 on the loopback interface")
        listener = await server.start("adt", "::1", 0, Receiver(), server.Limits())
        async with connected(listener, host="::1") as sender:
            await sender.send(frames(b"a"))
            assert await sender.answers(1) == [b"A"]
        await listener.close(1)

    run(loop, scenario(lambda: socket.create_server(("::1", 0), family=socket.AF_INET6)))
