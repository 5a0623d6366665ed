"""What a message says, into the store: found again by its identifiers, laid over what is there, in one transaction.

HL7 v2 messages are snapshots: what a message names takes the place of what was there, what it does not name stays, and
`""` deletes. Each element is as the newest message that names it has it, in whatever order they come.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from fhir_gateway.messages import places, register
from fhir_gateway.messages.places import NotStorable, Places
from fhir_gateway.runs import encounters, trigger
from fhir_gateway.search import values
from fhir_gateway.security import audit
from fhir_gateway.store import codec, database, resources, schema, search, statements, turns
from mappers.v2_to_fhir import engine, movements, rules
from mappers.v2_to_fhir.engine import Draft, Fault
from profiles import base

if TYPE_CHECKING:
    from fhir_gateway.app import Gateway


def _kind_of_participant(item: Any) -> Any:
    return tuple(str(code) for code in values.at(item, "type.coding.code"))


#: Lists that grow: an item takes the place of another that is the same by this. Other elements are taken over whole.
_UNITED: Final[dict[str, Callable[[Any], Any]]] = {
    "identifier": lambda item: (item.get("system"), item.get("value")),
    "extension": lambda item: item.get("url"),
    "link": lambda item: (item.get("type"), item["other"].get("reference")),
    "diagnosis": lambda item: item["condition"].get("reference"),
    "result": lambda item: item.get("reference"),
    "basedOn": lambda item: item.get("reference"),
    "relatesTo": lambda item: (item.get("code"), codec.encode(item.get("target", {}).get("identifier"))),
    "Encounter.participant": _kind_of_participant,
}

#: Objects whose elements are taken over one by one.
_JOINED: Final = ("hospitalization", "context")

#: What an encounter that has not ended cannot have.
_OF_THE_END: Final = ("dischargeDisposition", "destination")

#: What `movements.history` says of an encounter.
_HISTORY: Final = ("status", "class", "classHistory", "period", "location")
FAST: Final = 86_400_000_000  # microseconds that a sender's clock may be fast; beyond that the time of arrival holds

_JOIN: Final = object()
_FIXED: Final = ("resourceType", "id")
_VALID: Final = ("current", "superseded")  # a document that was replaced itself has replaced its parent all the same
_NAMED: Final = "relatesTo"  # the key of `message_identity` for a document that another one names

_AGES = statements.Statement("SELECT element, at, number FROM message_age WHERE type = :type AND id = :id")
_AGED = statements.Statement(
    "INSERT INTO message_age (type, id, element, at, number) VALUES (:type, :id, :element, :at, :number)"
    " ON CONFLICT (type, id, element) DO UPDATE SET at = excluded.at, number = excluded.number"
)
_MOVED = statements.Statement(
    "INSERT INTO movement (message, position, encounter, body) VALUES (:message, :position, :encounter, :body)"
    " ON CONFLICT (message, position) DO UPDATE SET encounter = excluded.encounter, body = excluded.body"
)


def run(
    unit: database.Unit, gateway: Gateway, message: register.Message, mapped: engine.Mapped
) -> tuple[str | None, list[Fault]]:
    """Write all of it and what follows from it: the id of its encounter, and what of it could not be written.

    NotStorable: nothing of it is written.
    """
    bounds = values.date_bounds(mapped.at) if mapped.at else None
    at = message.at
    if bounds and bounds[0] <= message.at + FAST:  # a day without a time is as late in the day as it can have been
        at = min(max(bounds[0], message.at), bounds[1])
    work = _Work(unit, message, mapped, at)
    for draft in work.drafts:
        work.store(draft)
    work.finish()
    brought = [version for version in unit.written if not version.is_own]
    if brought:
        audit.wrote(unit, gateway.device, brought)
        trigger.stored(unit, gateway, [version for version in brought if version.body is not None])
    return work.encounter, work.faults


class _Work:
    """The drafts of one message on their way into the store."""

    def __init__(self, unit: database.Unit, message: register.Message, mapped: engine.Mapped, at: int) -> None:
        self.unit = unit
        self.connection: sa.Connection = unit.connection
        self.message = message
        self.faults: list[Fault] = []
        self.at = at
        self.age = at, message.number
        self.drafts = [draft for draft in mapped.drafts if draft.type != rules.MOVEMENT]
        self.movements = [draft.resource for draft in mapped.drafts if draft.type == rules.MOVEMENT]
        self.places = Places(unit.connection, message.id, self.drafts)
        self.later: list[codec.Resource] = []
        self.encounter: str | None = None

    # ---- what is written

    def store(self, draft: Draft) -> None:
        """Write a draft over what is there."""
        resource_type, resource_id = self.places.of(draft).split("/")
        said: codec.Resource = {**self.places.resolved(draft.resource), "id": resource_id}
        stored = resources.present(self.connection, resource_type, resource_id)
        if stored is not None and stored.is_own:
            self.faults.append(Fault(draft.name, "This is the gateway's own result; it stays as it is."))
            return
        if f"{resource_type}/{resource_id}" in values.at(said, "link.other.reference"):
            raise NotStorable(f"{draft.name}: it would be merged with itself.")
        if draft.reference in self.places.merged:
            said = self._without_numbers_of(said, self.places.merged[draft.reference])
        result = self._over(stored.resource if stored else {}, said, draft)
        if resource_type == "Encounter":
            result = self._moved(resource_id, self._without_withdrawn(result))
            self.encounter = self.encounter or resource_id
        if resource_type == "DocumentReference":
            result = self._related(result)
        fault = next((fault for fault in base.faults(result) if fault.severity == "error"), None)
        if fault is not None:
            raise NotStorable(f"{fault.expression}: {fault.text}")
        resources.put(self.unit, result, received=self.message.id)

    def _over(self, stored: codec.Resource, said: codec.Resource, draft: Draft) -> codec.Resource:
        """What is said, laid over what is there: each element as the newest message that names it has it."""
        if stored:
            self._same_patient(stored, said, draft)
        place = {"type": said["resourceType"], "id": said["id"]}
        ages = {element: (at, number) for element, at, number in _AGES.run(self.connection, **place).fetchall()}
        result = {"resourceType": said["resourceType"], **stored, "id": said["id"]}
        told = {name: _JOIN if name in _JOINED else value for name, value in said.items() if name not in _FIXED}
        for name in (*told, *(draft.nulls - told.keys())):
            if name in draft.defaults:
                result.setdefault(name, said[name])
            elif name not in told:
                if self._is_newest(place, name, ages):
                    result.pop(name, None)
            elif told[name] is _JOIN:
                inner = dict(result.get(name, {}))
                for part, value in said[name].items():
                    if self._is_newest(place, f"{name}.{part}", ages):
                        inner[part] = value
                result[name] = inner
            else:
                self._say(result, name, said[name], is_newest=self._is_newest(place, name, ages))
        return result

    def _say(self, result: codec.Resource, name: str, value: Any, *, is_newest: bool) -> None:
        key = _UNITED.get(name) or _UNITED.get(f"{result['resourceType']}.{name}")
        if key is not None and name in result:
            result[name] = _united(result[name], value, key, is_older=not is_newest)
        elif is_newest:
            result[name] = value
            for other in base.alternatives(result["resourceType"], name):  # a choice has one value
                result.pop(other, None)

    def _is_newest(self, place: dict[str, str], element: str, ages: dict[str, tuple[int, int]]) -> bool:
        """Whether no newer message has said anything of this element; then this one has."""
        element = base.stem(place["type"], element)[:64]
        if ages.get(element, self.age) > self.age:
            return False
        _AGED.run(self.connection, **place, element=element, at=self.at, number=self.message.number)
        return True

    def _without_numbers_of(self, said: codec.Resource, merged: str) -> codec.Resource:
        """A patient who was called by the number of a merged one does not get that number."""
        stored = resources.present(self.connection, "Patient", merged)
        theirs = {(one.get("system"), one.get("value")) for one in stored.resource["identifier"]} if stored else set()
        left = [one for one in said["identifier"] if (one.get("system"), one.get("value")) not in theirs]
        rest = {name: value for name, value in said.items() if name != "identifier"}
        return {**rest, "identifier": left} if left else rest

    def _same_patient(self, stored: codec.Resource, said: codec.Resource, draft: Draft) -> None:
        """What is known of one patient never becomes another's; one who was merged is the same one."""
        before, after = _patients(stored), _patients(said)
        if before and after and before != after:
            survivors = {f"Patient/{self.places.surviving('Patient', one.removeprefix('Patient/'))}" for one in before}
            if survivors != after:
                raise NotStorable(f"{draft.name}: it belongs to another patient than this message is about.")

    def _without_withdrawn(self, said: codec.Resource) -> codec.Resource:
        """An encounter without the diagnoses that this message, or a newer one before it, takes back."""
        gone = {self.places.of(draft) for draft in self.drafts if _is_withdrawn(draft.resource)}
        left = [
            one
            for one in said.get("diagnosis", [])
            if (reference := one["condition"].get("reference", "")) not in gone and not self._was_withdrawn(reference)
        ]
        rest = {name: value for name, value in said.items() if name != "diagnosis"}
        return {**rest, "diagnosis": left} if left else rest

    def _was_withdrawn(self, reference: str) -> bool:
        resource_type, resource_id = values.split_reference(reference)
        stored = (
            resources.present(self.connection, resource_type, resource_id) if resource_type == "Condition" else None
        )
        return stored is not None and _is_withdrawn(stored.resource)

    def _moved(self, encounter: str, said: codec.Resource) -> codec.Resource:
        """An encounter with the history of all movements that are known of it."""
        turns.take(self.unit, encounter)
        for position, draft in enumerate(self.movements):
            movement = self.places.resolved(draft)
            if movement["encounter"]["reference"] == f"Encounter/{encounter}":
                entry = movements.entry(movement, resources.instant(self.at))
                _MOVED.run(
                    self.connection, message=self.message.id, position=position, encounter=encounter,
                    body=codec.encode(entry.as_json),
                )  # fmt: skip
        entries = [movements.Entry.from_json(codec.decode(body)) for body in _movements(self.connection, encounter)]
        if not entries and "status" in said:
            return said
        history = movements.history(entries, said)
        rest = {name: value for name, value in said.items() if name not in _HISTORY or name in history}
        if history.get("status") != "finished":
            rest = _without_end(rest)
        return {**rest, **history}

    def _related(self, said: codec.Resource) -> codec.Resource:
        """A document that names another by its number refers to it, and one that replaces another supersedes it.

        In whatever order the two come: who names a document that is not there yet is noted under its number.
        """
        for relation in said.get("relatesTo", []):
            identifier = relation["target"].get("identifier", {})
            if "reference" not in relation["target"] and identifier.get("value"):
                key = (str(identifier.get("system", "")), str(identifier["value"]))
                found = [one for one in self._documents(*key) if one != said["id"]]
                if len(found) == 1:
                    relation["target"]["reference"] = f"DocumentReference/{found[0]}"
                else:
                    places.note(self.connection, _NAMED, places.digest(*key), said["id"])
            if relation["code"] == "replaces" and said.get("status") in _VALID:
                self._supersede(relation["target"].get("reference", ""), said)
        return self._named_before(said)

    def _documents(self, system: str, value: str) -> list[str]:
        key = places.digest("DocumentReference", system, value)
        noted = places.noted(self.connection, "DocumentReference", key)
        return [noted] if noted else search.by_identifier(self.connection, "DocumentReference", system, value)

    def _supersede(self, reference: str, said: codec.Resource) -> None:
        resource_type, resource_id = values.split_reference(reference)
        stored = resources.present(self.connection, resource_type, resource_id) if resource_id else None
        if stored is not None and not stored.is_own and stored.resource.get("status") == "current":
            if _patients(stored.resource) != _patients(said):
                raise NotStorable("DocumentReference.relatesTo: the replaced document is another patient's.")
            resources.put(self.unit, {**stored.resource, "status": "superseded"}, received=self.message.id)
            place = {"type": resource_type, "id": resource_id, "element": "status"}
            _AGED.run(self.connection, **place, at=self.at, number=self.message.number)

    def _named_before(self, said: codec.Resource) -> codec.Resource:
        """A document that another one named before it came: that one refers to it now."""
        identifier = said.get("masterIdentifier", {})
        key = (str(identifier.get("system", "")), str(identifier.get("value", "")))
        other_id = places.noted(self.connection, "DocumentReference", places.digest(*key), under=_NAMED)
        other = resources.present(self.connection, "DocumentReference", other_id) if other_id else None
        if other is None or other.id == said["id"] or _patients(other.resource) != _patients(said):
            return said
        relations = [
            {**one, "target": {**one["target"], "reference": f"DocumentReference/{said['id']}"}}
            if one["target"].get("identifier") == identifier
            else one
            for one in other.resource.get("relatesTo", [])
        ]
        self.later.append({**other.resource, "relatesTo": relations})
        is_replaced = any(
            one["code"] == "replaces" and one["target"].get("identifier") == identifier for one in relations
        )
        if is_replaced and other.resource.get("status") in _VALID and said.get("status") == "current":
            return {**said, "status": "superseded"}
        return said

    def finish(self) -> None:
        """Write what other resources have to say now that all of this message are there."""
        for resource in self.later:
            resources.put(self.unit, resource, received=self.message.id)


