"""What a message says, into the store: found again by its identifiers, laid over what is there, in one transaction.

HL7 v2 messages are snapshots: what a message names takes the place of what was there, what it does not name stays, and
`""` deletes. A message that was made before the one that wrote a resource last only adds what is missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from fhir_gateway import errors, ids
from fhir_gateway.messages import register
from fhir_gateway.runs import encounters, trigger
from fhir_gateway.search import values
from fhir_gateway.security import audit
from fhir_gateway.store import codec, database, resources, schema, search, statements, turns
from mappers.v2_to_fhir import engine, movements, rules
from mappers.v2_to_fhir.engine import Draft, Fault
from profiles import base

if TYPE_CHECKING:
    from fhir_gateway.app import Gateway


class NotStorable(errors.GatewayError):
    """What the message says cannot be stored. Its reason names the element."""


#: Lists that grow: an item is the same as another by this. All other elements are taken over whole.
_UNITED: Final[dict[str, Callable[[Any], Any]]] = {
    "identifier": lambda item: (item.get("system"), item.get("value")),
    "extension": lambda item: item.get("url"),
    "link": lambda item: (item.get("type"), item["other"].get("reference")),
    "diagnosis": lambda item: item["condition"].get("reference"),
    "result": lambda item: item.get("reference"),
    "basedOn": lambda item: item.get("reference"),
    "relatesTo": lambda item: (item.get("code"), codec.encode(item.get("target"))),
}

#: What `movements.history` says of an encounter.
_HISTORY: Final = ("status", "class", "classHistory", "period", "location")
_MOST_MERGES: Final = 10  # a patient who was replaced by one who was replaced …

_FIND = statements.Statement("SELECT id FROM message_identity WHERE type = :type AND digest = :digest")
_NAME = statements.Statement(
    "INSERT INTO message_identity (type, digest, id) VALUES (:type, :digest, :id)"
    " ON CONFLICT (type, digest) DO UPDATE SET id = excluded.id"
)
_AGE = statements.Statement("SELECT at FROM message_age WHERE type = :type AND id = :id")
_AGED = statements.Statement(
    "INSERT INTO message_age (type, id, at) VALUES (:type, :id, :at)"
    " ON CONFLICT (type, id) DO UPDATE SET at = excluded.at WHERE message_age.at < excluded.at"
)
_MOVED = statements.Statement(
    "INSERT INTO movement (message, position, encounter, body) VALUES (:message, :position, :encounter, :body)"
    " ON CONFLICT (message, position) DO UPDATE SET encounter = excluded.encounter, body = excluded.body"
)


def run(unit: database.Unit, gateway: Gateway, message: register.Message, mapped: engine.Mapped) -> str | None:
    """Write all of it and what follows from it; the id of its encounter. NotStorable: nothing of it is written."""
    bounds = values.date_bounds(mapped.at) if mapped.at else None
    at = bounds[0] if bounds else message.at
    work = _Work(unit, message, mapped, at)
    for draft in work.drafts:
        work.store(draft)
    brought = [version for version in unit.written if not version.is_own]
    if brought:
        audit.wrote(unit, gateway.device, brought)
        trigger.stored(unit, gateway, [version for version in brought if version.body is not None])
    return work.encounter


class _Work:
    """The drafts of one message on their way into the store."""

    def __init__(self, unit: database.Unit, message: register.Message, mapped: engine.Mapped, at: int) -> None:
        self.unit = unit
        self.connection: sa.Connection = unit.connection
        self.message = message
        self.mapped = mapped
        self.at = at
        self.drafts = [draft for draft in mapped.drafts if draft.type != rules.MOVEMENT]
        self.movements = [draft.resource for draft in mapped.drafts if draft.type == rules.MOVEMENT]
        self.by_reference = {draft.reference: draft for draft in self.drafts}
        self.places: dict[str, str] = {}  # `draft:3` to `Patient/…`
        self.alike: dict[str, int] = {}  # drafts that nothing tells apart are told apart by their order
        self.encounter: str | None = None

    # ---- which resource a draft means

    def place(self, draft: Draft) -> str:
        """The reference of the resource that a draft means: one that is there, or a new one."""
        if draft.reference in self.places:
            return self.places[draft.reference]
        self.places[draft.reference] = draft.reference  # until it is known, what refers to itself stays as it is
        digests, found = self._meant(draft)
        if "replaced-by" not in values.at(draft.resource, "link.type"):
            found = {self._surviving(draft.type, one) for one in found}
        if len(found) > 1:
            raise NotStorable(f"{draft.name}: its identifiers belong to {len(found)} different resources.")
        resource_id = found.pop() if found else ids.new()
        for digest in digests:
            _NAME.run(self.connection, type=draft.type, digest=digest, id=resource_id)
        self.places[draft.reference] = f"{draft.type}/{resource_id}"
        return self.places[draft.reference]

    def _meant(self, draft: Draft) -> tuple[list[str], set[str]]:
        """The digests that a draft is noted under, and the ids of what is there: by the first way of its identity that
        it has something for. One without any is this message's own."""
        for alternative in draft.identity:
            identifiers = _identifiers(draft, alternative)
            if identifiers:
                digests = [_digest(draft.type, *identifier) for identifier in identifiers]
                found = {one for digest in digests if (one := self._noted(draft.type, digest))}
                for system, value in identifiers:
                    found.update(search.by_identifier(self.connection, draft.type, system, value))
                return digests, found
            parts = [_at(draft.resource, path) for path in alternative] if len(alternative) > 1 else [[]]
            if parts[0] and any(part and not _is_reference(part) for part in parts):
                digest = _digest(draft.type, *(codec.encode(self.resolved(part)).decode() for part in parts))
                number = self.alike[digest] = self.alike.get(digest, -1) + 1
                digest = _digest(digest, str(number)) if number else digest
                return [digest], {one for one in (self._noted(draft.type, digest),) if one}
        digest = _digest(draft.type, "message", self.message.id, str(draft.number))
        return [digest], {one for one in (self._noted(draft.type, digest),) if one}

    def _noted(self, resource_type: str, digest: str) -> str | None:
        row = _FIND.run(self.connection, type=resource_type, digest=digest).fetchone()
        if row is None or resources.present(self.connection, resource_type, row[0]) is None:
            return None
        return str(row[0])

    def _surviving(self, resource_type: str, resource_id: str) -> str:
        """The patient that a merged one has been replaced by."""
        if resource_type != "Patient":
            return resource_id
        for _merge in range(_MOST_MERGES):
            stored = resources.present(self.connection, "Patient", resource_id)
            links = stored.resource.get("link", []) if stored else []
            other = next((link["other"].get("reference", "") for link in links if link["type"] == "replaced-by"), "")
            if not other.startswith("Patient/"):
                return resource_id
            resource_id = other.removeprefix("Patient/")
        raise NotStorable("Patient: the chain of merges has no end.")

    def resolved(self, node: Any) -> Any:
        """With the references between drafts as references of the store."""
        if isinstance(node, dict):
            return {name: self.resolved(item) for name, item in node.items()}
        if isinstance(node, list):
            return [self.resolved(item) for item in node]
        if isinstance(node, str) and node in self.by_reference:
            return self.place(self.by_reference[node])
        return node

    # ---- what is written

    def store(self, draft: Draft) -> None:
        """Write a draft over what is there."""
        resource_type, resource_id = self.place(draft).split("/")
        said: codec.Resource = {**self.resolved(draft.resource), "id": resource_id}
        stored = resources.present(self.connection, resource_type, resource_id)
        if stored is not None and stored.is_own:
            self.mapped.faults.append(Fault(draft.name, "This is the gateway's own result; it stays as it is."))
            return
        age = _AGE.run(self.connection, type=resource_type, id=resource_id).fetchone()
        is_older = age is not None and age[0] > self.at
        if stored is not None:
            said = self._over(stored.resource, said, draft, is_older=is_older)
        if resource_type == "Encounter":
            said = self._moved(resource_id, self._without_withdrawn(said))
            self.encounter = self.encounter or resource_id
        if resource_type == "DocumentReference":
            said = self._related(said)
        fault = next((fault for fault in base.faults(said) if fault.severity == "error"), None)
        if fault is not None:
            raise NotStorable(f"{fault.expression}: {fault.text}")
        resources.put(self.unit, said, received=self.message.id)
        _AGED.run(self.connection, type=resource_type, id=resource_id, at=self.at)

    def _over(self, stored: codec.Resource, said: codec.Resource, draft: Draft, *, is_older: bool) -> codec.Resource:
        """What is said, laid over what is there."""
        self._same_patient(stored, said, draft)
        result = {name: value for name, value in stored.items() if is_older or name not in draft.nulls}
        for name, value in said.items():
            if name in draft.defaults and name in stored:
                continue
            if name in _UNITED and name in result:
                result[name] = _united(result[name], value, _UNITED[name], is_older=is_older)
            elif not is_older or name not in result:
                result[name] = value
                _drop_other_choice(result, name, draft.type)
        return result

    def _same_patient(self, stored: codec.Resource, said: codec.Resource, draft: Draft) -> None:
        """What is known of one patient never becomes another's; one who was merged is the same one."""
        before, after = _patients(stored), _patients(said)
        if before and after and before != after:
            survivors = {f"Patient/{self._surviving('Patient', one.removeprefix('Patient/'))}" for one in before}
            if survivors != after:
                raise NotStorable(f"{draft.name}: it belongs to another patient than this message is about.")

    def _without_withdrawn(self, said: codec.Resource) -> codec.Resource:
        """An encounter without the diagnoses that this message takes back."""
        gone = {
            self.place(draft)
            for draft in self.drafts
            if "entered-in-error" in values.at(draft.resource, "verificationStatus.coding.code")
        }
        left = [one for one in said.get("diagnosis", []) if one["condition"].get("reference") not in gone]
        rest = {name: value for name, value in said.items() if name != "diagnosis"}
        return {**rest, "diagnosis": left} if left else rest

    def _moved(self, encounter: str, said: codec.Resource) -> codec.Resource:
        """An encounter with the history of all movements that are known of it."""
        turns.take(self.unit, encounter)
        for position, draft in enumerate(self.movements):
            movement = self.resolved(draft)
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
        return {**rest, **history}

    def _related(self, said: codec.Resource) -> codec.Resource:
        """A document that names another by its number refers to it, and one that replaces another supersedes it."""
        for relation in said.get("relatesTo", []):
            target = relation["target"]
            identifier = target.get("identifier", {})
            if "reference" not in target and identifier.get("value"):
                found = search.by_identifier(
                    self.connection, "DocumentReference", identifier.get("system", ""), identifier["value"]
                )
                if len(found) == 1 and found[0] != said["id"]:
                    target["reference"] = f"DocumentReference/{found[0]}"
            if relation["code"] == "replaces" and said.get("status") == "current":
                self._supersede(target.get("reference", ""), said)
        return said

    def _supersede(self, reference: str, said: codec.Resource) -> None:
        resource_type, resource_id = values.split_reference(reference)
        stored = resources.present(self.connection, resource_type, resource_id) if resource_id else None
        if stored is not None and not stored.is_own and stored.resource.get("status") == "current":
            if _patients(stored.resource) != _patients(said):
                raise NotStorable("DocumentReference.relatesTo: the replaced document is another patient's.")
            resources.put(self.unit, {**stored.resource, "status": "superseded"}, received=self.message.id)


