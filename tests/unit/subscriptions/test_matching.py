"""Which commits are noted for whom."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from fhir_gateway.search import pages
from fhir_gateway.store import database, resources
from fhir_gateway.subscriptions import criteria, matching, outbox, rules
from tests.unit.subscriptions.helpers import Section, observation, put, rows, subscription

HOOK = "http://127.0.0.1:9/hook"


def test_what_fulfils_the_criteria_is_noted_in_the_same_commit(store: database.Database) -> None:
    put(store, subscription(HOOK, "Observation?code=http://loinc.org|1975-2"))
    put(store, observation(1), observation(2, code="718-7"), {"resourceType": "Patient", "id": "o1"})
    assert rows(store) == [("s", "Observation/o1", 1)]
    put(store, observation(1))  # says the same again: no version
    assert len(rows(store)) == 1
    put(store, observation(1, 7))
    assert rows(store)[1:] == [("s", "Observation/o1", 2)]


def test_an_update_that_stops_matching_is_not_told_and_one_that_begins_to_is(store: database.Database) -> None:
    put(store, subscription(HOOK, "Observation?code=1975-2"))
    put(store, observation(1))
    put(store, observation(1, code="718-7"))
    put(store, observation(2, code="718-7"))
    put(store, observation(2))
    assert rows(store) == [("s", "Observation/o1", 1), ("s", "Observation/o2", 2)]


def test_a_deletion_is_not_told(store: database.Database) -> None:
    put(store, subscription(HOOK))
    put(store, observation(1))
    store.submit(lambda unit: resources.delete(unit, "Observation", "o1", received="r")).result(10)
    assert rows(store) == [("s", "Observation/o1", 1)]


def test_what_one_unit_writes_twice_is_told_once_in_the_order_of_the_last(store: database.Database) -> None:
    put(store, subscription(HOOK))
    put(store, observation(1), observation(2), observation(1, 5))
    assert rows(store) == [("s", "Observation/o2", 1), ("s", "Observation/o1", 2)]

    def come_and_go(unit: database.Unit) -> None:
        resources.put(unit, observation(3))
        resources.delete(unit, "Observation", "o3", received="r")

    store.submit(come_and_go).result(10)
    assert len(rows(store)) == 2


def test_a_unit_that_fails_is_not_told(store: database.Database) -> None:
    put(store, subscription(HOOK))

    def fail(unit: database.Unit) -> None:
        resources.put(unit, observation(1))
        raise ValueError

    with pytest.raises(ValueError):
        store.submit(fail).result(10)
    assert rows(store) == []


def test_each_subscription_has_its_own_rows(store: database.Database) -> None:
    put(store, *(subscription(HOOK, subscription_id=name) for name in ("a", "b", "c")))
    put(store, subscription(HOOK, "Patient?active=true", subscription_id="p"))
    put(store, observation(1))
    assert rows(store) == [(name, "Observation/o1", 1) for name in ("a", "b", "c")]
    assert store.read_now(outbox.waiting) == {"a", "b", "c"}


@pytest.mark.parametrize("status", matching.NOTED)
def test_nothing_is_missed_during_a_handshake_or_an_error(store: database.Database, status: str) -> None:
    put(store, subscription(HOOK, status=status))
    put(store, observation(1))
    assert len(rows(store)) == 1


def test_turning_off_and_deleting_drop_what_was_still_to_be_told(store: database.Database) -> None:
    put(store, *(subscription(HOOK, subscription_id=name) for name in ("a", "b", "c")))
    put(store, observation(1))
    put(store, subscription(HOOK, subscription_id="a", status="off"))
    store.submit(lambda unit: resources.delete(unit, "Subscription", "b", received="r")).result(10)
    put(store, observation(2))
    assert rows(store) == [("c", "Observation/o1", 1), ("c", "Observation/o2", 1)]


def test_the_audit_and_subscriptions_themselves_are_not_told(store: database.Database) -> None:
    put(store, subscription(HOOK, "AuditEvent"), subscription(HOOK, "Subscription", subscription_id="t"))
    put(store, {"resourceType": "AuditEvent", "id": "a"}, subscription(HOOK, "Patient", subscription_id="u"))
    assert rows(store) == []


def test_criteria_that_are_not_understood_any_more_fail_no_write(store: database.Database) -> None:
    put(store, subscription(HOOK, "Observation?colour=red"), subscription(HOOK, subscription_id="t"))
    put(store, observation(1))
    assert rows(store) == [("t", "Observation/o1", 1)]


def test_references_may_have_the_address_of_the_server(url: str) -> None:
    opened = database.Database(url, before_commit=matching.Notes("http://gateway.example/fhir"))
    put(opened, subscription(HOOK, "Observation?subject=http://gateway.example/fhir/Patient/p"))
    put(opened, {**observation(1), "subject": {"reference": "Patient/p"}})
    put(opened, {**observation(2), "subject": {"reference": "Patient/q"}})
    assert rows(opened) == [("s", "Observation/o1", 1)]
    opened.close()


def test_a_commit_wakes_the_worker_only_when_there_is_something_to_do(url: str) -> None:
    woken: list[int] = []
    opened = database.Database(url, before_commit=matching.Notes(wake=lambda: woken.append(1)))
    put(opened, observation(1))
    assert woken == []
    put(opened, subscription(HOOK, "Observation?code=1975-2"))
    assert len(woken) == 1
    put(opened, observation(2, code="718-7"))
    assert len(woken) == 1
    put(opened, observation(3))
    assert len(woken) == 2
    opened.close()


def test_without_subscriptions_a_commit_costs_one_probe_of_an_index(store: database.Database) -> None:
    seen: list[str] = []

    def work(unit: database.Unit) -> None:
        resources.put(unit, observation(1), received="r")
        unit.connection.connection.driver_connection.set_trace_callback(seen.append)  # type: ignore[union-attr]

    store.submit(work).result(10)
    store.submit(lambda unit: unit.connection.connection.driver_connection.set_trace_callback(None)).result(10)  # type: ignore[union-attr]
    selects = [text for text in seen if text.startswith("SELECT")]
    assert len(selects) == 1
    plan = store.read_now(lambda connection: explained(connection, selects[0]))
    assert "index_token_by_value" in plan[0]
    assert not any(line.startswith("SCAN") for line in plan), plan


def explained(connection: sa.Connection, text: str) -> list[Any]:
    """The query plan of SQLite."""
    return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]


def test_units_that_share_a_commit_see_one_another(store: database.Database) -> None:
    """The index rows of a commit are written together; a Subscription holds for the units after it all the same."""
    entered, go_on = threading.Event(), threading.Event()

    def wait(_unit: database.Unit) -> None:
        entered.set()
        assert go_on.wait(30)

    def fail(unit: database.Unit) -> None:
        resources.put(unit, subscription(HOOK, subscription_id="t"))
        resources.put(unit, observation(3))
        outbox.add(unit, "s", unit.written[-1])
        matching.note(unit)
        raise ValueError

    futures: list[Future[Any]] = [store.submit(wait)]
    assert entered.wait(30)
    futures += [store.submit(lambda unit, r=r: resources.put(unit, r)) for r in (  # type: ignore[misc]
        observation(1), subscription(HOOK, "Observation?code=1975-2")
    )]  # fmt: skip
    failing = store.submit(fail)
    futures += [store.submit(lambda unit: resources.put(unit, observation(2)))]
    go_on.set()
    for future in futures:
        future.result(30)
    with pytest.raises(ValueError):
        failing.result(30)
    assert rows(store) == [("s", "Observation/o2", 1)]
    found = store.read_now(lambda connection: matching.current(connection))
    assert [stored.id for stored in found] == ["s"]


def test_a_row_that_was_dropped_meanwhile_is_not_taken_for_another(store: database.Database) -> None:
    put(store, subscription(HOOK))
    put(store, observation(1))
    first = store.read_now(lambda connection: outbox.first(connection, "s"))
    assert first is not None
    store.submit(lambda unit: outbox.drop(unit, "s")).result(10)
    put(store, observation(2))
    second = store.read_now(lambda connection: outbox.first(connection, "s"))
    assert second is not None and second.number == first.number  # SQLite gives it again
    store.submit(lambda unit: outbox.remove(unit, first)).result(10)
    assert rows(store) == [("s", "Observation/o2", 1)]


@pytest.mark.parametrize(
    "text",
    [
        "Observation?code=" + "a," * 199 + "b",
        "Observation?code-value-quantity=" + ",".join(["a$1"] * 200),
        "Observation?" + "&".join(["code=" + "a," * 9 + "b"] * 20),
        "Observation?" + "&".join(["patient.name=" + "a," * 9 + "b"] * 20),
        "Provenance?target._id=a",
    ],
)
def test_the_largest_criteria_are_not_too_much_for_the_database(store: database.Database, text: str) -> None:
    put(store, subscription(HOOK, text))
    assert rules.check(subscription(HOOK, text), Section()) == []
    put(store, observation(1), {"resourceType": "Provenance", "id": "v", "target": [{"reference": "Patient/p"}]})
    assert rows(store) == []


@pytest.mark.parametrize(
    "text",
    [
        "Observation",
        "Observation?_id=o1",
        "Observation?_id=o2,o3",
        "Observation?_lastUpdated=gt2020-01-01",
        "Observation?_lastUpdated=lt2020-01-01",
        "Observation?code=http://loinc.org|1975-2,http://loinc.org|718-7",
        "Observation?code:not=1975-2",
        "Observation?subject:missing=true",
        "Observation?patient.name=Muster",
        "Observation?patient.name=Mustermann&code=1975-2",
        "Observation?patient.name=Nobody",
        "Observation?_has:Provenance:target:_id=v",
        "Observation?value-quantity=5",
        "Observation?code-value-quantity=1975-2$gt4",
    ],
)
def test_a_criterion_holds_exactly_for_what_its_search_finds(store: database.Database, text: str) -> None:
    put(store, {"resourceType": "Patient", "id": "p", "name": [{"family": "Mustermann"}]})
    put(store, {"resourceType": "Provenance", "id": "v", "target": [{"reference": "Observation/o1"}]})
    ones = [
        {**observation(1), "subject": {"reference": "Patient/p"}, "valueQuantity": {"value": 5}},
        observation(2, code="718-7"),
        {**observation(3), "valueQuantity": {"value": 4}},
    ]
    stored = put(store, *ones)
    wanted, matcher = criteria.parse(text), criteria.matcher(text)

    def work(connection: sa.Connection) -> tuple[set[str], set[str]]:
        found = {match.id for match in pages.find(connection, replace(wanted, count=50)).matches}
        return found, {one.id for one in stored if matcher.holds(connection, one.rk)}

    found, held = store.read_now(work)
    assert found == held
