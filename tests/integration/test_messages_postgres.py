"""HL7 v2 on PostgreSQL: FHIR_GATEWAY_TEST_POSTGRES holds the SQLAlchemy URL of a server to make databases on."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from fhir_gateway.messages import mapping, outgoing, reception, register
from fhir_gateway.store import database
from tests.integration.hospital import Hospital, document, message, pid, pv1, settled

SERVER = os.environ.get("FHIR_GATEWAY_TEST_POSTGRES")
pytestmark = pytest.mark.skipif(SERVER is None, reason="needs a PostgreSQL URL in FHIR_GATEWAY_TEST_POSTGRES")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A migrated database of its own, dropped in the end."""
    assert SERVER is not None
    name = f"gateway_test_{uuid.uuid4().hex[:12]}"
    server = sa.create_engine(SERVER, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    found = sa.make_url(SERVER).set(database=name).render_as_string(hide_password=False)
    database.migrate(found)
    yield found
    with server.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture(scope="module")
def hospital(url: str) -> Iterator[Hospital]:
    """One for all tests: each has numbers of its own."""
    opened = Hospital(url)
    yield opened
    opened.close()


def codes(answers: list[bytes]) -> list[bytes]:
    """MSA-1 of each answer."""
    return [one.split(b"\rMSA|")[1][:2] for one in answers]


def test_a_message_is_kept_mapped_and_not_taken_twice(hospital: Hospital) -> None:
    sent = message("ADT^A01", pid("10"), pv1("F10"), "ZXX|1")
    assert hospital.takes(sent) == [("mapped", None)]
    versions, totals = hospital.versions(), hospital.store.read_now(register.totals)
    assert hospital.takes(sent) == hospital.replays(sent) == [("mapped", None)]
    assert (hospital.versions(), hospital.store.read_now(register.totals)) == (versions, totals)
    assert hospital.with_number("Encounter", "F10")["status"] == "in-progress"


def test_the_same_message_at_once_through_two_processes_is_one(hospital: Hospital, url: str) -> None:
    sent, other = message("ADT^A31", pid("20")), Hospital(url)

    async def work(door: reception.Reception, mapper: mapping.Mapper) -> set[tuple[reception.Answer, ...]]:
        second = reception.Reception(other.store, other.sites, mapper, other.gateway.metrics)
        doors = [door, second] * 5
        found = await asyncio.gather(*(one.receive(sent, channel="test") for one in doors))
        await settled(mapper, hospital.id_of(sent))
        return {tuple(one) for one in found}

    assert len(hospital.run(work)) == 1
    assert [one.id for one in hospital.messages() if one.id == hospital.id_of(sent)] == [hospital.id_of(sent)]
    assert hospital.with_number("Patient", "20")["meta"]["versionId"] == "1"
    other.close()


@pytest.mark.parametrize(
    "segments",
    [(pid("30", name="A\\X00\\B^C"),), (pid("30"), "Z\x00X|1"), (pid("30"), "PV1\x00|1"),
     (pid("30"), f"{'Z' * 90}|1"), (pid("3" * 600),)],
)  # fmt: skip
def test_what_the_database_cannot_hold_stops_no_other_message(hospital: Hospital, segments: tuple[str, ...]) -> None:
    sent = message("ADT^A31", *segments)
    ((state, _reason),) = hospital.takes(sent)
    assert state in ("mapped", "failed")
    assert hospital.takes(message("ADT^A31", pid("31")))[0][0] == "mapped"


@pytest.mark.parametrize("msh", [{9: "ADT\\X00\\^A31"}, {3: "A\x00B"}, {10: f"A\x00{uuid.uuid4().hex[:8]}"}])
def test_any_header_is_answered(hospital: Hospital, msh: dict[int, str]) -> None:
    async def work(door: reception.Reception, _mapper: mapping.Mapper) -> list[bytes]:
        return await reception.known(await door.receive(message("ADT^A31", pid("40"), msh=msh), channel="test"))

    assert codes(hospital.run(work))[0] in (b"AA", b"AR")


def test_merge_and_documents_are_as_on_sqlite(hospital: Hospital) -> None:
    first, second = (message("ADT^A28", pid(number), at="20261122090000") for number in ("51", "52"))
    merge = message("ADT^A40", pid("52"), "MRG|51^^^KIS^PI", at="20261122100000")
    texts = [
        document("D51", "alt", patient="51", visit="F51", at="20261122110000"),
        document("D52", "neu", event="T10", parent="D51", patient="52", visit="F51", at="20261122120000"),
    ]
    assert {state for state, _reason in hospital.takes(first, second, merge, *texts)} == {"mapped"}
    (old,) = [one for one in hospital.found("Patient") if one.get("active") is False]
    assert old["link"][0]["type"] == "replaced-by"
    known = {one["masterIdentifier"]["value"]: one["status"] for one in hospital.found("DocumentReference")}
    assert known == {"D51": "superseded", "D52": "current"}


def test_the_first_of_each_patient_is_due(hospital: Hospital) -> None:
    for number in ("a1", "a2", "b1"):
        hospital.store.submit(
            lambda unit, number=number: outgoing.add(
                unit, control=number, destination="kis", patient=number[0], encounter="e", event="MDM^T02", body=b"\x00"
            )
        ).result()

    def due() -> str:
        found, _later = hospital.store.read_now(lambda c: outgoing.next_due(c, "kis", database.now_micros()))
        assert found is not None
        return found.control

    def waits(number: str) -> None:
        found = hospital.store.read_now(lambda connection: outgoing.get(connection, number))
        later = database.now_micros() + 60_000_000
        hospital.store.submit(lambda u: outgoing.failed(u, found, reason="x", due=later, counts=True)).result()

    assert due() == "a1"
    waits("a1")
    assert due() == "b1"
    waits("b1")
    found, later = hospital.store.read_now(lambda c: outgoing.next_due(c, "kis", database.now_micros()))
    assert found is None
    assert later is not None
