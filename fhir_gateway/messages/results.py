"""The results of an encounter as HL7 v2 messages for each destination that wants them, queued once for each change.

What a destination has been sent is noted by version (`delivered`), in the commit that queues the message: a repeat of
the run or a restart queues nothing twice, and a change is told as what it is to the one who has the earlier state.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from fhir_gateway import ids
from fhir_gateway.messages import outgoing, register
from fhir_gateway.search import values
from fhir_gateway.store import codec, database, resources, schema, turns
from mappers import conformance, er7
from mappers.fhir_to_v2 import bar, dft, header, mdm, oru, standing
from mappers.results_to_fhir import composition, released

if TYPE_CHECKING:
    from fhir_gateway.app import Gateway
    from fhir_gateway.settings import Destination

_delivered = schema.delivered

_TEMPLATES = 20  # messages of an encounter that are looked at for its numbers

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Made:
    """A message, and the versions that its receiver has with it.

    One with a `fault` is not sent before a person says so.
    """

    message: er7.Message | None
    control: str
    told: tuple[codec.Resource, ...]
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class _State:
    """An encounter's results, whom they are about, and which versions a destination has of them."""

    results: list[codec.Resource]
    visit: header.Visit
    patient: str
    had: dict[str, str]
    charged: dict[str, codec.Resource]  # claims as they were sent


async def queue(gateway: Gateway, encounter: str, made: list[codec.Resource]) -> None:
    """Queue what the destinations do not have yet of an encounter's results, `made`."""
    for name, destination in gateway.settings.hl7v2.destinations.items():
        while not await _queued(gateway, name, destination, encounter, made):
            pass  # another delivery of the same results was faster: what is still to be sent is found anew


async def _queued(
    gateway: Gateway, name: str, destination: Destination, encounter: str, made: list[codec.Resource]
) -> bool:
    """Whether the destination's messages are queued, or there are none."""
    state = await gateway.database.read(_reading(gateway, name, encounter, made))
    if state is None:
        log.warning("results cannot be sent: the encounter is not known here", destination=name)
        return True
    try:
        messages = await asyncio.to_thread(_messages, destination, state)
    except header.Nobody:
        log.warning("results cannot be sent: the encounter names no patient", destination=name)
        return True
    if not messages:
        return True
    is_queued = await gateway.database.write(_queueing(name, encounter, state, messages))
    gateway.sender.wake(name)
    return is_queued


def _reading(
    gateway: Gateway, destination: str, encounter: str, made: list[codec.Resource]
) -> Callable[[sa.Connection], _State | None]:
    def read(connection: sa.Connection) -> _State | None:
        stored = resources.present(connection, "Encounter", encounter)
        if stored is None:
            return None
        reference = stored.resource.get("subject", {}).get("reference", "")
        resource_type, patient = values.split_reference(reference)
        subject = resources.present(connection, "Patient", patient) if resource_type == "Patient" else None
        received = _received(connection, gateway, stored.resource, subject.resource if subject else None)
        people = {
            str(reference): found.resource
            for resource in (*made, stored.resource)
            for path in ("attester.party.reference", "participant.individual.reference")
            for reference in values.at(resource, path)
            if (found := _practitioner(connection, str(reference))) is not None
        }
        visit = header.Visit(subject.resource if subject else None, stored.resource, received, people)
        had = _had(connection, destination, made)
        return _State(made, visit, patient or encounter, had, _charged(connection, had))

    return read


def _received(
    connection: sa.Connection, gateway: Gateway, encounter: codec.Resource, patient: codec.Resource | None
) -> er7.Message | None:
    """The message whose patient and visit numbers are taken over: one about this patient and this visit, and no other.

    A number of a merged patient, or the numbers of a laboratory, are none of the patient's now.
    """
    numbers = set(values.at(patient or {}, "identifier.value"))
    visits = set(values.at(encounter, "identifier.value"))
    found: list[tuple[bool, str, er7.Message]] = []
    for kept in register.of_encounter(connection, encounter["id"], _TEMPLATES):
        message = gateway.reception.sites.of(kept.origin).parse(register.body(connection, kept.id))
        pid, pv1 = message.all("PID"), message.all("PV1")
        if len(pid) != 1 or len(pv1) != 1:
            continue
        is_patient = any(one.component(1).text in numbers for one in pid[0].field(3).repetitions)
        if is_patient and {pv1[0].field(19).text, pv1[0].field(50).text} & visits:
            found.append((kept.event.startswith("ADT"), message.text("MSH-7")[:14], message))
    return max(found, key=lambda one: one[:2])[2] if found else None


