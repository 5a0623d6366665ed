"""Sending HL7 v2: the queue, its order, and the worker against receivers that behave in every way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import structlog

from fhir_gateway import errors, settings
from fhir_gateway.messages import delivery, outgoing
from fhir_gateway.mllp import framing
from fhir_gateway.store import database
from tests import support
from tests.integration.hospital import Hospital

#: What a receiver says to a control id: a code, several codes one after the other, or nothing.
Says = Callable[[str], str]


@pytest.fixture
def opened(url: str) -> Iterator[Callable[..., Hospital]]:
    """A gateway with one destination, whose settings are given."""
    made: list[Hospital] = []

    def make(port: int, **more: Any) -> Hospital:
        options = {"timeout_seconds": 0.3, "backoff_seconds": 0.02, "attempts": 3, **more}
        destination = settings.Destination(host="127.0.0.1", port=port, results=("note",), **options)
        made.append(Hospital(url, destinations={"kis": destination}))
        return made[-1]

    yield make
    for hospital in made:
        hospital.close()


class Receiver:
    """An MLLP server. `says` gives the code of the answer to a control id; empty: no answer."""

    def __init__(self, says: Says) -> None:
        self.says = says
        self.got: list[str] = []
        self.port = 0

    @contextlib.asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[Receiver]:
        """It takes messages as long as the context."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = framing.Framer(1_048_576)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                for message in framer.feed(data):
                    number = message.decode().split("|")[9]
                    self.got.append(number)
                    for code in filter(None, self.says(number).split()):
                        answer = f"MSH|^~\\&|KIS||GW||2026||ACK|a|P|2.5\rMSA|{code}|{number}\r"
                        writer.write(framing.frame(answer.encode()))
                    await writer.drain()
        writer.close()


def queue(hospital: Hospital, *numbers: str, fault: str | None = None) -> None:
    """Queue messages; the first letter of a control id is its patient."""
    for number in numbers:
        body = f"MSH|^~\\&|GW||KIS||2026||MDM^T02|{number}|P|2.5\rPID|1||{number[0]}\r".encode()
        values: dict[str, Any] = {"control": number, "destination": "kis", "patient": number[0], "encounter": "e"}
        hospital.store.submit(
            lambda unit, values=values, body=body: outgoing.add(unit, **values, event="MDM^T02", body=body, fault=fault)
        ).result()


def states(hospital: Hospital) -> dict[str, tuple[str, int]]:
    """Control id to state and tries."""
    found = hospital.store.read_now(lambda connection: outgoing.listed(connection, None, 100))
    return {one.control: (one.state, one.attempts) for one in reversed(found)}


def is_done(hospital: Hospital) -> bool:
    """Whether nothing waits any more."""
    return all(state != "waiting" for state, _tries in states(hospital).values())


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(support.DEADLINE):
        while not is_so():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def sending(hospital: Hospital) -> AsyncIterator[delivery.Worker]:
    """The worker at work."""
    worker = delivery.Worker(hospital.gateway)
    worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


def sent(
    opened: Callable[..., Hospital], says: Says, *numbers: str, **more: Any
) -> tuple[Hospital, list[str], list[Any]]:
    """Send messages to a receiver until nothing waits: the control ids that it got, and what was logged."""

    async def scenario() -> tuple[Hospital, list[str], list[Any]]:
        async with Receiver(says).listening() as receiver:
            hospital = opened(receiver.port, **more)
            queue(hospital, *numbers)
            with structlog.testing.capture_logs() as logged:
                async with sending(hospital):
                    await until(lambda: is_done(hospital))
            return hospital, receiver.got, logged

    return asyncio.run(scenario())


def events(logged: list[Any], *names: str) -> list[str]:
    """What was logged, of some kinds."""
    return [one["event"] for one in logged if one["event"] in names]


ALERTS = ("destination fails", "destination recovered")


# ---- in order


