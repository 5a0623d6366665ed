"""A gateway's HL7 v2 side on a database, without its ports and its workflow engine; and messages of invented people."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import sqlalchemy as sa

from fhir_gateway import metrics, settings
from fhir_gateway.messages import delivery, mapping, reception, register
from fhir_gateway.runs import in_flight
from fhir_gateway.store import codec, database, schema
from mappers.v2_to_fhir import sites
from tests import support

Json = dict[str, Any]
T = TypeVar("T")

_numbers = itertools.count(1)


class Engine:
    """Stands for the workflow engine: notes the workflows that were put into its queue."""

    def __init__(self) -> None:
        self.queued: list[str] = []

    def enqueue_in_transaction(self, _connection: sa.Connection, options: Json, *_arguments: str) -> None:
        """A workflow in the queue."""
        self.queued.append(options["workflow_name"])


@dataclasses.dataclass
class Inside:
    """What reception, mapping, results and delivery use of a gateway."""

    database: database.Database
    settings: settings.Settings
    metrics: metrics.Metrics = dataclasses.field(default_factory=metrics.Metrics)
    engine: Engine = dataclasses.field(default_factory=Engine)
    in_flight: in_flight.InFlight = dataclasses.field(default_factory=in_flight.InFlight)
    device: str = "Device/gateway"
    reception: Any = None
    sender: Any = None


class Hospital:
    """Takes messages on one database. `sites` is a folder of site files; `hl7v2` are the settings of that section."""

    def __init__(self, url: str, folder: Path | None = None, **hl7v2: Any) -> None:
        self.url = url
        self.names: dict[str, str] = {}  # whatever a test calls its resources, by their ids
        self.store = database.Database(url)
        self.sites = sites.Sites(folder)
        self.sites.refresh()
        self.gateway: Any = Inside(self.store, settings.Settings(hl7v2=settings.Hl7v2(**hl7v2)))

    def close(self) -> None:
        """End the writer."""
        self.store.close()

    async def opened(self, work: Callable[[reception.Reception, mapping.Mapper], Awaitable[T]]) -> T:
        """What `work` gives while the mapping runs."""
        self.gateway.sender = delivery.Worker(self.gateway)
        mapper = mapping.Mapper(self.gateway, self.sites)
        self.gateway.reception = reception.Reception(self.store, self.sites, mapper, self.gateway.metrics)
        with mock.patch.object(mapping, "POLL", 0.02):
            mapper.start(maps=True)
            try:
                async with asyncio.timeout(support.DEADLINE):
                    return await work(self.gateway.reception, mapper)
            finally:
                await mapper.stop()

    def run(self, work: Callable[[reception.Reception, mapping.Mapper], Awaitable[T]]) -> T:
        """`opened` in an event loop of its own."""
        return asyncio.run(self.opened(work))

    def takes(self, *messages: bytes) -> list[tuple[str, str | None]]:
        """Receive messages one after the other; state and reason of each once it has been mapped."""

        async def work(door: reception.Reception, mapper: mapping.Mapper) -> list[tuple[str, str | None]]:
            for message in messages:
                await reception.known(await door.receive(message, channel="test"))
            return [await settled(mapper, self.id_of(message)) for message in messages]

        return self.run(work)

    def replays(self, *messages: bytes) -> list[tuple[str, str | None]]:
        """Have messages mapped again; how that ended."""

        async def work(_door: reception.Reception, mapper: mapping.Mapper) -> list[tuple[str, str | None]]:
            keys = [self.id_of(message) for message in messages]
            for key in keys:
                await self.store.write(lambda unit, key=key: register.queue_again(unit, key))
            mapper.wake()
            return [await settled(mapper, key) for key in keys]

        return self.run(work)

    def id_of(self, message: bytes) -> str:
        """The id of the first message with these bytes."""
        query = sa.select(schema.received.c.id).where(schema.received.c.body == message).order_by(schema.received.c.at)
        return str(self.store.read_now(lambda connection: connection.execute(query).scalars().first()))

    def rows(self, query: sa.Select[Any]) -> list[Any]:
        """Rows of the database."""
        return self.store.read_now(lambda connection: list(connection.execute(query)))

    def messages(self) -> list[register.Message]:
        """All messages, the first first."""
        return self.store.read_now(lambda connection: register.listed(connection, None, 1000))[::-1]

    def versions(self) -> list[tuple[str, str, int]]:
        """Every version of every resource that messages brought."""
        table = schema.resource_version
        query = sa.select(table.c.type, table.c.id, table.c.version).order_by(table.c.rk)
        return [tuple(row) for row in self.rows(query.where(table.c.type != "AuditEvent"))]

    def found(self, resource_type: str) -> list[Json]:
        """The current resources of a type, the first one first."""
        table = schema.resource_version
        query = sa.select(table.c.body).where(table.c.type == resource_type, table.c.is_current).order_by(table.c.rk)
        bodies = [row.body for row in self.rows(query) if row.body is not None]
        return [codec.decode(bytes(body)) for body in bodies]

    def only(self, resource_type: str) -> Json:
        """The one resource of a type."""
        (resource,) = self.found(resource_type)
        return resource

    def with_number(self, resource_type: str, value: str) -> Json:
        """The one resource with this identifier."""
        (resource,) = [one for one in self.found(resource_type) if value in numbers(one)]
        return resource


async def settled(mapper: mapping.Mapper, key: str) -> tuple[str, str | None]:
    """State and reason of a message once it has been mapped."""
    outcome = await mapper.outcome(key)
    assert outcome is not None, "the mapping takes too long"
    return outcome


def numbers(resource: Json) -> list[str]:
    """The values of a resource's identifiers."""
    found = resource.get("identifier", [])
    return [one["value"] for one in (found if isinstance(found, list) else [found])]


