"""The MLLP client against peers that behave badly in each way that was seen, over real sockets, on both event loops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from fhir_gateway.mllp import client, framing, tls
from tests.unit.mllp.helpers import LOOPS, Certificates, acknowledge, run, until

VT, FS, CR = framing.VT, framing.FS, framing.CR


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    """The name of an event loop."""
    return str(request.param)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of this module."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


class Conversation:
    """A connection as the peer sees it; `number` counts them from 0."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self._reader = reader
        self._writer = writer
        self._framer = framing.Framer(64 * 1_048_576)
        self._messages: list[bytes] = []

    async def message(self) -> bytes:
        """The next message; ConnectionError when there is none."""
        while not self._messages:
            data = await self._reader.read(65_536)
            if not data:
                raise ConnectionResetError
            self._messages += self._framer.feed(data)
        return self._messages.pop(0)

    async def say(self, *packets: bytes) -> None:
        """Bytes as they are, each packet by itself."""
        for packet in packets:
            self._writer.write(packet)
            await self._writer.drain()
            await asyncio.sleep(0.005 if len(packets) > 1 else 0)

    async def close(self) -> None:
        """End the connection, and return when the client's system knows."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class Peer:
    """A server whose behaviour `converse` is, for each connection."""

    def __init__(self, converse: Callable[[Conversation], Awaitable[None]]) -> None:
        self._converse = converse
        self._tasks: list[asyncio.Task[None]] = []
        self.connections = 0
        self.ended = 0

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin a conversation."""
        self._tasks.append(asyncio.create_task(self._serve(Conversation(self.connections, reader, writer))))
        self.connections += 1

    async def _serve(self, conversation: Conversation) -> None:
        try:
            await self._converse(conversation)
        except ConnectionError:
            pass  # the client has gone
        finally:
            await conversation.close()
            self.ended += 1

    async def stop(self) -> None:
        """End the conversations; raises what went wrong in one."""
        for task in self._tasks:
            task.cancel()
        for found in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(found, Exception):
                raise found


@contextlib.asynccontextmanager
async def sending(
    converse: Callable[[Conversation], Awaitable[None]],
    *,
    server_tls: ssl.SSLContext | None = None,
    client_tls: ssl.SSLContext | None = None,
    host: str = "localhost",
    timeout: float = 5,
) -> AsyncIterator[tuple[client.Client, Peer]]:
    """A client of a peer that behaves like that."""
    peer = Peer(converse)
    server = await asyncio.start_server(peer.accept, "127.0.0.1", 0, ssl=server_tls)
    port = server.sockets[0].getsockname()[1]
    sender = client.Client(host, port, tls=client_tls, timeout_seconds=timeout, connect_seconds=5)
    try:
        yield sender, peer
    finally:
        await sender.close()
        server.close()
        await peer.stop()


async def send(sender: client.Client, control_id: str = "m1", *, waits: bool = False) -> client.Answer:
    message = f"MSH|^~\\&|GW|H|KIS|H|2026||ADT^A01|{control_id}|P|2.5\r".encode()
    return await sender.send(message, control_id, wants_application_answer=waits)


async def fails(sender: client.Client, control_id: str = "m1", *, waits: bool = False) -> str:
    """The kind of failure."""
    with pytest.raises(client.SendFailed) as raised:
        await send(sender, control_id, waits=waits)
    return raised.value.kind


def control_id(message: bytes) -> str:
    return message.split(b"|")[9].decode()


def framed(code: str, answered: str, *fields: str) -> bytes:
    return framing.frame(acknowledge(code, answered, *fields))


async def answer_well(conversation: Conversation) -> None:
    """AA to each message."""
    while True:
        await conversation.say(framed("AA", control_id(await conversation.message())))


def then_well(once: Callable[[Conversation], Awaitable[None]]) -> Callable[[Conversation], Awaitable[None]]:
    """The first connection behaves like `once`, the others well."""

    async def converse(conversation: Conversation) -> None:
        await (once if conversation.number == 0 else answer_well)(conversation)

    return converse