def test_messages_arrive_once_and_in_order(opened: Callable[..., Hospital]) -> None:
    hospital, got, logged = sent(opened, lambda _number: "CA", "a1", "b1", "a2", "a3", "b2")
    assert got == ["a1", "b1", "a2", "a3", "b2"]
    assert set(states(hospital).values()) == {("sent", 1)}
    assert events(logged, *ALERTS) == []


def test_a_refused_message_is_tried_again_and_its_patient_waits(opened: Callable[..., Hospital]) -> None:
    hospital, got, logged = sent(opened, lambda number: "AE" if number == "a1" else "AA", "a1", "a2", "b1", "c1")
    assert [number for number in got if number[0] == "a"] == ["a1", "a1", "a1", "a2"]
    assert got.index("b1") < got.index("a2")
    assert states(hospital) == {"a1": ("dead", 3), "a2": ("sent", 1), "b1": ("sent", 1), "c1": ("sent", 1)}
    assert events(logged, *ALERTS, "message is a dead letter") == ["message is a dead letter"]


def test_a_message_that_is_not_answered_does_not_hold_up_other_patients(opened: Callable[..., Hospital]) -> None:
    hospital, got, logged = sent(opened, lambda number: "" if number == "a1" else "AA", "a1", "a2", "b1", "c1")
    assert [number for number in got if number[0] == "a"] == ["a1", "a1", "a1", "a2"]
    assert got.index("c1") < got.index("a2") - 1, "b1 and c1 waited until a1 was given up"
    assert states(hospital) == {"a1": ("dead", 3), "a2": ("sent", 1), "b1": ("sent", 1), "c1": ("sent", 1)}
    assert events(logged, "message is a dead letter") == ["message is a dead letter"]


@pytest.mark.parametrize("code", ["AR", "CR", "CE", "AE"])
def test_every_negative_answer_ends_as_a_dead_letter_with_its_code(opened: Callable[..., Hospital], code: str) -> None:
    hospital, got, _logged = sent(opened, lambda _number: code, "a1")
    assert (got, states(hospital)) == (["a1"] * 3, {"a1": ("dead", 3)})
    found = hospital.store.read_now(lambda connection: outgoing.get(connection, "a1"))
    assert found.reason == f"Answered {code}."


def test_the_applications_answer_is_waited_for_where_it_is_asked_for(opened: Callable[..., Hospital]) -> None:
    hospital, got, _logged = sent(
        opened, lambda number: "CA AE" if number == "a1" else "CA AA", "a1", "b1", answer="AL"
    )
    assert states(hospital) == {"a1": ("dead", 3), "b1": ("sent", 1)}
    assert got.count("b1") == 1


# ---- who does not answer


def test_an_unreachable_destination_uses_up_no_tries_and_is_told_once(opened: Callable[..., Hospital]) -> None:
    port = support.free_port()

    async def scenario() -> None:
        hospital = opened(port, attempts=2)
        queue(hospital, "a1", "a2", "b1")
        with structlog.testing.capture_logs() as logged:
            async with sending(hospital) as worker:
                failed = hospital.gateway.metrics.sent.labels("kis", "in-vain")
                await until(lambda: failed._value.get() >= 6)
                assert set(states(hospital).values()) == {("waiting", 0)}
                async with Receiver(lambda _number: "AA").listening(port) as receiver:
                    worker.wake("kis")
                    await until(lambda: is_done(hospital))
        assert [number for number in receiver.got if number[0] == "a"] == ["a1", "a2"]
        assert sorted(receiver.got) == ["a1", "a2", "b1"]
        assert set(states(hospital).values()) == {("sent", 1)}
        assert events(logged, *ALERTS) == list(ALERTS)

    asyncio.run(scenario())


def test_a_message_in_flight_at_the_end_is_sent_again_with_its_id(opened: Callable[..., Hospital]) -> None:
    async def scenario() -> list[str]:
        async with Receiver(lambda _number: "").listening() as receiver:
            hospital = opened(receiver.port, timeout_seconds=30)
            queue(hospital, "a1", "b1")
            async with sending(hospital):
                await until(lambda: receiver.got == ["a1"])
            assert states(hospital)["a1"] == ("waiting", 0)
            receiver.says = lambda _number: "AA"
            async with sending(hospital):
                await until(lambda: is_done(hospital))
            return receiver.got

    assert asyncio.run(scenario()) == ["a1", "a1", "b1"]


