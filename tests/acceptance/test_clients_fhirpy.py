"""fhirpy, a client that nobody here wrote, against a real gateway: what its users do, with both of its clients.

Two things of fhirpy are no R4 and the gateway does not do them: the condition of `.get_or_create()` as parameters of a
POST, and `_totalMethod` in `.count()`. The merge patch of `.patch()` is no R4 either; that one is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import uuid
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Literal

import pydantic
import pytest
from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import (
    AuthorizationError,
    MultipleResourcesFound,
    OperationOutcome,
    ResourceNotFound,
)
from fhirpy.base.searchset import Raw
from fhirpy.lib import SyncFHIRReference, SyncFHIRResource

from tests import support
from tests.support import Gateway, Json

SYSTEM = "urn:test:fhirpy"
WEIGHT = {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]}
HEIGHT = {"coding": [{"system": "http://loinc.org", "code": "8302-2"}]}
LENIENT = {"Prefer": "handling=lenient"}


@pytest.fixture(scope="module", autouse=True)
def no_proxy() -> Iterator[None]:
    """requests takes proxies from the environment; the gateway is on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield


@pytest.fixture
def client(gateway: Gateway) -> SyncFHIRClient:
    return client_of(gateway)


def client_of(gateway: Gateway, **headers: str) -> SyncFHIRClient:
    """A client that sends these headers with every request."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return SyncFHIRClient(gateway.address("/fhir"), extra_headers=named)


def asynchronous(gateway: Gateway, work: Callable[[AsyncFHIRClient], Coroutine[Any, Any, None]]) -> None:
    """Run `work` with the asynchronous client."""
    asyncio.run(work(AsyncFHIRClient(gateway.address("/fhir"))))


def key() -> str:
    return f"k{uuid.uuid4().hex[:12]}"


def patient(value: str, **elements: Any) -> Json:
    return {"identifier": [{"system": SYSTEM, "value": value}], "name": [{"family": value, "given": ["Kim"]}],
            **elements}  # fmt: skip


def saved(client: SyncFHIRClient, resource_type: str, **elements: Any) -> SyncFHIRResource:
    made: SyncFHIRResource = client.resource(resource_type, **elements)
    return made.save()


def issue(error: pytest.ExceptionInfo[Any]) -> Json:
    """The first issue of the OperationOutcome that fhirpy raised."""
    first: Json = error.value.resource["issue"][0]
    return first


@pytest.fixture(scope="module")
def chart(gateway: Gateway) -> Json:
    """Three patients of one practitioner and one organization with five observations; `key` is their family name."""
    client = client_of(gateway)
    name = key()
    practice = saved(client, "Organization", name=f"Praxis {name}", identifier=[{"system": SYSTEM, "value": name}])
    doctor = saved(client, "Practitioner", name=[{"family": f"Dr{name}"}])
    born = ["1950-01-31", "1980-05-02", "2001-12-24"]
    people = [
        saved(
            client, "Patient", **patient(f"{name}-{number}"), birthDate=born[number], gender=gender,
            managingOrganization=practice.to_reference(), generalPractitioner=[doctor.to_reference()],
        )
        for number, gender in enumerate(("male", "female", "other"))
    ]  # fmt: skip
    seen = [
        saved(client, "Observation", status="final", code=code, subject=people[whose].to_reference(),
              effectiveDateTime=f"2026-03-0{number + 1}", performer=[doctor.to_reference()],
              valueQuantity={"value": 60 + number, "system": "http://unitsofmeasure.org", "code": "kg"})
        for number, (whose, code) in enumerate([(0, WEIGHT), (0, HEIGHT), (1, WEIGHT), (1, WEIGHT), (2, HEIGHT)])
    ]  # fmt: skip
    ids = {"people": [p.id for p in people], "seen": [o.id for o in seen]}
    return {"key": name, "practice": practice.id, "doctor": doctor.id, **ids}


def found(searchset: Any) -> list[str]:
    return [resource.id for resource in searchset.fetch()]


def test_save_creates_and_updates(client: SyncFHIRClient) -> None:
    value = key()
    mine = client.resource("Patient", **patient(value, gender="female"))
    assert mine.id is None
    mine.save()
    assert (mine["meta"]["versionId"], mine.reference) == ("1", f"Patient/{mine.id}")
    mine["active"] = True
    mine.save()
    assert (mine["meta"]["versionId"], mine["active"]) == ("2", True)
    again = client.reference("Patient", mine.id).to_resource()
    assert again.serialize() == mine.serialize()
    assert again.get_by_path(["identifier", {"system": SYSTEM}, "value"]) == value


def test_save_under_an_id_of_the_clients(client: SyncFHIRClient) -> None:
    mine = client.resource("Patient", id=f"kis-{key()}", **patient(key())).save()
    assert (mine["meta"]["versionId"], client.get("Patient", mine.id)["id"]) == ("1", mine.id)


def test_update_needs_an_id_and_makes_a_version(client: SyncFHIRClient) -> None:
    mine = client.resource("Patient", **patient(key()))
    with pytest.raises(TypeError):
        mine.update()
    mine.save()
    mine["gender"] = "other"
    assert mine.update()["meta"]["versionId"] == "2"


class Person(pydantic.BaseModel):
    """A Patient as a user of fhirpy writes it down."""

    resourceType: Literal["Patient"] = "Patient"
    id: str | None = None
    meta: dict[str, Any] | None = None
    birthDate: str | None = None


def test_typed_resources(gateway: Gateway) -> None:
    client = SyncFHIRClient(gateway.address("/fhir"), dump_resource=lambda person: person.model_dump(exclude_none=True))
    mine = client.create(Person(birthDate="1999-12-31"))
    assert client.update(mine.model_copy(update={"birthDate": "1999-12-30"})).birthDate == "1999-12-30"
    again = client.get(Person, mine.id)
    assert (again.birthDate, (again.meta or {})["versionId"]) == ("1999-12-30", "2")
    assert [person.id for person in client.resources(Person).search(_id=mine.id).fetch_all()] == [mine.id]
    assert client.delete(again) is None
    with pytest.raises(ResourceNotFound, match="has been deleted"):
        client.get(Person, mine.id)


def test_what_is_deleted_is_gone_and_comes_back_under_its_id(client: SyncFHIRClient) -> None:
    value = key()
    mine = saved(client, "Patient", **patient(value))
    mine.delete()
    with pytest.raises(ResourceNotFound, match='"deleted"'):
        mine.to_reference().to_resource()
    assert client.resources("Patient").search(identifier=value).fetch() == []
    mine.delete()  # deleting what is deleted already is no error
    assert mine.save()["meta"]["versionId"] == "3"
    assert found(client.resources("Patient").search(identifier=value)) == [mine.id]


def test_if_match_guards_save_and_delete(gateway: Gateway, client: SyncFHIRClient) -> None:
    mine = saved(client, "Patient", **patient(key()))
    theirs = client.reference("Patient", mine.id).to_resource()
    theirs["active"] = True
    theirs.save()
    mine["active"] = False
    guarded = client_of(gateway, If_Match='W/"1"')
    with pytest.raises(MultipleResourcesFound, match='"conflict"'):  # the name that fhirpy has for 412
        guarded.save(guarded.resource("Patient", **mine.serialize()))
    with pytest.raises(MultipleResourcesFound):
        guarded.delete(mine.reference)
    assert client.get(mine.reference)["active"] is True
    current = client_of(gateway, If_Match='W/"2"')
    assert current.resource("Patient", **mine.serialize()).save()["active"] is False


def test_refresh_takes_what_others_wrote(client: SyncFHIRClient) -> None:
    mine = saved(client, "Patient", **patient(key()))
    theirs = mine.to_reference().to_resource()
    theirs["gender"] = "male"
    theirs.save()
    assert mine.refresh()["gender"] == "male"
    assert mine.refresh()["meta"]["versionId"] == "2"


def test_what_is_no_r4_is_an_operation_outcome(client: SyncFHIRClient) -> None:
    with pytest.raises(OperationOutcome) as error:
        client.resource("Patient", name="invalid").save()
    assert (issue(error)["code"], issue(error)["expression"]) == ("structure", ["Patient.name"])
    with pytest.raises(OperationOutcome) as error:
        client.resource("Patient", gender="x").save()
    assert issue(error)["code"] == "code-invalid"


def test_an_unknown_resource_type_is_not_found(client: SyncFHIRClient) -> None:
    with pytest.raises(ResourceNotFound):
        client.resources("FHIRNotFoundResource").search(_id="1").first()
    with pytest.raises(ResourceNotFound):
        client.resource("FHIRNotFoundResource", id="1").save()


def test_is_valid_asks_validate(client: SyncFHIRClient) -> None:
    assert client.resource("Patient", gender="male").is_valid()
    wrong = client.resource("Patient", gender="x")
    assert not wrong.is_valid()
    with pytest.raises(OperationOutcome):
        wrong.is_valid(raise_exception=True)


def test_validate_on_type_and_on_instance(client: SyncFHIRClient) -> None:
    mine = saved(client, "Patient", **patient(key()))
    for told in (
        client.resources("Patient").execute("$validate", data=mine.serialize()),
        mine.execute("$validate", method="get"),
        mine.to_reference().execute("$validate", data={
            "resourceType": "Parameters", "parameter": [{"name": "resource", "resource": mine.serialize()}],
        }),
        client.execute("Patient/$validate", data={"resourceType": "Patient"}),
    ):  # fmt: skip
        assert told["resourceType"] == "OperationOutcome"
        assert {i["severity"] for i in told["issue"]} <= {"information", "warning"}


def test_search_by_each_kind_of_value(client: SyncFHIRClient, chart: Json) -> None:
    first, second, third = chart["people"]
    people = client.resources("Patient").search(family=chart["key"])
    assert found(people) == chart["people"]
    assert found(people.search(gender="male")) == [first]
    assert found(people.search(gender="male,female")) == [first, second]
    assert found(people.search(gender__not="male")) == [second, third]
    assert found(people.search(birthdate__ge="1980-05-02", birthdate__lt=dt.date(2001, 12, 24))) == [second]
    assert found(people.search(_lastUpdated__gt=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))) == chart["people"]
    assert found(people.search(identifier=f"{SYSTEM}|{chart['key']}-2")) == [third]
    assert found(people.search(family__exact=f"{chart['key']}-1")) == [second]
    assert found(people.search(family__contains=chart["key"][2:])) == chart["people"]
    assert found(people.search(death_date__missing=True)) == chart["people"]
    assert found(people.search(active=True)) == []
    assert found(people.search(_id=[f"{first},{third}"])) == [first, third]
    assert found(people.search(Raw(**{"address-city:missing": "true"}))) == chart["people"]
    observations = client.resources("Observation").search(patient=f"Patient/{first},Patient/{second}")
    assert found(observations.search(code="http://loinc.org|8302-2")) == [chart["seen"][1]]
    assert found(observations.search(value_quantity__gt="61|http://unitsofmeasure.org|kg")) == chart["seen"][2:4]


def test_a_resource_and_a_reference_are_values_of_a_search(client: SyncFHIRClient, chart: Json) -> None:
    who = client.reference("Patient", chart["people"][1])
    assert found(client.resources("Observation").search(subject=who)) == chart["seen"][2:4]
    assert found(client.resources("Observation").search(subject=who.to_resource())) == chart["seen"][2:4]


def test_chained_search(client: SyncFHIRClient, chart: Json) -> None:
    observations, name = client.resources("Observation"), chart["key"]
    assert found(observations.search(patient__Patient__identifier=f"{SYSTEM}|{name}-0")) == chart["seen"][:2]
    assert found(observations.search(subject__Patient__birthdate__ge="2000", performer=chart["doctor"])) == [
        chart["seen"][4]
    ]
    assert found(client.resources("Patient").search(organization__name=f"Praxis {name}")) == chart["people"]
    treated = client.resources("Patient").search(general_practitioner__Practitioner__name=f"dr{name}")
    assert found(treated) == chart["people"]


def test_reverse_chained_search(client: SyncFHIRClient, chart: Json) -> None:
    people = client.resources("Patient").search(family=chart["key"])
    assert found(people.has("Observation", "patient", code="29463-7")) == chart["people"][:2]
    assert found(people.has("Observation", "subject", date="2026-03-05")) == chart["people"][2:]
    assert found(people.has("Observation", "patient", code="nothing")) == []


def test_include_and_revinclude(client: SyncFHIRClient, chart: Json) -> None:
    wanted = client.resources("Observation").search(_id=chart["seen"][0])
    along = wanted.include("Observation", "subject").include("Observation", "performer", "Practitioner")
    assert found(along) == [chart["seen"][0]]  # fhirpy keeps the matches only
    modes = [(e["resource"].reference, e["search"]["mode"]) for e in along.fetch_raw()["entry"]]
    assert modes[0] == (f"Observation/{chart['seen'][0]}", "match")
    assert sorted(modes[1:]) == [
        (f"Patient/{chart['people'][0]}", "include"), (f"Practitioner/{chart['doctor']}", "include"),
    ]  # fmt: skip
    deeper = wanted.include("Observation", "subject").include("Patient", "organization", iterate=True)
    references = {e["resource"].reference for e in deeper.fetch_raw()["entry"]}
    assert f"Organization/{chart['practice']}" in references
    everything = wanted.include("*")
    assert len(everything.fetch_raw()["entry"]) == 3
    back = client.resources("Patient").search(_id=chart["people"][1]).revinclude("Observation", "patient")
    assert {e["resource"].reference for e in back.fetch_raw()["entry"]} == {
        f"Patient/{chart['people'][1]}", *(f"Observation/{number}" for number in chart["seen"][2:4]),
    }  # fmt: skip


def test_sort(client: SyncFHIRClient, chart: Json) -> None:
    people = client.resources("Patient").search(family=chart["key"])
    assert found(people.sort("birthdate")) == chart["people"]
    assert found(people.sort("-birthdate")) == chart["people"][::-1]
    assert found(people.sort("gender", "-birthdate")) == [chart["people"][number] for number in (1, 0, 2)]


def test_elements_are_cut_and_tagged(client: SyncFHIRClient, chart: Json) -> None:
    people = client.resources("Patient").search(family=chart["key"]).elements("birthDate")
    cut = people.fetch()
    assert [set(p) for p in cut] == [{"resourceType", "id", "meta", "birthDate"}] * 3
    assert {p["meta"]["tag"][0]["code"] for p in cut} == {"SUBSETTED"}


def test_a_resource_that_was_cut_does_not_overwrite_the_whole_one(client: SyncFHIRClient) -> None:
    """R4 search.html#summary: the tag is there so that this does not happen by accident."""
    value = key()
    saved(client, "Patient", **patient(value, birthDate="1980-05-02"))
    cut = client.resources("Patient").search(identifier=value).elements("birthDate").get()
    cut["birthDate"] = "1980-05-03"
    with contextlib.suppress(OperationOutcome):
        cut.save()
    assert client.get("Patient", cut.id)["name"][0]["family"] == value


