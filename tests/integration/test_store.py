"""The store on a real SQLite file: group commit, decimals to the digit, migrations, reopening."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import alembic.autogenerate
import alembic.migration
import pytest
import sqlalchemy as sa

from fhir_gateway import errors
from fhir_gateway.store import codec, database, inbox, resources, schema
from tests import support
from tests.support import Gateway, Json


@pytest.fixture
def store(url: str) -> Iterator[database.Database]:
    """An open store."""
    opened = database.Database(url)
    yield opened
    opened.close()


def patient(number: int, **elements: Any) -> Json:
    return {"resourceType": "Patient", "id": f"p{number}", "birthDate": "1980-05-02", **elements}


def put(number: int, **elements: Any) -> Any:
    return lambda unit: resources.put(unit, patient(number, **elements))


def count(store: database.Database, table: sa.Table = schema.resource_version) -> int:
    query = sa.select(sa.func.count()).select_from(table)
    return store.read_now(lambda connection: connection.execute(query).scalar_one())


class Held:
    """The writer thread held inside one unit, so that what comes meanwhile shares the next commit."""

    def __init__(self, store: database.Database) -> None:
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.future = store.submit(self._wait)
        assert self.entered.wait(10)

    def _wait(self, _unit: database.Unit) -> None:
        self.entered.set()
        assert self.go_on.wait(10)

    def release(self) -> None:
        self.go_on.set()
        self.future.result(10)


def test_units_that_wait_share_one_commit(store: database.Database) -> None:
    commits: list[int] = []
    sa.event.listen(store._writer, "commit", lambda _connection: commits.append(1))
    held = Held(store)
    futures: list[Future[Any]] = [store.submit(put(number)) for number in range(10)]
    held.release()
    assert [future.result(10).version for future in futures] == [1] * 10
    assert len(commits) == 2  # the held unit's, and one for all ten
    assert count(store) == 10


@pytest.mark.parametrize(
    "failing",
    [ValueError("refused"), errors.VersionConflict(), sa.exc.IntegrityError("insert", {}, Exception("twice"))],
    ids=["a refusal", "a version conflict", "a constraint"],
)
def test_a_unit_that_fails_takes_none_of_its_neighbours_with_it(store: database.Database, failing: Exception) -> None:
    def fails(unit: database.Unit) -> None:
        resources.put(unit, patient(99))
        raise failing

    held = Held(store)
    before, broken, after = store.submit(put(1)), store.submit(fails), store.submit(put(2))
    held.release()
    assert (before.result(10).version, after.result(10).version) == (1, 1)
    with pytest.raises(type(failing)):
        broken.result(10)
    present = store.read_now(lambda c: [resources.read(c, "Patient", f"p{n}") is not None for n in (1, 2, 99)])
    assert present == [True, True, False]


def test_a_real_constraint_violation_fails_alone(store: database.Database) -> None:
    row = {"run": "r", "stage": "read", "body": b"x", "at": 1, "micros": 1, "engine": "e"}

    def insert(unit: database.Unit) -> None:
        unit.connection.execute(schema.stage_output.insert().values(**row))

    held = Held(store)
    first, second, third = store.submit(insert), store.submit(insert), store.submit(put(1))
    held.release()
    first.result(10)
    third.result(10)
    with pytest.raises(sa.exc.IntegrityError):
        second.result(10)
    assert (count(store, schema.stage_output), count(store)) == (1, 1)


def test_when_the_database_itself_fails_only_its_job_is_told(store: database.Database) -> None:
    def fails(_unit: database.Unit) -> None:
        raise sa.exc.OperationalError("commit", {}, Exception("disk I/O error"))

    held = Held(store)
    futures: list[Future[Any]] = [store.submit(put(1)), store.submit(fails), store.submit(put(2))]
    held.release()
    assert futures[0].result(10).version == futures[2].result(10).version == 1
    with pytest.raises(errors.StoreUnavailable):
        futures[1].result(10)
    assert count(store) == 2


def test_the_answer_comes_after_the_commit(store: database.Database, url: str) -> None:
    future = store.submit(put(1))
    future.result(10)
    other = sa.create_engine(url)
    with other.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM resource_version")).scalar_one() == 1
    other.dispose()


def test_what_is_to_be_done_after_the_commit_is_not_done_for_a_failed_unit(store: database.Database) -> None:
    told: list[str] = []

    def work(name: str, error: Exception | None) -> Any:
        def run(unit: database.Unit) -> None:
            unit.after_commit.append(lambda: told.append(name))
            if error:
                raise error

        return run

    held = Held(store)
    futures = [store.submit(work("good", None)), store.submit(work("bad", ValueError()))]
    held.release()
    futures[0].result(10)
    with pytest.raises(ValueError):
        futures[1].result(10)
    assert told == ["good"]


def test_a_write_whose_caller_went_away_is_done_all_the_same(store: database.Database) -> None:
    async def abandoned() -> None:
        held = Held(store)
        task = asyncio.create_task(store.write(put(1)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        held.release()

    asyncio.run(abandoned())
    store.close()
    reopened = database.Database(store.url)
    assert count(reopened) == 1
    reopened.close()


def test_many_threads_lose_no_write(store: database.Database) -> None:
    def write(start: int) -> None:
        for number in range(start, start + 50):
            store.submit(put(number)).result(30)

    threads = [threading.Thread(target=write, args=(start,)) for start in range(0, 400, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(store) == 400


def test_a_closed_store_takes_nothing_and_forgets_nothing(store: database.Database, url: str) -> None:
    futures = [store.submit(put(number)) for number in range(20)]
    store.close()
    assert all(future.done() for future in futures)
    with pytest.raises(errors.StoreUnavailable):
        store.submit(put(21))
    database.migrate(url)  # a start on existing data changes nothing
    reopened = database.Database(url)
    assert count(reopened) == 20
    assert reopened.submit(put(0, active=True)).result(10).version == 2
    reopened.close()


def test_only_one_version_is_current_and_all_are_kept(store: database.Database) -> None:
    for active in (True, False, True):
        store.submit(put(1, active=active)).result(10)
    versions = store.read_now(lambda c: [resources.vread(c, "Patient", "p1", number) for number in (1, 2, 3)])
    assert [version.resource["active"] for version in versions if version] == [True, False, True]
    current = sa.select(schema.resource_version.c.version).where(schema.resource_version.c.is_current)
    assert store.read_now(lambda connection: connection.execute(current).scalars().all()) == [3]
    indexed = sa.select(sa.func.count()).select_from(schema.index_date)
    assert store.read_now(lambda connection: connection.execute(indexed).scalar_one()) == 1


def test_if_version_is_checked_inside_the_transaction(store: database.Database) -> None:
    store.submit(put(1)).result(10)

    def update(active: bool) -> Any:
        return lambda unit: resources.put(unit, patient(1, active=active), if_version=1)

    held = Held(store)
    first, second = store.submit(update(True)), store.submit(update(False))
    held.release()
    assert first.result(10).version == 2
    with pytest.raises(errors.VersionConflict):
        second.result(10)


def test_a_message_is_kept_byte_for_byte_with_its_answer(store: database.Database) -> None:
    message = inbox.Message("rest", "POST /fhir", "application/fhir+json", b'{"a": 1.00}\r\n\xff\x00')
    store.submit(lambda unit: inbox.keep(unit, message, status=200, answer=b"first")).result(10)
    store.submit(lambda unit: inbox.keep(unit, message, status=400)).result(10)
    assert store.read_now(lambda connection: inbox.answer_again(connection, message)) == b"first"
    other = inbox.Message("rest", "POST /fhir/Patient", message.content_type, message.body)
    assert store.read_now(lambda connection: inbox.answer_again(connection, other)) is None
    bodies = store.read_now(lambda connection: connection.execute(sa.select(schema.received.c.body)).scalars().all())
    assert bodies == [message.body] * 2


def test_the_migrations_make_the_schema(url: str) -> None:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        context = alembic.migration.MigrationContext.configure(connection, opts={"compare_type": True})
        assert alembic.autogenerate.compare_metadata(context, schema.metadata) == []
        wanted = {index.name for table in schema.metadata.tables.values() for index in table.indexes}
        made = {
            index["name"] for table in schema.metadata.tables for index in sa.inspect(connection).get_indexes(table)
        }
        assert wanted <= made
        partial = connection.execute(
            sa.text("SELECT sql FROM sqlite_master WHERE name = 'received_by_content'")
        ).scalar_one()
        assert re.search(r"INDEX .* WHERE answer IS NOT NULL$", partial)
    engine.dispose()


def test_a_newer_schema_is_refused_with_one_sentence(url: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(errors.ConfigurationError, match="made by a newer fhir-gateway"):
        database.migrate(url)


def test_an_acknowledged_commit_survives_a_power_cut(store: database.Database) -> None:
    pragmas = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    found = {name: store.submit(lambda unit, name=name: pragma(unit, name)).result(10) for name in pragmas}  # type: ignore[misc]
    assert found == pragmas


def pragma(unit: database.Unit, name: str) -> object:
    return unit.connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()


DIGITS = ["1.00", "1.50", "0.10", "-0.50", "100", "12345678901234567890.123", "0.000001", "1.0E+3", "1e-7", "0.0"]


@pytest.mark.parametrize("digits", DIGITS)
def test_a_decimal_keeps_its_digits_over_http(gateway: Gateway, digits: str) -> None:
    body = (
        '{"resourceType":"Observation","id":"d","status":"final","code":{"text":"Kreatinin"},'
        f'"valueQuantity":{{"value":{digits},"unit":"mg/dl"}},"referenceRange":[{{"low":{{"value":{digits}}}}}]}}'
    ).encode()
    answer = gateway.http.put("Observation/d", content=body, headers=support.FHIR_JSON)
    assert answer.status_code in (200, 201), answer.text
    entry = gateway.http.get("Observation?_id=d").text
    history = gateway.http.get("Observation/d/_history").text
    for told in (answer.text, gateway.http.get("Observation/d").text, entry, history):
        assert values(told)[:2] == [digits.upper(), digits.upper()]


def values(text: str) -> list[str]:
    """The literal digits of every value in a JSON text."""
    return [found.upper() for found in re.findall(r'"value":([-+0-9.eE]+)', text)]


@pytest.mark.parametrize("digits", ["1.00", "12345678901234567890.123"])
def test_a_number_with_other_digits_is_another_version(store: database.Database, digits: str) -> None:
    def weight(value: str) -> Any:
        resource = codec.decode(
            b'{"resourceType":"Observation","id":"w","valueQuantity":{"value":%s}}' % value.encode()
        )
        return lambda unit: resources.put(unit, resource)

    assert store.submit(weight(digits)).result(10).version == 1
    assert store.submit(weight(digits)).result(10).version == 1
    assert store.submit(weight(f"{digits}0")).result(10).version == 2