def test_a_store_that_fails_once_ends_no_delivery(
    opened: Callable[..., Hospital], monkeypatch: pytest.MonkeyPatch
) -> None:
    write, broken = database.Database.write, [errors.StoreUnavailable(), RuntimeError("bug")]

    async def fails(self: database.Database, work: Any) -> Any:
        if broken:
            raise broken.pop()
        return await write(self, work)

    monkeypatch.setattr(database.Database, "write", fails)
    hospital, got, _logged = sent(opened, lambda _number: "AA", "a1", "a2")
    assert [number for number in got if number == "a2"] == ["a2"]
    assert set(states(hospital).values()) == {("sent", 1)}


# ---- by hand


def test_a_dead_letter_is_not_sent_over_a_newer_message(opened: Callable[..., Hospital]) -> None:
    hospital, _got, _logged = sent(opened, lambda number: "AE" if number == "a1" else "AA", "a1", "a2")
    assert states(hospital) == {"a1": ("dead", 3), "a2": ("sent", 1)}
    with pytest.raises(errors.GatewayError, match="A newer message of this kind"):
        hospital.store.submit(lambda unit: outgoing.queue_again(unit, "a1")).result()


def test_a_dead_letter_is_sent_again_when_a_person_says_so(opened: Callable[..., Hospital]) -> None:
    says = {"a1": "AE"}

    async def scenario() -> Hospital:
        async with Receiver(lambda number: says.get(number, "AA")).listening() as receiver:
            hospital = opened(receiver.port)
            queue(hospital, "a1")
            async with sending(hospital) as worker:
                await until(lambda: is_done(hospital))
                assert states(hospital) == {"a1": ("dead", 3)}
                says.clear()
                await hospital.store.write(lambda unit: outgoing.queue_again(unit, "a1"))
                worker.wake("kis")
                await until(lambda: is_done(hospital))
            return hospital

    hospital = asyncio.run(scenario())
    assert states(hospital)["a1"] == ("sent", 1)
    with pytest.raises(errors.GatewayError, match="only a dead one"):
        hospital.store.submit(lambda unit: outgoing.queue_again(unit, "a1")).result()
    with pytest.raises(outgoing.OutgoingNotFound):
        hospital.store.submit(lambda unit: outgoing.queue_again(unit, "nix")).result()


def test_a_message_with_a_fault_waits_for_a_person(opened: Callable[..., Hospital]) -> None:
    async def scenario() -> None:
        async with Receiver(lambda _number: "AA").listening() as receiver:
            hospital = opened(receiver.port)
            queue(hospital, "a1", fault="Not conformant: PV1: required")
            queue(hospital, "a2")
            async with sending(hospital):
                await until(lambda: is_done(hospital))
            assert (receiver.got, states(hospital)["a1"]) == (["a2"], ("dead", 0))

    asyncio.run(scenario())


def test_one_slow_destination_does_not_hold_up_another(url: str) -> None:
    async def scenario() -> None:
        async with Receiver(lambda _number: "").listening() as slow, Receiver(lambda _number: "AA").listening() as good:
            options: dict[str, Any] = {"host": "127.0.0.1", "results": ("note",), "timeout_seconds": 30}
            both = {
                "kis": settings.Destination(port=slow.port, **options),
                "lab": settings.Destination(port=good.port, **options),
            }
            hospital = Hospital(url, destinations=both)
            queue(hospital, "a1")
            await hospital.store.write(
                lambda unit: outgoing.add(
                    unit, control="z1", destination="lab", patient="a", encounter="e", event="MDM^T02",
                    body=b"MSH|^~\\&|GW||LAB||2026||MDM^T02|z1|P|2.5\r",
                )
            )  # fmt: skip
            async with sending(hospital):
                await until(lambda: states(hospital)["z1"] == ("sent", 1))
            assert states(hospital)["a1"] == ("waiting", 0)
            hospital.close()

    asyncio.run(scenario())
