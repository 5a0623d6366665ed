"""AuditEvents: who did what with which resource. https://hl7.org/fhir/R4/auditevent.html"""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Sequence

import structlog

from fhir_gateway import ids
from fhir_gateway.store import codec, database, resources
from mappers.results_to_fhir import audit_event

log = structlog.get_logger()

#: What no audit row is written for: the audit itself, and the progress that a client polls.
_UNAUDITED = ("AuditEvent/", "Task/")


def wrote(unit: database.Unit, device: str, stored: Sequence[resources.Stored]) -> None:
    """One AuditEvent for what a request changed, in the same commit."""
    changed = [version for version in stored if version.changed]
    if changed:
        actions = {_action(version) for version in changed}
        action = actions.pop() if len(actions) == 1 else "U"
        interaction = "transaction" if len(changed) > 1 else _INTERACTIONS[action]
        _put(unit, interaction, action, [version.reference for version in changed], device)


_INTERACTIONS = {"C": "create", "U": "update", "D": "delete"}


def _action(version: resources.Stored) -> str:
    if version.body is None:
        return "D"
    return "C" if version.created else "U"


def did(unit: database.Unit, device: str, interaction: str, entities: Sequence[str], agent: str | None = None) -> None:
    """One AuditEvent for an operation such as $release; `agent` is the Practitioner who asked for it."""
    _put(unit, interaction, "E", entities, device, agent)


class Reads:
    """What was read and has no AuditEvent yet. A reader does not wait for it; readers at a time share one commit."""

    def __init__(self, store: database.Database) -> None:
        self._database = store
        self._lock = threading.Lock()
        self._waiting: list[tuple[str, list[str]]] = []

    def accessed(self, device: str, interaction: str, entities: Sequence[str]) -> None:
        """One AuditEvent for what a request read. Called in the event loop."""
        seen = [entity for entity in entities if not entity.startswith(_UNAUDITED)]
        if not seen:
            return
        with self._lock:
            batch = self._waiting
            batch.append((interaction, seen))
        if len(batch) == 1:
            self._database.submit(lambda unit: self._write(unit, device, batch)).add_done_callback(_say_when_lost)

    def _write(self, unit: database.Unit, device: str, batch: list[tuple[str, list[str]]]) -> None:
        with self._lock:
            if self._waiting is batch:
                self._waiting = []
        for interaction, seen in batch:
            _put(unit, interaction, "R", seen, device)


def _say_when_lost(written: concurrent.futures.Future[None]) -> None:
    if written.exception() is not None:
        log.error("reads could not be audited", error=type(written.exception()).__name__)


def _put(
    unit: database.Unit, interaction: str, action: str, entities: Sequence[str], device: str, agent: str | None = None
) -> None:
    event: codec.Resource = audit_event.build(
        identifier=ids.new(),
        interaction=interaction,
        action=action,
        recorded=resources.instant(unit.now),
        entities=entities,
        device=device,
        agent=agent,
    )
    resources.put(unit, event, is_new=True)
