"""A transaction: stored whole or not at all. https://hl7.org/fhir/R4/http.html#trules

The order of the specification is kept: deletions, then what is created, updated and patched, then reads. Which resource
each entry means is decided first, so that references between entries can be written out in any order.
"""

from __future__ import annotations

import asyncio
import re
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fhir_gateway import ids
from fhir_gateway.rest import conditional, entries, interactions, literals, outcomes, writes
from fhir_gateway.rest.ask import Answer, Ask
from fhir_gateway.rest.entries import Entry
from fhir_gateway.rest.routes import Does
from fhir_gateway.search import values
from fhir_gateway.store import codec, database, inbox, resources

#: Types whose arrival can start a run: a resend of a bundle that holds one gets the stored answer.
_DOCUMENTS = frozenset({"DocumentReference", "Media"})

_LINK = re.compile(r"(?<=[\"'])urn:uuid:[0-9a-fA-F-]{36}(?=[\"'])")

MAX_ROUNDS = 16  # conditional references to what conditional references stand in, and so on

#: JSON names of elements that may hold the fullUrl of another entry (R4: Reference, uri, url and the narrative).
_LINKS = frozenset({"reference", "url", "uri", "valueUri", "valueUrl"})


@dataclass(frozen=True, slots=True)
class _Write:
    """A create or an update whose resource is known: `existing` where a conditional create found one."""

    entry: Entry
    reference: str
    resource: codec.Resource
    existing: resources.Stored | None = None
    is_new: bool = False

    @property
    def is_first(self) -> bool:
        """Encounters go first: the rules about the others look at them."""
        return self.entry.ask.type == "Encounter"


async def transaction(ask: Ask, bodies: list[Any]) -> Answer:
    """Every entry checked, then all of them in one commit."""
    checked = await asyncio.to_thread(_checked, ask, bodies)
    return await ask.gateway.database.write(lambda unit: _store(unit, ask, checked))


def _checked(ask: Ask, bodies: list[Any]) -> list[Entry]:
    """All entries checked; every fault of every entry in one OperationOutcome."""
    found: list[Entry] = []
    issues: list[outcomes.Issue] = []
    statuses: set[int] = set()
    for number, body in enumerate(bodies):
        try:
            found.append(entries.read(ask, number, body))
        except outcomes.Refused as refusal:
            issues += refusal.issues
            statuses.add(refusal.status)
    if issues:
        raise outcomes.Refused(422 if statuses == {422} else 400, *issues)
    return found


def _store(unit: database.Unit, ask: Ask, asked: list[Entry]) -> Answer:
    is_document = any(
        entry.route.method in ("POST", "PUT") and entry.ask.type in _DOCUMENTS for entry in asked if entry.ask.path
    )
    if is_document:
        again = inbox.answer_again(unit.connection, ask.message)
        if again is not None and _still_stands(unit, asked, again):
            inbox.keep(unit, ask.message, status=200, key=ask.key)
            return Answer(200, resource=codec.decode(again))
    answers = _answers(unit, asked)
    bundle: codec.Resource = {"resourceType": "Bundle", "type": "transaction-response"}
    if asked:
        bundle["entry"] = [entries.response(entry, answers[entry.number]) for entry in asked]
    kept = codec.encode(bundle) if is_document else None
    inbox.keep(unit, ask.message, status=200, answer=kept, key=ask.key)
    writes.settle(unit, ask)
    return Answer(200, resource=bundle, seen=tuple(dict.fromkeys(r for a in answers.values() for r in a.seen)))


def _still_stands(unit: database.Unit, asked: list[Entry], answer: bytes) -> bool:
    """Whether the stored answer is still true: what was created exists, what was updated is at that version.

    Deletions, patches and reads are done again: done twice, they come to the same.
    """
    for entry, told in zip(asked, codec.decode(answer).get("entry", []), strict=False):
        location = told["response"].get("location", "")
        reference = values.last_steps(location)
        if entry.route.method not in ("POST", "PUT") or not reference:
            return False
        current = resources.present(unit.connection, *reference.split("/"))
        if current is None:
            return False
        if entry.route.method == "PUT" and not location.endswith(f"/_history/{current.version}"):
            return False
    return True