def test_limit_pages_and_fetch_all_walks_them(client: SyncFHIRClient, chart: Json) -> None:
    observations = client.resources("Observation").search(performer=chart["doctor"]).sort("date").limit(2)
    assert found(observations) == chart["seen"][:2]
    assert [o.id for o in observations.fetch_all()] == chart["seen"]
    assert [o.id for o in observations] == chart["seen"]
    assert observations.first().id == chart["seen"][0]
    assert client.resources("Observation").search(code="nothing").first() is None


def test_get_wants_exactly_one(client: SyncFHIRClient, chart: Json) -> None:
    people = client.resources("Patient")
    assert people.search(identifier=f"{chart['key']}-0").get().id == chart["people"][0]
    with pytest.raises(ResourceNotFound):
        people.search(identifier="nobody-has-this").get()
    with pytest.raises(MultipleResourcesFound):
        people.search(family=chart["key"]).get()


def test_count_sends_a_parameter_that_is_no_r4(gateway: Gateway, client: SyncFHIRClient, chart: Json) -> None:
    """`_totalMethod` is Aidbox's; R4 lets a server refuse what it does not know, or ignore it when it is asked to."""
    with pytest.raises(OperationOutcome) as error:
        client.resources("Patient").search(family=chart["key"]).count()
    assert issue(error)["code"] == "not-supported"
    assert "_totalMethod" in issue(error)["diagnostics"]
    lenient = client_of(gateway, **LENIENT)
    assert lenient.resources("Patient").search(family=chart["key"]).count() == 3
    counted = client.resources("Patient").search(family=chart["key"], _summary="count").fetch_raw()
    assert (counted["total"], counted.get("entry")) == (3, None)