def test_messages_share_a_connection(loop: str) -> None:
    async def scenario() -> None:
        async with sending(answer_well) as (sender, peer):
            for number in range(5):
                answer = await send(sender, f"m{number}")
                assert answer == client.Answer("AA", "", acknowledge("AA", f"m{number}"))
            assert peer.connections == 1
            assert sender.skipped == 0

    run(loop, scenario())


@pytest.mark.parametrize("code", ["AA", "AE", "AR", "CA", "CE", "CR"])
@pytest.mark.parametrize("waits", [False, True])
def test_each_code_is_final_but_a_commit_where_more_is_waited_for(loop: str, code: str, waits: bool) -> None:
    async def converse(conversation: Conversation) -> None:
        answered = control_id(await conversation.message())
        await conversation.say(framed(code, answered, "Müller"))
        await conversation.say(framed("AE", answered, "later"))
        await asyncio.Event().wait()

    async def scenario() -> None:
        async with sending(converse) as (sender, _peer):
            answer = await send(sender, waits=waits)
            goes_on = waits and code == "CA"
            assert (answer.code, answer.text) == (("AE", "later") if goes_on else (code, "Müller"))

    run(loop, scenario())


@pytest.mark.parametrize("packets", [1, 2])
@pytest.mark.parametrize("code", ["AA", "AE", "AR"])
def test_commit_and_answer(loop: str, packets: int, code: str) -> None:
    async def converse(conversation: Conversation) -> None:
        while True:
            answered = control_id(await conversation.message())
            both = framed("CA", answered), framed(code, answered, "why")
            await conversation.say(*(both if packets == 2 else [b"".join(both)]))

    async def scenario() -> None:
        async with sending(converse) as (sender, peer):
            for number in range(3):
                answer = await send(sender, f"m{number}", waits=True)
                assert (answer.code, answer.text) == (code, "why")
            assert (peer.connections, sender.skipped) == (1, 0)

    run(loop, scenario())


def test_an_answer_after_the_commit_that_nobody_waits_for_is_not_the_next_messages(loop: str) -> None:
    async def converse(conversation: Conversation) -> None:
        while True:
            answered = control_id(await conversation.message())
            await conversation.say(framed("CA", answered) + framed("AE", answered))

    async def scenario() -> None:
        async with sending(converse) as (sender, peer):
            for number in range(3):
                assert (await send(sender, f"m{number}")).code == "CA"
            assert (peer.connections, sender.skipped) == (1, 3)

    run(loop, scenario())


def test_a_commit_alone_is_no_answer(loop: str) -> None:
    async def converse(conversation: Conversation) -> None:
        await conversation.say(framed("CA", control_id(await conversation.message())))
        await asyncio.Event().wait()

    async def scenario() -> None:
        async with sending(then_well(converse), timeout=0.4) as (sender, peer):
            assert await fails(sender, waits=True) == "timeout"
            assert (await send(sender, waits=True)).code == "AA"
            assert peer.connections == 2

    run(loop, scenario())


def test_no_answer(loop: str) -> None:
    async def converse(conversation: Conversation) -> None:
        await conversation.message()
        await asyncio.Event().wait()

    async def scenario() -> None:
        async with sending(then_well(converse), timeout=0.4) as (sender, peer):
            assert await fails(sender) == "timeout"
            assert (await send(sender)).code == "AA"
            assert peer.connections == 2

    run(loop, scenario())


@pytest.mark.parametrize("named", ["m0", "", "m11", "M1", "m1 "])
def test_an_answer_to_another_message_is_not_taken(loop: str, named: str) -> None:
    async def converse(conversation: Conversation) -> None:
        await conversation.message()
        await conversation.say(framed("AE", named) + framed("AR", named))
        await conversation.say(framed("AA", "m1"))
        await conversation.message()
        await conversation.say(framed("AE", named))

    async def scenario() -> None:
        async with sending(converse, timeout=0.4) as (sender, _peer):
            assert (await send(sender)).code == "AA"
            assert sender.skipped == 2
            assert await fails(sender, "m2") in ("timeout", "connection lost")
            assert sender.skipped == 3

    run(loop, scenario())