def _answers(unit: database.Unit, asked: list[Entry]) -> dict[int, Answer]:
    """The answer to each entry, by its number."""
    answers: dict[int, Answer] = {}
    writing = [entry for entry in asked if entry.route.does is Does.WRITE]
    deleted: set[str] = set()
    for entry in (entry for entry in writing if entry.route.method == "DELETE"):
        _once(deleted, _target(unit, entry), entry)
        answers[entry.number] = entry.route.writes(unit, entry.ask)
    puts = _puts(unit, [entry for entry in writing if entry.route.method in ("POST", "PUT")], deleted)
    known = _known(puts)
    _check_urns(puts, known)
    _put_all(unit, puts, known, answers)
    written = deleted | {write.reference for write in puts if write.existing is None}
    for entry in (entry for entry in writing if entry.route.method == "PATCH"):
        _once(written, _target(unit, entry), entry)
        answers[entry.number] = entry.route.writes(unit, entry.ask)
    for entry in (entry for entry in asked if entry.route.does is not Does.WRITE):
        answers[entry.number] = _read(unit, entry)
    return answers


def _read(unit: database.Unit, entry: Entry) -> Answer:
    if entry.route.does is Does.ANSWER:
        return entry.route.answers(entry.ask)
    return entry.route.reads(unit.connection, entry.ask)


def _once(written: set[str], target: str | None, entry: Entry) -> None:
    """Refuse a transaction in which two entries write one resource."""
    if target is not None and target in written:
        raise outcomes.bad_request("The transaction writes this resource twice.", entry.at, code="duplicate")
    if target is not None:
        written.add(target)


def _target(unit: database.Unit, entry: Entry) -> str | None:
    """Which resource a deletion or a patch means."""
    ask = entry.ask
    if "id" in ask.path:
        return f"{ask.type}/{ask.id}"
    found = conditional.meant(unit.connection, ask)
    return found.reference if found else None


def _puts(unit: database.Unit, asked: list[Entry], deleted: set[str]) -> list[_Write]:
    """The creates and updates with the ids that they will have. Equal conditional creates are one resource."""
    found: list[_Write] = []
    conditions: dict[str, _Write] = {}
    written = set(deleted)
    for entry in asked:
        key = _condition_key(entry)
        twin = conditions.get(key) if key else None
        if twin is not None and "PUT" in (entry.route.method, twin.entry.route.method):
            _once({twin.reference}, twin.reference, entry)
        write = replace(twin, entry=entry) if twin else _put(unit, entry)
        if key and twin is None:
            conditions[key] = write
        if twin is None and write.existing is None:
            _once(written, write.reference, entry)
        found.append(write)
    return found


def _condition_key(entry: Entry) -> str | None:
    """What tells whether two entries ask by the same condition."""
    ask = entry.ask
    if entry.route.method == "PUT":
        return conditional.digest(ask.type, ask.pairs) if "id" not in ask.path else None
    condition = ask.headers.get("if-none-exist")
    return conditional.digest(ask.type, conditional.pairs(condition)) if condition is not None else None


def _put(unit: database.Unit, entry: Entry) -> _Write:
    ask = entry.ask
    if entry.route.method == "PUT" and "id" in ask.path:
        return _Write(entry, f"{ask.type}/{ask.id}", ask.body)
    if entry.route.method == "PUT":
        target = conditional.updated(unit, ask)
        return _Write(entry, f"{ask.type}/{target}", {**ask.body, "id": target})
    interactions.no_parameters(ask)
    new_id = ids.new()
    condition = ask.headers.get("if-none-exist")
    if condition is not None:
        existing = conditional.once(unit, ask, conditional.pairs(condition), new_id)
        if existing is not None:
            return _Write(entry, existing.reference, existing.resource, existing)
    return _Write(entry, f"{ask.type}/{new_id}", {**ask.body, "id": new_id}, is_new=True)


def _known(puts: list[_Write]) -> dict[str, str]:
    """fullUrl -> reference (R4 bundle.html#references)."""
    return {write.entry.full_url: write.reference for write in puts if write.entry.full_url}