def _movements(connection: sa.Connection, encounter: str) -> list[bytes]:
    table = schema.movement
    query = sa.select(table.c.body).where(table.c.encounter == encounter).order_by(table.c.message, table.c.position)
    return [bytes(body) for body in connection.execute(query).scalars()]


def _patients(resource: codec.Resource) -> set[str]:
    """References to the patients that a resource is about."""
    found = {"/".join(one) for one in encounters.subject(resource)}
    for reference in values.at(resource, "patient.reference"):
        found.add("/".join(values.split_reference(str(reference))))
    return {reference for reference in found if reference.startswith("Patient/")}


def _united(stored: list[Any], said: list[Any], key: Callable[[Any], Any], *, is_older: bool) -> list[Any]:
    """Both lists; of items that are the same those of the newer one."""
    newer, older = (stored, said) if is_older else (said, stored)
    taken = {key(item) for item in newer}
    kept = [item for item in older if key(item) not in taken]
    return [*newer, *kept] if is_older else [*kept, *newer]


def _without_end(encounter: codec.Resource) -> codec.Resource:
    """An encounter that goes on: a discharge that was cancelled has no reason."""
    if "hospitalization" not in encounter:
        return encounter
    stay = {name: value for name, value in encounter["hospitalization"].items() if name not in _OF_THE_END}
    rest = {name: value for name, value in encounter.items() if name != "hospitalization"}
    return {**rest, "hospitalization": stay} if stay else rest


def _is_withdrawn(condition: codec.Resource) -> bool:
    return "entered-in-error" in values.at(condition, "verificationStatus.coding.code")