def test_a_late_answer_is_not_the_next_messages(loop: str) -> None:
    """Neither with another control id nor, as it was sent again, with the same."""

    async def scenario() -> None:
        is_late, is_said = asyncio.Event(), asyncio.Event()

        async def converse(conversation: Conversation) -> None:
            answered = control_id(await conversation.message())
            await is_late.wait()
            with contextlib.suppress(ConnectionError):
                await conversation.say(framed("AE", answered, "late"))
            is_said.set()

        async with sending(then_well(converse), timeout=0.4) as (sender, peer):
            assert await fails(sender) == "timeout"
            is_late.set()
            await is_said.wait()
            assert (await send(sender)).code == "AA"
            assert (await send(sender, "m2")).code == "AA"
            assert peer.connections == 2

    run(loop, scenario())


def test_an_answer_given_twice_is_not_taken_for_the_same_message_sent_again(loop: str) -> None:
    async def converse(conversation: Conversation) -> None:
        answered = control_id(await conversation.message())
        await conversation.say(framed("AE", answered, "busy"))
        await conversation.message()
        await conversation.say(framed("AE", answered, "busy"))

    async def scenario() -> None:
        async with sending(then_well(converse)) as (sender, peer):
            assert (await send(sender)).code == "AE"
            assert (await send(sender)).code == "AA"
            assert peer.connections == 2

    run(loop, scenario())


def test_an_answer_byte_for_byte(loop: str) -> None:
    async def converse(conversation: Conversation) -> None:
        answer = framed("AA", control_id(await conversation.message()))
        await conversation.say(*[answer[at : at + 1] for at in range(6)], answer[6:-2], FS, CR)

    async def scenario() -> None:
        async with sending(converse) as (sender, _peer):
            assert (await send(sender)).code == "AA"

    run(loop, scenario())


@pytest.mark.parametrize(("size", "ends"), [(1_000_000, "AA"), (1_100_000, "not an answer")])
def test_a_large_answer(loop: str, size: int, ends: str) -> None:
    async def converse(conversation: Conversation) -> None:
        await conversation.message()
        await conversation.say(framed("AA", "m1", "x" * size))
        await asyncio.Event().wait()

    async def scenario() -> None:
        async with sending(then_well(converse)) as (sender, peer):
            if ends == "AA":
                answer = await send(sender)
                assert (answer.code, answer.text) == ("AA", "x" * 200)
                assert len(answer.raw) > size
            else:
                assert await fails(sender) == ends
                assert (await send(sender)).code == "AA"
                assert peer.connections == 2

    run(loop, scenario())


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nno",
        acknowledge("AA", "m1"),
        framing.frame(b"\x06"),
        framing.frame(b"MSH|^~\\&|KIS|H|GW|H|2026||ADT^A01|m1|P|2.5\r"),
        framed("XX", "m1"),
        framing.frame(b""),
        b"\x00" * 100_000,
    ],
    ids=["HTTP", "no frame", "MLLP 2", "a message", "no such code", "empty", "zeros"],
)
def test_what_is_not_an_answer_ends_the_connection(loop: str, said: bytes) -> None:
    async def converse(conversation: Conversation) -> None:
        await conversation.message()
        await conversation.say(said)
        await asyncio.Event().wait()

    async def scenario() -> None:
        async with sending(then_well(converse)) as (sender, peer):
            assert await fails(sender) == "not an answer"
            assert (await send(sender)).code == "AA"
            assert peer.connections == 2

    run(loop, scenario())


def test_line_ends_between_frames_do_not_matter(loop: str) -> None:
    async def converse(conversation: Conversation) -> None:
        while True:
            answer = framed("AA", control_id(await conversation.message()))
            await conversation.say(b"\r\n", answer, b"\r\n")

    async def scenario() -> None:
        async with sending(converse) as (sender, peer):
            for number in range(10):
                assert (await send(sender, f"m{number}")).code == "AA"
            assert peer.connections == 1

    run(loop, scenario())


@pytest.mark.parametrize("said", [b"", VT, VT + b"MSH|^~\\&|", framed("AA", "m1")[:-1]])
def test_a_connection_that_ends_before_the_answer_does(loop: str, said: bytes) -> None:
    async def converse(conversation: Conversation) -> None:
        await conversation.message()
        await conversation.say(said)

    async def scenario() -> None:
        async with sending(then_well(converse)) as (sender, peer):
            assert await fails(sender) == "connection lost"
            assert (await send(sender)).code == "AA"
            assert peer.connections == 2

    run(loop, scenario())