def test_an_unknown_parameter_is_refused_and_told_when_lenient(
    gateway: Gateway, client: SyncFHIRClient, chart: Json
) -> None:
    with pytest.raises(OperationOutcome) as error:
        client.resources("Patient").search(shoe_size="43").fetch()
    assert issue(error)["code"] == "not-supported"
    lenient = client_of(gateway, **LENIENT).resources("Patient").search(family=chart["key"], shoe_size="43")
    assert found(lenient) == chart["people"]  # the OperationOutcome among the entries does not disturb fhirpy
    told = [e["resource"] for e in lenient.fetch_raw()["entry"] if e["search"]["mode"] == "outcome"]
    assert [i["severity"] for i in told[0]["issue"]] == ["warning"]


def test_references_resolve(client: SyncFHIRClient, chart: Json) -> None:
    observation = client.reference("Observation", chart["seen"][0]).to_resource()
    subject = observation["subject"]
    assert isinstance(subject, SyncFHIRReference)
    assert subject.is_local
    resolved = subject.to_resource()
    assert resolved.id == chart["people"][0]
    assert resolved["generalPractitioner"][0].to_resource().id == chart["doctor"]
    with pytest.raises(ResourceNotFound):
        client.reference("Patient", "nobody").to_resource()


def test_a_transaction(client: SyncFHIRClient) -> None:
    value, who = key(), f"urn:uuid:{uuid.uuid4()}"
    mine = client.resource("Patient", **patient(value))
    seen = client.resource("Observation", status="final", code=WEIGHT, subject=client.reference(reference=who))
    answer = client.execute("/", data=client.resource("Bundle", type="transaction", entry=[
        {"resource": seen.serialize(), "request": {"method": "POST", "url": "Observation"}},
        {"fullUrl": who, "resource": mine.serialize(), "request": {"method": "POST", "url": "Patient"}},
    ]).serialize())  # fmt: skip
    assert (answer["type"], [e["response"]["status"] for e in answer["entry"]]) == (
        "transaction-response", ["201 Created"] * 2,
    )  # fmt: skip
    stored = client.resources("Observation").search(patient__Patient__identifier=value).get()
    assert stored["subject"].to_resource()["identifier"][0]["value"] == value