def _base(full_url: str | None) -> str:
    """The service base of a RESTful fullUrl, with its slash; "" of any other."""
    own = values.last_steps(full_url or "")
    return (full_url or "").removesuffix(own) if own else ""


def _check_urns(puts: list[_Write], known: Mapping[str, str]) -> None:
    """A urn that no entry has as its fullUrl would stay a reference to nothing."""
    issues = [
        outcomes.Issue("not-found", "No entry of the transaction has this urn as its fullUrl.", expression)
        for write in puts
        if write.existing is None and write.entry.ask.type != "Bundle"
        for expression, reference in literals.of(write.resource, f"{write.entry.at}.resource")
        if reference.startswith("urn:") and reference not in known
    ]
    if issues:
        raise outcomes.Refused(400, *issues)


def _put_all(unit: database.Unit, puts: list[_Write], known: Mapping[str, str], answers: dict[int, Answer]) -> None:
    """Store what is created and updated. What refers by a condition waits for what it may mean."""
    stored: dict[str, resources.Stored] = {}
    rounds = 0
    waiting = sorted((write for write in puts if write.existing is None), key=lambda write: not write.is_first)
    while waiting:
        later: list[_Write] = []
        refusal: outcomes.Refused | None = None
        for write in waiting:
            if write.reference in stored:
                continue
            try:
                resource = _resolved(unit, write, known)
            except outcomes.Refused as error:
                refusal = refusal or error
                later.append(write)
                continue
            ask = write.entry.ask
            stored[write.reference] = writes.put(
                unit, ask, resource, if_version=ask.if_match, is_new=write.is_new, method=write.entry.route.method
            )
        rounds += 1
        if refusal is not None and (len(later) == len(waiting) or rounds > MAX_ROUNDS):
            raise refusal
        waiting = later
    told: set[str] = set()
    for write in puts:
        version = write.existing or stored[write.reference]
        is_created = version.created and write.existing is None and write.reference not in told
        told.add(write.reference)
        answers[write.entry.number] = Answer(201 if is_created else 200, version, written=True)


def _resolved(unit: database.Unit, write: _Write, known: Mapping[str, str]) -> codec.Resource:
    """The resource with its references written out. Refused (412) for a condition that means none, or more than one."""

    base = _base(write.entry.full_url)

    def reference(text: str, at: str) -> str:
        for url in (text, f"{base}{text}"):  # a relative reference is relative to the entry that it stands in
            if url in known:
                return known[url]
        condition = literals.CONDITIONAL.fullmatch(text)
        return _meant(unit, write.entry.ask, condition[1], condition[2], at) if condition else text

    if write.entry.ask.type == "Bundle":
        return write.resource  # its references are among its own entries
    resource: codec.Resource = _rewritten(write.resource, f"{write.entry.at}.resource", reference, known)
    return resource


def _meant(unit: database.Unit, ask: Ask, resource_type: str, text: str, at: str) -> str:
    condition = tuple(urllib.parse.parse_qsl(text, keep_blank_values=True))
    wanted = conditional.parse(replace(ask, at=at), resource_type, condition)
    found = conditional.match(unit.connection, wanted, at)
    if found is None:
        text = "The conditional reference matches no resource."
        raise outcomes.Refused(412, outcomes.Issue("not-found", text, at))
    return found.reference


def _rewritten(node: Any, at: str, reference: Callable[[str, str], str], known: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        result: codec.Resource = {}
        for name, value in node.items():
            if isinstance(value, str):
                if name == "reference":
                    value = reference(value, f"{at}.reference")
                elif name in _LINKS:
                    value = known.get(value, value)
                elif name == "div" and "urn:uuid:" in value:
                    value = _LINK.sub(lambda link: known.get(link[0], link[0]), value)
                result[name] = value
            else:
                result[name] = _rewritten(value, f"{at}.{name}", reference, known)
        return result
    if isinstance(node, list):
        return [_rewritten(value, f"{at}[{index}]", reference, known) for index, value in enumerate(node)]
    return node