# ---- messages


def control() -> str:
    """A control id (MSH-10) that was not used before."""
    return f"T{next(_numbers):06d}"


def head(event: str, at: str = "20261122101500", msh: dict[int, str] | None = None) -> str:
    """An MSH of an invented hospital, in original mode."""
    fields = {3: "KIS", 4: "KLINIK", 5: "GATEWAY", 7: at, 9: event, 11: "P", 12: "2.5", 18: "UNICODE UTF-8"}
    fields |= {10: control(), **(msh or {})}
    return "|".join(["MSH", "^~\\&", *(fields.get(number, "") for number in range(3, max(fields) + 1))])


def pid(number: str = "4711", name: str = "Beispiel^Berta", more: dict[int, str] | None = None) -> str:
    """PID with one patient number."""
    return line("PID", {1: "1", 3: f"{number}^^^KIS^PI", 5: name, 7: "19580412", 8: "F", **(more or {})})


def pv1(visit: str = "F1", more: dict[int, str] | None = None) -> str:
    """PV1 of an in-patient."""
    return line("PV1", {1: "1", 2: "I", 3: "ST3^12^1", 19: f"{visit}^^^KIS^VN", **(more or {})})


def line(name: str, fields: dict[int, str]) -> str:
    """A segment with these fields as they stand on the wire."""
    return "|".join([name, *(fields.get(number, "") for number in range(1, max(fields) + 1))])


def message(
    event: str, *segments: str, at: str = "20261122101500", msh: dict[int, str] | None = None, codec: str = "utf-8"
) -> bytes:
    """A message of these segments; EVN stands by itself."""
    begin = [head(event, at, msh), *([] if event.startswith(("ORU", "SIU", "ORM")) else [f"EVN||{at}"])]
    return "".join(f"{segment}\r" for segment in (*begin, *segments)).encode(codec)


def document(number: str, text: str, *, event: str = "T02", parent: str = "", at: str = "20261122101500",
             patient: str = "4711", visit: str = "F1", more: dict[int, str] | None = None) -> bytes:  # fmt: skip
    """An MDM with a text."""
    txa = line("TXA", {1: "1", 2: "GESPR", 3: "TX", 4: at, 12: f"{number}^KIS", 13: parent and f"{parent}^KIS",
                       17: "AU", 19: "AV", **(more or {})})  # fmt: skip
    obx = line("OBX", {1: "1", 2: "TX", 3: "GESPR", 5: text, 11: "F"})
    return message(f"MDM^{event}", pid(patient), pv1(visit), txa, *([obx] if text else []), at=at)