def test_a_peer_that_closes_after_each_message(loop: str) -> None:
    async def converse(conversation: Conversation) -> None:
        await conversation.say(framed("AA", control_id(await conversation.message())))

    async def scenario() -> None:
        async with sending(converse) as (sender, peer):
            for number in range(5):
                assert (await send(sender, f"m{number}")).code == "AA"
                while peer.ended <= number:
                    await asyncio.sleep(0)
            assert peer.connections == 5

    run(loop, scenario())


def test_half_a_frame_before_the_message_is_not_completed_to_its_answer(loop: str) -> None:
    async def converse(conversation: Conversation) -> None:
        answer = framed("AE", "m2")
        await conversation.message()
        await conversation.say(framed("AA", "m1") + answer[:20])
        await conversation.message()
        await conversation.say(answer[20:])

    async def scenario() -> None:
        async with sending(then_well(converse)) as (sender, peer):
            assert (await send(sender, "m1")).code == "AA"
            assert (await send(sender, "m2")).code == "AA"
            assert peer.connections == 2

    run(loop, scenario())


def test_messages_go_one_by_one(loop: str) -> None:
    async def scenario() -> None:
        waiting = 0

        async def converse(conversation: Conversation) -> None:
            nonlocal waiting
            while True:
                message = await conversation.message()
                waiting += 1
                await asyncio.sleep(0.01)
                assert waiting == 1
                waiting -= 1
                await conversation.say(framed("AA", control_id(message)))

        async with sending(converse) as (sender, peer):
            answers = await asyncio.gather(*[send(sender, f"m{number}") for number in range(10)])
            assert [answer.raw for answer in answers] == [acknowledge("AA", f"m{number}") for number in range(10)]
            assert peer.connections == 1

    run(loop, scenario())


def test_a_caller_that_gives_up_leaves_no_answer_behind(loop: str) -> None:
    async def scenario() -> None:
        is_there = asyncio.Event()

        async def converse(conversation: Conversation) -> None:
            await conversation.message()
            is_there.set()
            await asyncio.Event().wait()

        async with sending(then_well(converse)) as (sender, peer):
            task = asyncio.create_task(send(sender))
            await is_there.wait()
            task.cancel()
            await asyncio.wait([task])
            assert (await send(sender, "m2")).code == "AA"
            assert peer.connections == 2

    run(loop, scenario())


def test_a_message_of_32_mb(loop: str) -> None:
    message = b"MSH|^~\\&|GW|H|KIS|H|2026||MDM^T02|m1|P|2.5\r" + b"x" * 32 * 1_048_576

    async def converse(conversation: Conversation) -> None:
        await conversation.say(framed("AA" if await conversation.message() == message else "AE", "m1"))

    async def scenario() -> None:
        async with sending(converse) as (sender, _peer):
            assert (await sender.send(message, "m1", wants_application_answer=False)).code == "AA"

    run(loop, scenario())


def test_a_peer_that_reads_nothing(loop: str) -> None:
    async def converse(_conversation: Conversation) -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        async with sending(then_well(converse), timeout=0.4) as (sender, _peer):
            with pytest.raises(client.SendFailed, match="timeout"):
                await sender.send(b"x" * 32 * 1_048_576, "m1", wants_application_answer=False)
            assert (await send(sender)).code == "AA"

    run(loop, scenario())


def test_nobody_listens(loop: str) -> None:
    async def scenario() -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            sender = client.Client("127.0.0.1", probe.getsockname()[1], timeout_seconds=5, connect_seconds=5)
            assert await fails(sender) == "connect"
            await sender.close()

    run(loop, scenario())


