"""Pages of a search: whichever index leads, the same resources come, each once, in the order that was asked for."""

from __future__ import annotations

import itertools
import urllib.parse
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fhir_gateway.rest import types
from fhir_gateway.search import pages, query
from fhir_gateway.store import database, resources

CONDITIONS = (
    "status=final", "status:not=final", "code=a", "code=urn:c|b", "code:not=a", "category=vital", "category:not=vital",
    "date=ge2026-01-05", "date=2026-01-03", "value-quantity=gt5", "value-quantity=5||mg", "code-value-quantity=a$gt2",
    "subject=Patient/p1", "patient.family=probe", "subject:missing=true", "performer:missing=false",
    "_lastUpdated=gt2000", "_id=o3,o4,o5,o6,o7,o8", "identifier=x,y", "code:text=zucker",
)  # fmt: skip
SORTS = ("", "date", "-date", "status", "-code", "value-quantity", "status,-date", "_lastUpdated", "-_id", "subject")


def observation(number: int) -> dict[str, Any]:
    """Observations of which each condition holds for some; every third has two codings and two components."""
    codes = [{"system": "urn:c", "code": "ab"[number % 2], "display": "Zucker" if number % 5 else "Salz"}]
    if number % 3 == 0:
        codes.append({"system": "urn:d", "code": "a"})
    made: dict[str, Any] = {
        "resourceType": "Observation", "id": f"o{number}", "status": "final" if number % 4 else "preliminary",
        "category": [{"coding": [{"code": "vital" if number % 7 else "lab"}]}],
        "code": {"coding": codes},
        "identifier": [{"system": "urn:i", "value": "xyz"[number % 3]}],
        "valueQuantity": {"value": Decimal(number % 9), "unit": "mg", "code": "mg"},
    }  # fmt: skip
    if number % 6:
        made["effectiveDateTime"] = f"2026-01-{1 + number % 8:02}"
    if number % 5:
        made["subject"] = {"reference": f"Patient/p{number % 3}"}
    if number % 2:
        made["performer"] = [{"reference": "Practitioner/1"}, {"reference": "Practitioner/2"}]
    return made


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[database.Database]:
    """A store with 40 observations of three patients, two of whom have a name."""
    url = database.sqlite_url(Path(tmp_path_factory.mktemp("pages")) / "pages.sqlite")
    database.migrate(url)
    opened = database.Database(url)
    people = [{"resourceType": "Patient", "id": f"p{n}", **({"name": [{"family": "Probe"}]} if n else {})}
              for n in range(3)]  # fmt: skip
    for resource in (*people, *(observation(number) for number in range(40))):
        opened.submit(lambda unit, resource=resource: resources.put(unit, resource)).result(30)  # type: ignore[misc]
    yield opened
    opened.close()


def walked(store: database.Database, text: str, count: int = 7) -> list[str]:
    """The ids of all pages."""
    ids: list[str] = []
    page: str | None = None
    while True:
        pairs = [*urllib.parse.parse_qsl(text), ("_count", str(count)), *([("_page", page)] if page else [])]
        wanted = query.parse(("Observation",), pairs, page_size=50, known_types=types.SUPPORTED)
        found = store.read_now(lambda connection, wanted=wanted: pages.find(connection, wanted))  # type: ignore[misc]
        ids += [stored.id for stored in found.matches]
        page = found.next
        if page is None:
            return ids


@pytest.mark.parametrize("conditions", list(itertools.combinations(CONDITIONS, 2)), ids="&".join)
def test_what_leads_changes_nothing(
    store: database.Database, monkeypatch: pytest.MonkeyPatch, conditions: tuple[str, str]
) -> None:
    for text in ("&".join(conditions), "&".join(reversed(conditions))):
        few = sorted(walked(store, text))
        monkeypatch.setattr(pages, "FEW", -1)
        assert sorted(walked(store, text)) == few, text
        assert sorted(walked(store, f"{text}&_sort=-date")) == few, text
        monkeypatch.undo()
        assert len(few) == len(set(few))


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("condition", ["status=final", "code=a", "subject:missing=true"])
def test_the_order_is_one_whatever_leads(
    store: database.Database, monkeypatch: pytest.MonkeyPatch, condition: str, sort: str
) -> None:
    text = f"{condition}&_sort={sort}" if sort else condition
    whole = walked(store, text, 100)
    assert walked(store, text, 3) == whole
    monkeypatch.setattr(pages, "FEW", -1)
    few_at_a_time, at_once = walked(store, text, 3), walked(store, text, 100)
    assert few_at_a_time == at_once
    assert sorted(at_once) == sorted(whole)


@pytest.mark.parametrize("token", ["x", "WyJzb3J0ZWQiXQ", "bnVsbA", "%"])
def test_a_page_token_of_somebody_else_is_refused(store: database.Database, token: str) -> None:
    wanted = query.parse(("Observation",), [("status", "final"), ("_page", token)], page_size=5)
    with pytest.raises(query.BadQuery):
        store.read_now(lambda connection: pages.find(connection, wanted))