def _movements(connection: sa.Connection, encounter: str) -> list[bytes]:
    table = schema.movement
    query = sa.select(table.c.body).where(table.c.encounter == encounter).order_by(table.c.message, table.c.position)
    return [bytes(body) for body in connection.execute(query).scalars()]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _identifiers(draft: Draft, alternative: tuple[str, ...]) -> list[tuple[str, str]]:
    """System and value of the identifiers at the path of an alternative that has only one."""
    found = _at(draft.resource, alternative[0]) if len(alternative) == 1 else []
    return [
        (str(item.get("system", "")), str(item["value"]))
        for item in found
        if isinstance(item, dict) and "value" in item
    ]


def _at(resource: codec.Resource, path: str) -> list[Any]:
    """What stands at a path of an identity; `identifier:PI|MR` means identifiers of these types only."""
    path, _, kinds = path.partition(":")
    found = list(values.at(resource, path))
    if not kinds:
        return found
    wanted = set(kinds.split("|"))
    return [item for item in found if wanted & set(values.at(item, "type.coding.code"))]


def _is_reference(part: list[Any]) -> bool:
    return all(isinstance(item, dict) and "reference" in item for item in part)


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


def _drop_other_choice(resource: codec.Resource, name: str, resource_type: str) -> None:
    """`deceasedBoolean` goes where `deceasedDateTime` is said now: a choice has one value."""
    for other in base.alternatives(resource_type, name):
        resource.pop(other, None)