def test_a_connection_that_is_not_made_in_time(loop: str, certificates: Certificates) -> None:
    """The peer takes the connection and says nothing to the TLS handshake."""

    async def converse(_conversation: Conversation) -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        async with sending(converse) as (_sender, peer):
            server = await asyncio.start_server(peer.accept, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            context = tls.client_context(certificates.pem("ca"), None, None)
            sender = client.Client("localhost", port, tls=context, timeout_seconds=5, connect_seconds=0.2)
            assert await fails(sender) == "connect"
            server.close()

    run(loop, scenario())


def test_closing_ends_the_connection_and_what_is_in_flight(loop: str) -> None:
    async def scenario() -> None:
        is_there = asyncio.Event()

        async def converse(conversation: Conversation) -> None:
            await conversation.message()
            is_there.set()
            await conversation.message()

        async with sending(then_well(converse)) as (sender, peer):
            failing = asyncio.create_task(fails(sender))
            await is_there.wait()
            await sender.close()
            assert await failing == "connection lost"
            await until(lambda: peer.ended == 1)
            assert (await send(sender)).code == "AA"
            assert peer.connections == 2

    run(loop, scenario())


def server_context(certificates: Certificates, name: str = "server", *, asks: bool = False) -> ssl.SSLContext:
    ca = certificates.pem("ca") if asks else None
    return tls.server_context(certificates.pem(name), certificates.key(name), ca)


def client_context(certificates: Certificates, ca: str = "ca", name: str | None = None) -> ssl.SSLContext:
    own = (certificates.pem(name), certificates.key(name)) if name else (None, None)
    return tls.client_context(certificates.pem(ca), *own)


def test_tls_on_both_sides(loop: str, certificates: Certificates) -> None:
    async def scenario() -> None:
        contexts: dict[str, Any] = {
            "server_tls": server_context(certificates, asks=True),
            "client_tls": client_context(certificates, name="client"),
        }
        async with sending(answer_well, **contexts) as (sender, peer):
            for number in range(3):
                assert (await send(sender, f"m{number}")).code == "AA"
            assert peer.connections == 1

    run(loop, scenario())


def test_a_tls_peer_that_closes_after_each_message(loop: str, certificates: Certificates) -> None:
    async def converse(conversation: Conversation) -> None:
        await conversation.say(framed("AA", control_id(await conversation.message())))

    async def scenario() -> None:
        contexts: dict[str, Any] = {
            "server_tls": server_context(certificates),
            "client_tls": client_context(certificates),
        }
        async with sending(converse, **contexts) as (sender, peer):
            for number in range(3):
                assert (await send(sender, f"m{number}")).code == "AA"
                await until(lambda number=number: peer.ended > number)  # type: ignore[misc]
            assert peer.connections == 3

    run(loop, scenario())


@pytest.mark.parametrize(("name", "ca"), [("elsewhere", "ca"), ("stranger", "ca"), ("server", "other_ca")])
def test_a_peer_that_is_not_who_it_should_be_gets_nothing(
    loop: str, certificates: Certificates, name: str, ca: str
) -> None:
    async def scenario() -> None:
        contexts: dict[str, Any] = {
            "server_tls": server_context(certificates, name),
            "client_tls": client_context(certificates, ca),
        }
        async with sending(answer_well, **contexts) as (sender, peer):
            assert await fails(sender) == "tls"
            assert peer.connections == 0

    run(loop, scenario())


def test_a_peer_that_wants_a_certificate(loop: str, certificates: Certificates) -> None:
    async def scenario() -> None:
        contexts: dict[str, Any] = {
            "server_tls": server_context(certificates, asks=True),
            "client_tls": client_context(certificates),
        }
        async with sending(answer_well, **contexts) as (sender, peer):
            assert await fails(sender) in ("tls", "connection lost")  # as the refusal or the end comes first
            assert peer.connections == 0

    run(loop, scenario())


@pytest.mark.parametrize("is_peer_plain", [True, False])
def test_tls_on_one_side_only(loop: str, certificates: Certificates, is_peer_plain: bool) -> None:
    async def converse(conversation: Conversation) -> None:
        await conversation.say(b"not TLS")

    async def scenario() -> None:
        context: dict[str, Any] = (
            {"client_tls": client_context(certificates)}
            if is_peer_plain
            else {"server_tls": server_context(certificates)}
        )
        async with sending(converse, **context, timeout=0.5) as (sender, _peer):
            assert await fails(sender) in (("tls", "connect") if is_peer_plain else ("connection lost", "timeout"))

    run(loop, scenario())
