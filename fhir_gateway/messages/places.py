"""Which resource of the store a draft means: found again by its identifiers, or by what else its rules name.

`message_identity` notes every digest under which a resource was ever found, so that what has no identifier in FHIR, or
has another one since, is found again all the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from fhir_gateway import errors, ids
from fhir_gateway.search import values
from fhir_gateway.store import codec, resources, search, statements
from mappers.v2_to_fhir.engine import Draft

_MOST_MERGES: Final = 10  # a patient who was replaced by one who was replaced …

_FIND = statements.Statement("SELECT id FROM message_identity WHERE type = :type AND digest = :digest")
_NOTE = statements.Statement(
    "INSERT INTO message_identity (type, digest, id) VALUES (:type, :digest, :id)"
    " ON CONFLICT (type, digest) DO UPDATE SET id = excluded.id"
)


class NotStorable(errors.GatewayError):
    """What the message says cannot be stored. Its reason names the element."""


class Places:
    """The drafts of one message and the resources that they mean. `merged` has the patients who were replaced by others
    since, by the draft that still names them.
    """

    def __init__(self, connection: sa.Connection, message_id: str, drafts: Sequence[Draft]) -> None:
        self.connection = connection
        self.merged: dict[str, str] = {}
        self._message_id = message_id
        self._drafts = {draft.reference: draft for draft in drafts}
        self._places: dict[str, str] = {}  # `draft:3` to `Patient/…`
        self._alike: dict[str, int] = {}  # drafts that nothing tells apart are told apart by their order

    def of(self, draft: Draft) -> str:
        """The reference of the resource that a draft means: one that is there, or a new one. Raises NotStorable."""
        if draft.reference in self._places:
            return self._places[draft.reference]
        self._places[draft.reference] = draft.reference  # until it is known, what refers to itself stays as it is
        digests, found = self._meant(draft)
        if "replaced-by" not in values.at(draft.resource, "link.type"):
            survivors = {one: self.surviving(draft.type, one) for one in found}
            for one in found:
                if survivors[one] != one:
                    self.merged[draft.reference] = one
            found = set(survivors.values())
        if len(found) > 1:
            raise NotStorable(f"{draft.name}: its identifiers belong to {len(found)} different resources.")
        resource_id = found.pop() if found else ids.new()
        for key in () if draft.reference in self.merged else digests:
            note(self.connection, draft.type, key, resource_id)
        self._places[draft.reference] = f"{draft.type}/{resource_id}"
        return self._places[draft.reference]

    def resolved(self, node: Any) -> Any:
        """With the references between drafts as references of the store."""
        if isinstance(node, list):
            return [self.resolved(item) for item in node]
        if not isinstance(node, dict):
            return node
        return {
            name: self.of(self._drafts[item]) if name == "reference" and item in self._drafts else self.resolved(item)
            for name, item in node.items()
        }

    def surviving(self, resource_type: str, resource_id: str) -> str:
        """The patient that a merged one has been replaced by; the resource itself where there is none."""
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

    def _meant(self, draft: Draft) -> tuple[list[str], set[str]]:
        """The digests that a draft is noted under, and the ids of what is there.

        The first way of its identity that it has something for decides; a draft without any is this message's own.
        """
        for alternative in draft.identity:
            identifiers = _identifiers(draft, alternative)
            if identifiers:
                digests = [digest(draft.type, *identifier) for identifier in identifiers]
                found = {one for key in digests if (one := noted(self.connection, draft.type, key))}
                for system, value in identifiers:
                    found.update(search.by_identifier(self.connection, draft.type, system, value))
                return digests, found
            parts = [_at(draft.resource, path) for path in alternative] if len(alternative) > 1 else [[]]
            if parts[0] and any(part and not _is_reference(part) for part in parts):
                key = digest(draft.type, *(codec.encode(self.resolved(part)).decode() for part in parts))
                number = self._alike[key] = self._alike.get(key, -1) + 1
                return self._one(draft, digest(key, str(number)) if number else key)
        return self._one(draft, digest(draft.type, "message", self._message_id, str(draft.number)))

    def _one(self, draft: Draft, key: str) -> tuple[list[str], set[str]]:
        found = noted(self.connection, draft.type, key)
        return [key], {found} if found else set()


def digest(*parts: str) -> str:
    """The key of what a resource is found by."""
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def noted(connection: sa.Connection, resource_type: str, key: str, *, under: str | None = None) -> str | None:
    """The id of the resource that is noted under a key, where it is still there. `under` is another kind of key."""
    row = _FIND.run(connection, type=under or resource_type, digest=key).fetchone()
    if row is None or resources.present(connection, resource_type, row[0]) is None:
        return None
    return str(row[0])


def note(connection: sa.Connection, kind: str, key: str, resource_id: str) -> None:
    """Note a resource under a key; `kind` is its type, or another kind of key."""
    _NOTE.run(connection, type=kind, digest=key, id=resource_id)


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