def test_a_bundle_that_is_saved_goes_to_the_base_address(client: SyncFHIRClient) -> None:
    value = key()
    entry = {"resource": {"resourceType": "Patient", **patient(value)}, "request": {"method": "POST", "url": "Patient"}}
    answer = client.resource("Bundle", type="transaction", entry=[entry]).save()
    assert answer["type"] == "transaction-response"
    assert client.resources("Patient").search(identifier=value).get()["name"][0]["family"] == value


def test_a_refused_transaction_stores_nothing(client: SyncFHIRClient) -> None:
    value = key()
    entries = [
        {"resource": {"resourceType": "Patient", **patient(value)}, "request": {"method": "POST", "url": "Patient"}},
        {"resource": {"resourceType": "Patient", "gender": "x"}, "request": {"method": "POST", "url": "Patient"}},
    ]
    with pytest.raises(OperationOutcome) as error:
        client.execute("", data={"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert issue(error)["expression"] == ["Bundle.entry[1].resource.gender"]
    assert client.resources("Patient").search(identifier=value).fetch() == []


def test_a_batch_of_reads(client: SyncFHIRClient, chart: Json) -> None:
    urls = [f"Patient/{chart['people'][0]}", "Patient/nobody", f"Patient?family={chart['key']}&_count=1"]
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    answer = client.execute("", data={"resourceType": "Bundle", "type": "batch", "entry": entries})
    assert [e["response"]["status"][:3] for e in answer["entry"]] == ["200", "404", "200"]
    assert answer["entry"][0]["resource"]["id"] == chart["people"][0]
    assert answer["entry"][2]["resource"]["total"] == 3


def test_conditional_create_by_header(gateway: Gateway, client: SyncFHIRClient) -> None:
    value = key()
    guarded = client_of(gateway, If_None_Exist=f"identifier={SYSTEM}|{value}")
    first, second = (saved(guarded, "Patient", **patient(value)) for _time in range(2))
    assert first.id == second.id
    saved(client, "Patient", **patient(value))
    with pytest.raises(MultipleResourcesFound, match='"multiple-matches"'):
        saved(guarded, "Patient", **patient(value))


@pytest.mark.parametrize("how", ["get_or_create", "create", "save"])
def test_a_condition_in_the_address_of_a_create_never_makes_a_second_one(client: SyncFHIRClient, how: str) -> None:
    """Not R4 (there it is If-None-Exist), but Aidbox's and fhirpy's. Done or refused; not ignored."""
    value = key()
    for _time in range(2):
        mine = client.resource("Patient", **patient(value))
        with contextlib.suppress(OperationOutcome):
            if how == "get_or_create":
                client.resources("Patient").search(identifier=value).get_or_create(mine)
            elif how == "create":
                mine.create(identifier=value)
            else:
                mine.save(search_params={"identifier": value})
    assert len(client.resources("Patient").search(identifier=value).fetch()) <= 1


def test_conditional_update(client: SyncFHIRClient) -> None:
    value = key()
    people = client.resources("Patient").search(identifier=f"{SYSTEM}|{value}")
    first, created = people.update(client.resource("Patient", **patient(value)))
    assert (created, first["meta"]["versionId"]) == (True, "1")
    second, created = people.update(client.resource("Patient", **patient(value, gender="male")))
    assert (created, second.id, second["gender"]) == (False, first.id, "male")
    saved(client, "Patient", **patient(value))
    with pytest.raises(MultipleResourcesFound):
        people.update(client.resource("Patient", **patient(value, gender="other")))


def test_conditional_delete(client: SyncFHIRClient) -> None:
    value = key()
    people = client.resources("Patient").search(identifier=f"{SYSTEM}|{value}")
    mine = saved(client, "Patient", **patient(value))
    assert people.delete() == (None, 204)
    with pytest.raises(ResourceNotFound):
        client.get(mine.reference)
    assert people.delete() == (None, 204)
    for _time in range(2):
        saved(client, "Patient", **patient(value))
    with pytest.raises(MultipleResourcesFound):
        people.delete()
    assert len(people.fetch()) == 2


def test_a_merge_patch_changes_what_it_names(client: SyncFHIRClient) -> None:
    """Not R4 (which has JSON Patch, XML Patch and FHIRPath Patch), but what fhirpy sends for each of these."""
    value = key()
    mine = saved(client, "Patient", **patient(value, gender="female", active=True))
    for number, patches in enumerate((
        lambda: mine.patch(gender="male"),
        lambda: client.patch("Patient", mine.id, gender="other"),
        lambda: mine.to_reference().patch(gender="unknown"),
        lambda: client.resources("Patient").search(identifier=value).patch(gender="male"),
    ), 2):  # fmt: skip
        patches()
        stored = client.get("Patient", mine.id)
        assert (stored["active"], stored["meta"]["versionId"]) == (True, str(number))
    assert client.get("Patient", mine.id)["gender"] == "male"


def test_a_fhirpath_patch(client: SyncFHIRClient) -> None:
    value = key()
    mine = saved(client, "Patient", **patient(value, gender="female"))
    parts = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Patient.gender"},
        {"name": "value", "valueCode": "male"},
    ]
    change = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
    assert client.execute(mine.reference, method="patch", data=change)["gender"] == "male"
    parts[2]["valueCode"] = "other"
    patched = client.execute("Patient", method="patch", data=change, params={"identifier": value})
    assert (patched["id"], patched["gender"], patched["meta"]["versionId"]) == (mine.id, "other", "3")


def test_history_and_version(client: SyncFHIRClient) -> None:
    mine = saved(client, "Patient", **patient(key()))
    mine["active"] = True
    mine.save()
    history = mine.execute("_history", method="get")
    assert [e["resource"]["meta"]["versionId"] for e in history["entry"]] == ["2", "1"]
    assert "active" not in mine.execute("_history/1", method="get")
    page = mine.execute("_history", method="get", params={"_count": 1})
    assert {link["relation"] for link in page["link"]} == {"self", "next"}


def test_the_capability_statement(client: SyncFHIRClient) -> None:
    assert client.execute("metadata", method="get")["fhirVersion"] == "4.0.1"


def test_a_token(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("geheim\n", "utf-8")
    with support.running(tmp_path / "data", f"[security]\ntoken_file = '{secret}'\n") as gateway:
        with pytest.raises(AuthorizationError):
            client_of(gateway).resources("Patient").fetch()
        known = SyncFHIRClient(gateway.address("/fhir"), authorization="Bearer geheim")
        assert known.resources("Patient").fetch() == []


def test_an_address_that_ends_with_a_slash(gateway: Gateway, chart: Json) -> None:
    client = SyncFHIRClient(gateway.address("/fhir/"))
    observations = client.resources("Observation").search(performer=chart["doctor"]).limit(2)
    assert len(observations.fetch_all()) == 5


def test_async_create_read_update_delete(gateway: Gateway) -> None:
    async def work(client: AsyncFHIRClient) -> None:
        value = key()
        mine = client.resource("Patient", **patient(value))
        await mine.save()
        mine["gender"] = "female"
        await mine.update()
        again = await client.reference("Patient", mine.id).to_resource()
        assert (again["gender"], again["meta"]["versionId"]) == ("female", "2")
        assert await mine.is_valid()
        await mine.refresh()
        assert (await client.get("Patient", mine.id))["id"] == mine.id
        await mine.delete()
        with pytest.raises(ResourceNotFound, match="deleted"):
            await client.get("Patient", mine.id)
        with pytest.raises(OperationOutcome):
            await client.resource("Patient", gender="x").save()

    asynchronous(gateway, work)


def test_async_search(gateway: Gateway, chart: Json) -> None:
    async def work(client: AsyncFHIRClient) -> None:
        observations = client.resources("Observation").search(performer=chart["doctor"]).sort("date").limit(2)
        assert [o.id for o in await observations.fetch()] == chart["seen"][:2]
        assert [o.id for o in await observations.fetch_all()] == chart["seen"]
        assert [o.id async for o in observations] == chart["seen"]
        first = await observations.include("Observation", "subject").first()
        assert (await first["subject"].to_resource()).id == chart["people"][0]
        people = client.resources("Patient").search(family=chart["key"])
        assert [p.id for p in await people.has("Observation", "patient", code="8302-2").sort("birthdate").fetch()] == [
            chart["people"][0], chart["people"][2],
        ]  # fmt: skip
        with pytest.raises(MultipleResourcesFound):
            await people.get()
        with pytest.raises(OperationOutcome):
            await people.count()

    asynchronous(gateway, work)


def test_async_conditions_and_conflicts(gateway: Gateway) -> None:
    async def work(client: AsyncFHIRClient) -> None:
        value = key()
        people = client.resources("Patient").search(identifier=f"{SYSTEM}|{value}")
        first, created = await people.update(client.resource("Patient", **patient(value)))
        again, created_again = await people.update(client.resource("Patient", **patient(value, active=True)))
        assert (created, created_again, again.id) == (True, False, first.id)
        guarded = AsyncFHIRClient(gateway.address("/fhir"), extra_headers={"If-Match": 'W/"1"'})
        with pytest.raises(MultipleResourcesFound, match="conflict"):
            await guarded.resource("Patient", **first.serialize()).save()
        assert await people.delete() == (None, 204)

    asynchronous(gateway, work)


def test_async_clients_that_create_the_same_at_once_make_one(gateway: Gateway) -> None:
    value = key()
    headers = {"If-None-Exist": f"identifier={SYSTEM}|{value}"}

    async def work(client: AsyncFHIRClient) -> None:
        guarded = AsyncFHIRClient(gateway.address("/fhir"), extra_headers=headers)
        made = await asyncio.gather(*(guarded.resource("Patient", **patient(value)).save() for _one in range(12)))
        assert len({one.id for one in made}) == 1
        assert len(await client.resources("Patient").search(identifier=value).fetch()) == 1

    asynchronous(gateway, work)
