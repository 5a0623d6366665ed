"""fhirclient, SMART's client for Python, against a real gateway. Its models are strict: what they cannot read, raises.

Its search operators `$gt`, `$gte`, `$lt` and `$lte` are DSTU1 (`birthdate=>=1980`); R4 has prefixes instead (`ge1980`).
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from fhirclient import client as smart
from fhirclient._utils import iter_pages
from fhirclient.models import (
    bundle,
    encounter,
    fhirreference,
    fhirsearch,
    humanname,
    observation,
    operationoutcome,
    organization,
    patient,
    practitioner,
)
from fhirclient.server import FHIRNotFoundException, FHIRServer, FHIRUnauthorizedException

from tests import support
from tests.support import Gateway, Json

# perform() and perform_resources() say that perform_iter() and perform_resources_iter() will replace them.
pytestmark = pytest.mark.filterwarnings(r"ignore:perform(_resources)?\(\) is deprecated:DeprecationWarning")

SYSTEM = "urn:test:fhirclient"
WEIGHT = {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]}
HEIGHT = {"coding": [{"system": "http://loinc.org", "code": "8302-2"}]}


@contextlib.contextmanager
def connected(gateway: Gateway, **headers: str) -> Iterator[FHIRServer]:
    """A server of fhirclient that sends these headers with every request. The context closes its one session."""
    application = smart.FHIRClient(settings={"app_id": "test", "api_base": gateway.address("/fhir")})
    session = application.server.session
    session.trust_env = False
    session.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    with session:
        yield application.server


@pytest.fixture(scope="module")
def server(gateway: Gateway) -> Iterator[FHIRServer]:
    with connected(gateway) as found:
        yield found


def key() -> str:
    return f"k{uuid.uuid4().hex[:12]}"


def person(value: str, **elements: Any) -> patient.Patient:
    identifier = [{"system": SYSTEM, "value": value}]
    return patient.Patient({"identifier": identifier, "name": [{"family": value}], **elements})


def created(resource: Any, server: FHIRServer) -> Any:
    """The resource as the server answers its creation, read strictly."""
    stored = type(resource)(resource.create(server))
    stored.origin_server = server
    return stored


def reference(resource: Any) -> Json:
    return {"reference": resource.relativePath()}


@pytest.fixture(scope="module")
def chart(server: FHIRServer) -> Json:
    """Three patients of one practitioner and one organization with five observations; `key` is their family name."""
    name = key()
    practice = created(organization.Organization({"name": f"Praxis {name}"}), server)
    doctor = created(practitioner.Practitioner({"name": [{"family": f"Dr{name}"}]}), server)
    people = [
        created(person(
            f"{name}-{number}", birthDate=birth, gender=gender, managingOrganization=reference(practice),
            generalPractitioner=[reference(doctor)],
        ), server)
        for number, (birth, gender) in enumerate(
            [("1950-01-31", "male"), ("1980-05-02", "female"), ("2001-12-24", "other")]
        )
    ]  # fmt: skip
    seen = [
        created(observation.Observation({
            "status": "final", "code": code, "subject": reference(people[whose]), "performer": [reference(doctor)],
            "effectiveDateTime": f"2026-03-0{number + 1}",
        }), server)
        for number, (whose, code) in enumerate([(0, WEIGHT), (0, HEIGHT), (1, WEIGHT), (1, WEIGHT), (2, HEIGHT)])
    ]  # fmt: skip
    return {"key": name, "practice": practice.id, "doctor": doctor.id, "people": [p.id for p in people],
            "seen": [o.id for o in seen]}  # fmt: skip


def found(search: fhirsearch.FHIRSearch, server: FHIRServer) -> list[str]:
    return [resource.id for resource in search.perform_resources_iter(server)]


def outcome(error: pytest.ExceptionInfo[requests.HTTPError]) -> tuple[int, str]:
    """Status and first issue code of a refusal, its OperationOutcome read strictly."""
    told = operationoutcome.OperationOutcome(error.value.response.json())
    return error.value.response.status_code, told.issue[0].code


def test_the_capability_statement_is_read_strictly(gateway: Gateway) -> None:
    with connected(gateway) as server:
        assert not server.ready
        assert server.prepare()
        statement = server.capabilityStatement
        assert (statement.fhirVersion, statement.rest[0].mode) == ("4.0.1", "server")
        assert {r.type for r in statement.rest[0].resource} >= {"Patient", "Encounter", "Observation"}


def test_create_read_update_delete(server: FHIRServer) -> None:
    value = key()
    mine = created(person(value, gender="female"), server)
    assert (mine.meta.versionId, mine.name[0].family) == ("1", value)
    read = patient.Patient.read(mine.id, server)
    assert read.as_json() == mine.as_json()
    read.name = [humanname.HumanName({"family": value, "given": ["Kim", "Toni"]})]
    answer = read.update(server)
    assert (answer["meta"]["versionId"], answer["name"][0]["given"]) == ("2", ["Kim", "Toni"])
    old = patient.Patient.read_from(f"Patient/{mine.id}/_history/1", server)
    assert old.name[0].given is None
    assert read.delete() is None
    with pytest.raises(requests.HTTPError) as error:
        patient.Patient.read(mine.id, server)
    assert outcome(error) == (410, "deleted")
    assert read.delete() is None
    with pytest.raises(FHIRNotFoundException):
        patient.Patient.read("nobody", server)


def test_update_creates_under_the_clients_id(server: FHIRServer) -> None:
    answer = person(key(), id=f"kis-{key()}").update(server)
    assert answer["meta"]["versionId"] == "1"
    assert patient.Patient.read(answer["id"], server).id == answer["id"]


def test_if_match_guards_an_update_and_a_delete(gateway: Gateway, server: FHIRServer) -> None:
    mine = created(person(key()), server)
    theirs = patient.Patient.read(mine.id, server)
    theirs.active = True
    theirs.update()
    mine.active = False
    with connected(gateway, If_Match='W/"1"') as guarded:
        for write in (mine.update, mine.delete):
            with pytest.raises(requests.HTTPError) as error:
                write(guarded)
            assert outcome(error) == (412, "conflict")
    assert patient.Patient.read(mine.id, server).active is True
    with connected(gateway, If_Match='W/"2"') as guarded:
        assert mine.update(guarded)["meta"]["versionId"] == "3"


def test_conditional_create(gateway: Gateway, server: FHIRServer) -> None:
    value = key()
    with connected(gateway, If_None_Exist=f"identifier={SYSTEM}|{value}") as guarded:
        first, second = (person(value).create(guarded)["id"] for _time in range(2))
        assert first == second
        person(value).create(server)
        with pytest.raises(requests.HTTPError) as error:
            person(value).create(guarded)
        assert outcome(error) == (412, "multiple-matches")


def test_what_is_no_r4_is_refused(server: FHIRServer) -> None:
    mine = person(key())
    mine.gender = "x"
    with pytest.raises(requests.HTTPError) as error:
        mine.create(server)
    assert outcome(error) == (400, "code-invalid")
    told = operationoutcome.OperationOutcome(server.post_json("Patient/$validate", mine.as_json()).json())
    assert (told.issue[0].severity, told.issue[0].expression) == ("error", ["Patient.gender"])


def test_minimal_answers(gateway: Gateway) -> None:
    with connected(gateway, Prefer="return=minimal") as server:
        assert person(key()).create(server) is None


def test_search_by_each_kind_of_value(server: FHIRServer, chart: Json) -> None:
    def people(**conditions: Any) -> list[str]:
        return found(patient.Patient.where({"family": chart["key"], **conditions}), server)

    first, second, third = chart["people"]
    assert people() == chart["people"]
    assert people(gender="male") == [first]
    assert people(gender={"$or": ["male", "female"]}) == [first, second]
    assert people(birthdate="ge1980-05-02") == [second, third]
    assert people(birthdate={"$and": ["ge1980", "lt2000"]}) == [second]
    assert people(identifier=f"{SYSTEM}|{chart['key']}-2") == [third]
    assert people(family={"$exact": f"{chart['key']}-1"}) == [second]
    assert people(active={"$missing": "true"}) == chart["people"]
    assert people(organization={"name": f"Praxis {chart['key']}"}) == chart["people"]
    assert people(organization={"$type": "Organization", "name": "nothing"}) == []
    assert people(**{"_has:Observation:patient:code": "8302-2"}) == [first, third]
    assert people(_sort="-birthdate") == chart["people"][::-1]
    weights = observation.Observation.where({
        "code": "http://loinc.org|29463-7", "subject": {"$type": "Patient", "identifier": f"{chart['key']}-1"},
    })  # fmt: skip
    assert found(weights, server) == chart["seen"][2:4]


@pytest.mark.parametrize("operator", ["$gt", "$gte", "$lt", "$lte"])
def test_an_operator_of_dstu1_is_refused_not_ignored(server: FHIRServer, operator: str) -> None:
    with pytest.raises(requests.HTTPError) as error:
        found(patient.Patient.where({"birthdate": {operator: "1980"}}), server)
    assert outcome(error) == (400, "invalid")


def test_an_unknown_parameter_is_refused_and_told_when_lenient(
    gateway: Gateway, server: FHIRServer, chart: Json
) -> None:
    search = patient.Patient.where({"family": chart["key"], "shoe-size": "43"})
    with pytest.raises(requests.HTTPError) as error:
        found(search, server)
    assert outcome(error) == (400, "not-supported")
    with connected(gateway, Prefer="handling=lenient") as lenient:
        page = search.perform(lenient)
    assert [e.search.mode for e in page.entry] == ["match", "match", "match", "outcome"]
    assert isinstance(page.entry[3].resource, operationoutcome.OperationOutcome)


def test_the_old_calls(server: FHIRServer, chart: Json) -> None:
    search = patient.Patient.where({"family": chart["key"]})
    assert [p.id for p in search.perform_resources(server)] == chart["people"]
    page = search.perform(server)
    assert (page.type, page.total, page.entry[0].search.mode) == ("searchset", 3, "match")


def test_paging(server: FHIRServer, chart: Json) -> None:
    search = observation.Observation.where({"performer": chart["doctor"], "_count": "2", "_sort": "date"})
    pages = list(search.perform_iter(server))
    assert [[e.resource.id for e in page.entry] for page in pages] == [
        chart["seen"][:2], chart["seen"][2:4], chart["seen"][4:],
    ]  # fmt: skip
    assert {page.total for page in pages} == {5}
    assert found(search, server) == chart["seen"]


def test_paging_a_history(server: FHIRServer) -> None:
    mine = created(person(key()), server)
    for birth in ("1980-01-01", "1980-01-02"):
        mine = patient.Patient({**mine.as_json(), "birthDate": birth})
        mine.update(server)
    first = bundle.Bundle.read_from(f"Patient/{mine.id}/_history?_count=2", server)
    versions = [[e.resource.meta.versionId for e in page.entry] for page in iter_pages(first, server)]
    assert versions == [["3", "2"], ["1"]]


def test_paging_a_search_of_the_whole_system(server: FHIRServer, chart: Json) -> None:
    first = bundle.Bundle.read_from(f"?_type=Patient,Practitioner&_id={','.join(chart['people'])}&_count=2", server)
    assert [len(page.entry) for page in iter_pages(first, server)] == [2, 1]


def test_include_and_revinclude(server: FHIRServer, chart: Json) -> None:
    search = observation.Observation.where({"_id": chart["seen"][0]}).include("subject")
    along = [f"{r.resource_type}/{r.id}" for r in search.perform_resources_iter(server)]
    assert along == [f"Observation/{chart['seen'][0]}", f"Patient/{chart['people'][0]}"]
    back = patient.Patient.where({"_id": chart["people"][1]}).include("subject", observation.Observation, reverse=True)
    assert {r.id for r in back.perform_resources_iter(server)} == {chart["people"][1], *chart["seen"][2:4]}


def test_references_resolve(server: FHIRServer, chart: Json) -> None:
    seen = observation.Observation.read(chart["seen"][0], server)
    who = seen.subject.resolved(patient.Patient)
    assert who.id == chart["people"][0]
    assert who.generalPractitioner[0].resolved(practitioner.Practitioner).id == chart["doctor"]
    with_subject = observation.Observation.where({"_id": chart["seen"][0]}).include("subject").perform(server)
    inside = with_subject.entry[0].resource.subject.resolved(patient.Patient)
    assert inside is with_subject.entry[1].resource  # found by its fullUrl, without a request


def test_a_transaction(server: FHIRServer) -> None:
    value, who = key(), f"urn:uuid:{uuid.uuid4()}"
    visit = encounter.Encounter({"status": "finished", "class": {"code": "AMB"}})
    visit.subject = fhirreference.FHIRReference({"reference": who})
    sent = bundle.Bundle({"type": "transaction", "entry": [
        {"resource": visit.as_json(), "request": {"method": "POST", "url": "Encounter"}},
        {"fullUrl": who, "resource": person(value).as_json(),
         "request": {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier={SYSTEM}|{value}"}},
    ]})  # fmt: skip
    first, second = (bundle.Bundle(sent.create(server)) for _time in range(2))
    assert [e.response.status for e in first.entry] == ["201 Created", "201 Created"]
    assert [e.response.status for e in second.entry] == ["201 Created", "200 OK"]
    visits = encounter.Encounter.where({"patient": {"$type": "Patient", "identifier": value}})
    assert len(found(visits, server)) == 2


def test_a_refused_transaction_stores_nothing(server: FHIRServer) -> None:
    value = key()
    entries = [
        {"resource": {**person(value).as_json(), **more}, "request": {"method": "POST", "url": "Patient"}}
        for more in ({}, {"gender": "x"})
    ]
    with pytest.raises(requests.HTTPError) as error:
        bundle.Bundle({"type": "transaction", "entry": entries}).create(server)
    assert outcome(error) == (400, "code-invalid")
    assert found(patient.Patient.where({"identifier": value}), server) == []


def test_a_collection_is_created_as_a_bundle(server: FHIRServer) -> None:
    mine = created(bundle.Bundle({"type": "collection", "entry": [{"resource": person(key()).as_json()}]}), server)
    assert isinstance(bundle.Bundle.read(mine.id, server).entry[0].resource, patient.Patient)


def test_a_token(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("geheim\n", "utf-8")
    with support.running(tmp_path / "data", f"[security]\ntoken_file = '{secret}'\n") as gateway:
        with connected(gateway) as stranger, pytest.raises(FHIRUnauthorizedException):
            patient.Patient.read("1", stranger)
        with connected(gateway, Authorization="Bearer geheim") as known:
            assert known.prepare()
            assert found(patient.Patient.where({}), known) == []
