"""The main job on PostgreSQL: FHIR_GATEWAY_TEST_POSTGRES holds the SQLAlchemy URL of a server to make databases on."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import alembic.autogenerate
import alembic.migration
import pytest
import sqlalchemy as sa

from fhir_gateway.store import schema
from tests import support
from tests.support import Gateway

SERVER = os.environ.get("FHIR_GATEWAY_TEST_POSTGRES")
pytestmark = pytest.mark.skipif(SERVER is None, reason="needs a PostgreSQL URL in FHIR_GATEWAY_TEST_POSTGRES")
CASES = ("polytrauma", "sinusitis", "check-up", "heart-failure-ward")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A database of its own, dropped in the end."""
    assert SERVER is not None
    name = f"gateway_test_{uuid.uuid4().hex[:12]}"
    server = sa.create_engine(SERVER, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield sa.make_url(SERVER).set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, url: str) -> Iterator[Gateway]:
    """A gateway on that database."""
    with support.running(tmp_path_factory.mktemp("postgres") / "data", f"[database]\nurl = '{url}'\n") as started:
        yield started


def test_the_main_job_ends_completed_and_is_written_once(gateway: Gateway) -> None:
    posted = {name: gateway.posted(support.case_bundle(name)) for name in CASES}
    for name, references in posted.items():
        task = gateway.ended(references["Encounter"])
        assert task["status"] == "completed", (name, task.get("statusReason"))
        outputs = gateway.outputs(task)
        assert {"Composition", "Condition", "Provenance"} <= {r["resourceType"] for r in outputs}
        assert {r["meta"]["versionId"] for r in outputs} == {"1"}
        gateway.post(f"{references['Encounter']}/$process", b"")
        again = gateway.ended(references["Encounter"], runs=2)
        assert again["output"] == task["output"]
        assert {r["meta"]["versionId"] for r in gateway.outputs(again)} == {"1"}


def test_the_same_bundle_at_once_is_one_run(gateway: Gateway) -> None:
    body = support.encode(support.case_bundle("cystitis"))
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _number: gateway.post("", body), range(8)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    gateway.ended(support.references(support.decode(answers[0]))["Encounter"])


def test_a_decimal_keeps_its_digits(gateway: Gateway) -> None:
    body = (
        b'{"resourceType":"Observation","id":"d","status":"final","code":{"text":"K"},'
        b'"valueQuantity":{"value":12345678901234567890.1230}}'
    )
    assert gateway.http.put("Observation/d", content=body, headers=support.FHIR_JSON).status_code == 201
    assert '"value":12345678901234567890.1230}' in gateway.http.get("Observation/d").text
    assert gateway.get("Observation", status="final")["total"] >= 1


def test_kill_and_restart_finish_every_acknowledged_bundle(gateway: Gateway) -> None:
    posted = [gateway.posted(support.case_bundle("polytrauma")) for _number in range(4)]
    gateway.kill()
    gateway.start()
    for references in posted:
        assert gateway.ended(references["Encounter"])["status"] == "completed"


def test_the_migrations_make_the_schema(gateway: Gateway, url: str) -> None:
    assert gateway.is_ready()
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        known = set(schema.metadata.tables)
        context = alembic.migration.MigrationContext.configure(
            connection,
            opts={"compare_type": True, "include_name": lambda name, kind, _parents: kind != "table" or name in known},
        )
        assert alembic.autogenerate.compare_metadata(context, schema.metadata) == []
    engine.dispose()