def _charged(connection: sa.Connection, had: dict[str, str]) -> dict[str, codec.Resource]:
    found = {
        reference: resources.vread(connection, "Claim", reference.removeprefix("Claim/"), int(version))
        for reference, version in had.items()
        if reference.startswith("Claim/")
    }
    return {reference: stored.resource for reference, stored in found.items() if stored is not None and stored.body}


def _practitioner(connection: sa.Connection, reference: str) -> resources.Stored | None:
    resource_type, resource_id = values.split_reference(reference)
    return resources.present(connection, "Practitioner", resource_id) if resource_type == "Practitioner" else None


def _had(connection: sa.Connection, destination: str, made: list[codec.Resource]) -> dict[str, str]:
    """Reference to version of what the destination has been sent."""
    rows = connection.execute(
        sa.select(_delivered.c.reference, _delivered.c.version).where(
            _delivered.c.target == outgoing.target(destination),
            _delivered.c.reference.in_([_reference(r) for r in made]),
        )
    )
    return {row.reference: row.version for row in rows}


def _reference(resource: codec.Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _queueing(
    destination: str, encounter: str, state: _State, messages: list[_Made]
) -> Callable[[database.Unit], bool]:
    """Queue the messages, unless the destination has been sent something else since they were made."""

    def work(unit: database.Unit) -> bool:
        turns.take(unit, encounter)
        if _had(unit.connection, destination, state.results) != state.had:
            return False
        for made in messages:
            told = [(_reference(resource), str(resource["meta"]["versionId"])) for resource in made.told]
            if made.message is None:
                outgoing.remember(unit, destination, told)
            else:
                outgoing.add(
                    unit, control=made.control, destination=destination, patient=state.patient, encounter=encounter,
                    event=made.message.structure, body=made.message.encode(), told=told, fault=made.fault,
                )  # fmt: skip
        return True

    return work


# ---- which messages


def _messages(destination: Destination, state: _State) -> list[_Made]:
    """The messages that tell a destination what it does not have yet."""
    work = _Work(destination, state)
    makers = {"diagnoses": work.diagnoses, "warnings": work.warnings, "note": work.documents, "billing": work.billing}
    if "summary" in destination.results:
        makers["summary"] = work.documents
    wanted = dict.fromkeys(makers[name] for name in makers if name in destination.results)
    return [made for maker in wanted for made in maker()]


class _Work:
    """One destination and one encounter."""

    def __init__(self, destination: Destination, state: _State) -> None:
        self.destination = destination
        self.state = state
        self.had = state.had
        self.now = dt.datetime.now(dt.UTC)
        self.route = header.Route(
            destination.application, destination.facility, destination.receiving_application,
            destination.receiving_facility, accept=destination.accept, answer=destination.answer,
        )  # fmt: skip

    def of(self, resource_type: str) -> list[codec.Resource]:
        """The results of a type that this destination may have: drafts only where it wants them."""
        return [
            resource
            for resource in self.state.results
            if resource["resourceType"] == resource_type
            and _kind(resource) in self.destination.results
            and (
                standing.of(resource) == "released"
                or _kind(resource) in self.destination.drafts
                or _reference(resource) in self.had
            )
        ]

    def is_new(self, resource: codec.Resource) -> bool:
        """Whether its present version has not been sent; what was taken back before it was ever sent is not."""
        known = self.had.get(_reference(resource))
        if known is None:
            return standing.of(resource) != "withdrawn"
        return bool(known != resource["meta"]["versionId"])

    def made(self, message: er7.Message, control: str, *told: codec.Resource) -> _Made:
        """A message, with what it breaks of the standard."""
        warnings = conformance.warnings(message)
        if warnings:
            log.error("message of ours is not conformant", kind=message.structure, control=control, first=warnings[0])
        return _Made(message, control, told, f"Not conformant: {warnings[0]}" if warnings else None)

    @property
    def released_by(self) -> str | None:
        """Who released the note."""
        notes = [
            one for one in self.state.results if one["resourceType"] == "Composition" and released.is_released(one)
        ]
        return released.attester(notes[-1]) if notes else None

    def diagnoses(self) -> Iterator[_Made]:
        """All diagnoses at once, when one of them is new, changed or taken back."""
        found = self.of("Condition")
        changed = [resource for resource in found if self.is_new(resource)]
        if changed:
            current = [resource for resource in found if standing.of(resource) != "withdrawn"]
            gone = [resource for resource in changed if standing.of(resource) == "withdrawn"]
            control = _control()
            message = bar.message(
                self.route, self.state.visit, current, withdrawn=gone,
                known=[one["identifier"][0]["value"] for one in current if _reference(one) in self.had],
                released_by=self.released_by, control_id=control, at=self.now,
            )  # fmt: skip
            yield self.made(message, control, *current, *gone)

    def warnings(self) -> Iterator[_Made]:
        """The warnings that are new, changed or taken back, as one report."""
        changed = [resource for resource in self.of("DetectedIssue") if self.is_new(resource)]
        if changed:
            control = _control()
            message = oru.message(self.route, self.state.visit, changed, control_id=control, at=self.now)
            yield self.made(message, control, *changed)

    def billing(self) -> Iterator[_Made]:
        """A claim that is new, changed or taken back. What had been charged before is credited first."""
        for claim in self.of("Claim"):
            if self.is_new(claim):
                before = self.state.charged.get(_reference(claim))
                if before is not None and before.get("item") and standing.of(before) != "withdrawn":
                    yield self.charge({**before, "status": "entered-in-error"}, claim)
                if claim.get("item") and standing.of(claim) != "withdrawn":
                    yield self.charge(claim, claim)

    def charge(self, claim: codec.Resource, told: codec.Resource) -> _Made:
        """The items of a claim, or their credits."""
        control = _control()
        conditions = [one for one in self.state.results if one["resourceType"] == "Condition"]
        message = dft.message(
            self.route, self.state.visit, claim, conditions, released_by=self.released_by, control_id=control,
            at=self.now,
        )  # fmt: skip
        return self.made(message, control, told)

    def documents(self) -> Iterator[_Made]:
        """Notes and summaries: a new one, one that replaces another, one that changed or was taken back."""
        return (self.document(document) for document in self.of("Composition") if self.is_new(document))

    def document(self, document: codec.Resource) -> _Made:
        """A document that is new, changed or taken back to this destination."""
        event: mdm.Event
        is_known, replaced = _reference(document) in self.had, self._replaced(document)
        if standing.of(document) == "withdrawn":
            if self._is_replaced(document):  # T10 has said so
                return _Made(None, "", (document,))
            event, replaced = "T11", None
        elif replaced is not None and standing.of(replaced) == "released" and standing.of(document) == "draft":
            event, replaced = "T08" if is_known else "T02", None  # a draft takes the place of nothing that is final
        elif replaced is not None and (not is_known or standing.of(replaced) == "released"):
            event = "T10"
        else:
            event, replaced = "T08" if is_known else "T02", None
        parent = replaced["identifier"]["value"] if replaced else None
        control = _control()
        message = mdm.message(
            self.route, self.state.visit, document, event=event, control_id=control, at=self.now, parent=parent
        )
        return self.made(message, control, document)

    def _replaced(self, document: codec.Resource) -> codec.Resource | None:
        """The document that this one takes the place of, where this destination has it."""
        targets = set(values.at(document, "relatesTo.targetReference.reference")) & set(self.had)
        return next((one for one in reversed(self.state.results) if _reference(one) in targets), None)

    def _is_replaced(self, document: codec.Resource) -> bool:
        reference = _reference(document)
        return any(
            reference in values.at(other, "relatesTo.targetReference.reference")
            for other in self.of("Composition")
            if standing.of(other) != "withdrawn"
        )


def _kind(resource: codec.Resource) -> str:
    """What the configuration calls it."""
    if resource["resourceType"] == "Composition":
        return "note" if resource["type"]["coding"][0] == composition.NOTE_TYPE else "summary"
    return {"Condition": "diagnoses", "DetectedIssue": "warnings", "Claim": "billing"}[resource["resourceType"]]


def _control() -> str:
    """MSH-10 has 20 characters at most in version 2.5."""
    return ids.new().replace("-", "")[12:]
