"""Search as search.html of R4 4.0.1 says it, asked from outside: kinds of parameters, modifiers, includes, pages."""

from __future__ import annotations

import concurrent.futures
import threading
import urllib.parse
from typing import Any

import pytest

from tests import support
from tests.support import Gateway, Json

LOINC, UCUM, KVNR = "http://loinc.org", "http://unitsofmeasure.org", "urn:test:kvnr"
V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
ODD = "Van, Pipe|Dollar$Back\\Slash"


def quantity(value: float, code: str = "kg") -> Json:
    return {"value": value, "unit": "Kilo" if code == "kg" else code, "system": UCUM, "code": code}


def coded(code: str, **parts: Any) -> Json:
    return {"coding": [{"system": LOINC, "code": code}], **parts}


def observation(name: str, patient: str, code: str = "29463-7", **elements: Any) -> Json:
    subject = {"reference": f"Patient/{patient}"}
    made = {"resourceType": "Observation", "id": name, "status": "final", "code": coded(code), "subject": subject}
    return {**made, **elements}


def component(code: str, value: float) -> Json:
    return {"code": coded(code), "valueQuantity": quantity(value, "mm[Hg]")}


SEED: list[Json] = [
    {"resourceType": "Organization", "id": "org", "name": "Praxis Probe", "partOf": {"reference": "Organization/top"}},
    {"resourceType": "Organization", "id": "top", "name": "Verbund"},
    {"resourceType": "Practitioner", "id": "doc", "name": [{"family": "Heiler"}]},
    {
        "resourceType": "Patient", "id": "a", "active": True, "gender": "male", "birthDate": "1980-05-02",
        "meta": {"tag": [{"system": "urn:tag", "code": "t1"}], "profile": ["http://example.org/p"],
                 "security": [{"system": "urn:sec", "code": "s1"}], "source": "urn:src:1"},
        "name": [{"family": "Müller", "given": ["Jörg", "Peter"]}],
        "identifier": [{"system": KVNR, "value": "A1",
                        "type": {"coding": [{"system": V2_0203, "code": "MR"}], "text": "Aktennummer"}}],
        "address": [{"city": "Köln", "postalCode": "50667"}],
        "telecom": [{"system": "phone", "value": "0221555"}, {"system": "email", "value": "a@example.org"}],
        "managingOrganization": {"reference": "Organization/org"},
        "generalPractitioner": [{"reference": "Practitioner/doc"}],
    },
    {
        "resourceType": "Patient", "id": "b", "active": False, "gender": "female", "birthDate": "1990-12",
        "name": [{"family": "MULLER-Schmidt", "given": ["Anna"]}], "identifier": [{"value": "A1"}],
        "meta": {"tag": [{"system": "urn:tag", "code": "t2"}]},
    },
    {"resourceType": "Patient", "id": "c", "name": [{"family": ODD}],
     "identifier": [{"system": "urn:odd", "value": "a|b,c"}], "gender": "female", "birthDate": "1980-05-02"},
    observation("w1", "a", effectiveDateTime="2026-03-04T09:00:00+01:00",
                valueQuantity=quantity(5.4), encounter={"reference": "Encounter/e"},
                performer=[{"reference": "http://other.example/fhir/Practitioner/9"}]),
    observation("w2", "b", effectivePeriod={"start": "2026-03-01", "end": "2026-03-10"}, valueQuantity=quantity(5.44)),
    observation("w3", "a", status="preliminary", effectivePeriod={"start": "2026-03-05"}, valueQuantity=quantity(100)),
    observation("w4", "b", effectiveDateTime="2026-03", valueQuantity=quantity(5.4, "mg")),
    observation("bp", "a", "85354-9", component=[component("8480-6", 150), component("8462-4", 80)]),
    {"resourceType": "Observation", "id": "txt", "status": "final", "code": coded("8302-2", text="Körpergröße stehend"),
     "subject": {"reference": "Patient/c"}, "valueString": "Größe unbekannt"},
    {"resourceType": "Observation", "id": "logical", "status": "final", "code": coded("8310-5"),
     "subject": {"type": "Patient", "identifier": {"system": KVNR, "value": "A1"}}},
    {"resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "AMB"},
     "subject": {"reference": "Patient/a"}, "serviceProvider": {"reference": "Organization/org"}},
    {"resourceType": "RiskAssessment", "id": "r8", "status": "final", "subject": {"reference": "Patient/a"},
     "prediction": [{"probabilityDecimal": 0.8}]},
    {"resourceType": "RiskAssessment", "id": "r84", "status": "final", "subject": {"reference": "Patient/b"},
     "prediction": [{"probabilityDecimal": 0.84}]},
    {"resourceType": "Questionnaire", "id": "q", "status": "active", "url": "http://example.org/fhir/Questionnaire/Q1",
     "version": "2"},
]  # fmt: skip


@pytest.fixture(scope="module")
def server(gateway: Gateway) -> Gateway:
    entries = [{"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}} for r in SEED]
    answer = gateway.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert answer.status_code == 200, answer.text
    return gateway


def asked(server: Gateway, query: str, **headers: str) -> Json:
    answer = server.http.get(query.replace("{base}", server.address("/fhir")), headers=headers)
    assert answer.status_code == 200, answer.text
    return support.decode(answer)


def matches(bundle: Json, mode: str = "match") -> list[str]:
    return [e["resource"]["id"] for e in bundle.get("entry", []) if e["search"]["mode"] == mode]


def names(bundle: Json, mode: str = "match") -> str:
    return " ".join(sorted(matches(bundle, mode)))


TOKENS = {
    "Patient?gender=male": "a",
    "Patient?gender=http://hl7.org/fhir/administrative-gender|male": "a",
    "Patient?gender=urn:wrong|male": "",
    "Patient?gender=male,female": "a b c",
    "Patient?gender:not=male": "b c",
    "Patient?active=true": "a",
    "Patient?active:not=true": "b c",  # search.html#token :not - also those that have no value
    "Patient?identifier=A1": "a b",
    f"Patient?identifier={KVNR}|A1": "a",
    "Patient?identifier=|A1": "b",
    f"Patient?identifier={KVNR}|": "a",
    "Patient?identifier=urn:odd|a\\|b\\,c": "c",
    "Patient?identifier=a\\|b\\,c": "c",
    "Patient?identifier:missing=false&gender=male": "a",
    "Patient?phone=0221555": "a",
    "Patient?telecom=a@example.org": "a",
    "Patient?email=0221555": "",
    "Patient?_tag=urn:tag|t1": "a",
    "Patient?_tag=t1,t2": "a b",
    "Patient?_security=urn:sec|s1": "a",
    "Patient?_profile=http://example.org/p": "a",
    "Patient?_id=a,c": "a c",
    "Patient?_id=a&_id=c": "",
    f"Observation?code={LOINC}|29463-7": "w1 w2 w3 w4",
    "Observation?code=29463-7&status=preliminary": "w3",
    "Observation?code:text=körperg": "txt",
    f"Observation?code:not={LOINC}|29463-7": "bp logical txt",
    f"Observation?code={LOINC}|29463-7,{LOINC}|85354-9&status=final": "bp w1 w2 w4",
    "Observation?combo-code=8480-6": "bp",
}
STRINGS = {
    "Patient?family=müller": "a b",
    "Patient?family=MULLER": "a b",
    "Patient?family=mu\u0308ller": "a b",
    "Patient?family:exact=Müller": "a",
    "Patient?family:exact=müller": "",
    "Patient?family:exact=Müll": "",
    "Patient?family:contains=ÜLLER-s": "b",
    "Patient?family=schmidt": "",
    "Patient?name=peter": "a",
    "Patient?name=jorg&name=mull": "a",
    "Patient?given=anna,jörg": "a b",
    "Patient?address=köln": "a",
    "Patient?address-postalcode=506": "a",
    "Patient?address-city:missing=true": "b c",
    "Patient?family=Van\\, Pipe\\|Dollar\\$Back\\\\Slash": "c",
    "Patient?family:exact=Van\\, Pipe\\|Dollar\\$Back\\\\Slash": "c",
    "Observation?value-string=größe": "txt",
}
DATES = {
    "date=2026-03-04": "w1",
    "date=eq2026-03": "w1 w2 w4",
    "date=2026": "w1 w2 w4",
    "date=2026-03-04T08:00:00Z": "w1",
    "date=2026-03-04T08:00Z": "w1",
    "date=2026-03-04T03:00:00-05:00": "w1",
    "date=2026-03-04T09:00:00Z": "",
    "date=gt2026-03-04": "w2 w3 w4",
    "date=ge2026-03-04": "w1 w2 w3 w4",
    "date=lt2026-03-04": "w2 w4",
    "date=le2026-03-04": "w1 w2 w4",
    "date=gt2026-03-04T08:00:00Z": "w2 w3 w4",
    "date=sa2026-03-04": "w3",
    "date=sa2026-02": "w1 w2 w3 w4",
    "date=eb2026-03-05T00:00:00Z": "w1",
    "date=eb2026-04": "w1 w2 w4",
    "date=gt2026-03-10&date=lt2026-04": "w3 w4",
    "date=2026-03-04,2026-03": "w1 w2 w4",
    "date:missing=false": "w1 w2 w3 w4",
    "date:missing=true": "bp logical txt",
}
NUMBERS = {
    "Observation?value-quantity=5.4": "w1 w2 w4",
    "Observation?value-quantity=5.40": "w1 w4",
    f"Observation?value-quantity=5.4|{UCUM}|kg": "w1 w2",
    "Observation?value-quantity=5.4||Kilo": "w1 w2",
    "Observation?value-quantity=5.4||mg": "w4",
    f"Observation?value-quantity=gt5.4|{UCUM}|kg": "w2 w3",
    f"Observation?value-quantity=ge5.4|{UCUM}|kg": "w1 w2 w3",
    f"Observation?value-quantity=lt5.44|{UCUM}|kg": "w1",
    f"Observation?value-quantity=ne5.4|{UCUM}|kg": "w3",
    f"Observation?value-quantity=ap95|{UCUM}|kg": "w3",
    "Observation?value-quantity=1.0e2": "w3",
    "Observation?value-quantity=5.4e0||kg": "w1 w2",
    "Observation?value-quantity=sa99": "w3",
    "Observation?value-quantity=eb5.42||kg": "w1",
    f"Observation?value-quantity=1|{UCUM}|kg,100|{UCUM}|kg": "w3",
    "RiskAssessment?probability=0.8": "r8 r84",
    "RiskAssessment?probability=0.80": "r8",
    "RiskAssessment?probability=gt0.8": "r84",
    "RiskAssessment?probability=le0.8": "r8",
    "RiskAssessment?probability:missing=true": "",
    f"Observation?code-value-quantity={LOINC}|29463-7$gt50": "w3",
    f"Observation?code-value-quantity={LOINC}|29463-7$5.4|{UCUM}|kg": "w1 w2",
    f"Observation?component-code-value-quantity={LOINC}|8480-6$gt140": "bp",
    f"Observation?component-code-value-quantity={LOINC}|8462-4$gt140": "",  # both within one component
    "Questionnaire?url=http://example.org/fhir/Questionnaire/Q1": "q",
    "Questionnaire?url=http://example.org/fhir/Questionnaire/q1": "",
    "Questionnaire?url=http://example.org/fhir": "",
}
REFERENCES = {
    "Observation?subject=Patient/c": "txt",
    "Observation?subject=c": "txt",
    "Observation?patient=c": "txt",
    "Observation?subject:Patient=c": "txt",
    "Observation?subject:Group=c": "",
    "Observation?subject=Group/c": "",
    "Observation?subject={base}/Patient/c": "txt",
    "Observation?subject=http://other.example/fhir/Patient/c": "",
    "Observation?performer=http://other.example/fhir/Practitioner/9": "w1",
    "Observation?performer=Practitioner/9": "",
    "Observation?subject=Patient/b,Patient/c": "txt w2 w4",
    "Observation?subject:missing=false&subject=c": "txt",
    f"Observation?subject:identifier={KVNR}|A1": "logical",
    "Observation?patient.family=muller": "bp w1 w2 w3 w4",
    "Observation?subject:Patient.family:exact=Müller": "bp w1 w3",
    f"Observation?patient.identifier={KVNR}|A1&status=preliminary": "w3",
    "Observation?patient.birthdate=lt1985": "bp txt w1 w3",
    "Observation?patient.gender=female,male&code=8302-2": "txt",
    "Observation?patient._id=c": "txt",
    "Observation?encounter.service-provider=Organization/org": "w1",
    "Patient?organization.name=praxis": "a",
    f"Patient?_has:Observation:patient:code={LOINC}|85354-9": "a",
    "Patient?_has:Observation:subject:status=preliminary": "a",
    "Patient?_has:Observation:patient:code=8302-2,85354-9": "a c",
    "Patient?_has:Observation:patient:code=29463-7&_has:Observation:patient:code=85354-9": "a",
    "Patient?_has:RiskAssessment:patient:probability=gt0.82&gender=female": "b",
}


@pytest.mark.parametrize(
    ("query", "found"),
    [*TOKENS.items(), *STRINGS.items(), *((f"Observation?{q}", f) for q, f in DATES.items()), *NUMBERS.items(),
     *REFERENCES.items()],
)  # fmt: skip
def test_search_finds(server: Gateway, query: str, found: str) -> None:
    bundle = asked(server, query)
    assert names(bundle) == found
    assert bundle["total"] == len(found.split())


def test_search_by_post_finds_the_same(server: Gateway) -> None:
    for query in [*TOKENS, *STRINGS]:
        kind, asked_for = query.split("?")
        form = urllib.parse.urlencode([tuple(part.split("=", 1)) for part in asked_for.split("&")])
        type_ = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = server.http.post(f"{kind}/_search", content=form, headers=type_)
        assert (answer.status_code, names(support.decode(answer))) == (200, names(asked(server, query))), query


def test_ne_finds_what_eq_does_not(server: Gateway) -> None:
    assert {"w3"} == set(matches(asked(server, "Observation?date=ne2026-03&date:missing=false")))
    assert set(matches(asked(server, "Observation?date=ap2026-03-04"))) >= {"w1"}


@pytest.mark.parametrize(
    "query",
    [
        "Patient?nonsense=1", "Patient?name:nonsense=a", "Patient?gender:exact=male", "Patient?birthdate=yesterday",
        "Patient?birthdate=xx2020-01-01", "Patient?birthdate=2020-13-01", "Patient?_count=x", "Patient?_count=-1",
        "Patient?_sort=nonsense", "Patient?_include=Patient:nonsense", "Patient?_include=nonsense",
        "Patient?_summary=x",
        "Patient?_revinclude=Observation:nonsense", "Patient?_total=many", "RiskAssessment?probability=many",
        "Patient?_has:Observation:nonsense:code=1", "Patient?_has:Observation:patient:nonsense=1",
        "Observation?patient.nonsense=1", "Observation?status.x=1", "Patient?gender:missing=perhaps",
        "Observation?code-value-quantity=29463-7", "Observation?value-quantity=|x|y", "Patient?birthdate:missing=",
        "Patient?_lastUpdated=now", "Patient?_elements=", "Observation?subject:Nonsense=1", "Patient?_sort:desc=name",
        "Patient?_count:x=1", "Patient?_elements:x=name", "Patient?_summary:x=true", "Patient?_total:x=none",
    ],
)  # fmt: skip
def test_what_a_search_cannot_understand_is_refused(server: Gateway, query: str) -> None:
    answer = server.http.get(query)
    assert answer.status_code == 400, (answer.status_code, answer.text[:300])
    assert support.decode(answer)["issue"][0]["severity"] in ("error", "fatal")


def test_an_unknown_parameter_is_a_warning_under_lenient_and_not_in_the_self_link(server: Gateway) -> None:
    answer = server.http.get("Patient?gender=male&nonsense=1", headers={"Prefer": "handling=lenient"})
    bundle = support.decode(answer)
    assert (answer.status_code, names(bundle), bundle["total"]) == (200, "a", 1)
    told = [e["resource"] for e in bundle["entry"] if e["search"]["mode"] == "outcome"]
    assert [r["resourceType"] for r in told] == ["OperationOutcome"]
    assert told[0]["issue"][0]["severity"] == "warning"
    assert "nonsense" in str(told)
    assert "nonsense" not in bundle["link"][0]["url"]
    assert "gender=male" in bundle["link"][0]["url"]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("family", "a b c"), ("birthdate,family", "a c b"), ("birthdate,-family", "c a b"), ("-birthdate,_id", "b a c"),
        ("_id", "a b c"), ("-_id", "c b a"), ("active,_id", "b a c"), ("organization,_id", "a b c"),
        ("-organization,_id", "a b c"), ("address-city,-_id", "a c b"),
    ],
)  # fmt: skip
def test_sort(server: Gateway, sort: str, order: str) -> None:
    found = matches(asked(server, f"Patient?_sort={sort}"))
    assert found == order.split()
    paged = asked(server, f"Patient?_sort={sort}&_count=1")
    walked = matches(paged)
    while link := next((i["url"] for i in paged["link"] if i["relation"] == "next"), None):
        paged = asked(server, link)
        walked += matches(paged)
    assert walked == order.split()


@pytest.mark.parametrize(
    ("query", "match", "include"),
    [
        ("Observation?_id=w1&_include=Observation:subject", "w1", "a"),
        ("Observation?_id=w1&_include=Observation:patient", "w1", "a"),
        ("Observation?_id=w1,w3&_include=Observation:subject:Patient", "w1 w3", "a"),
        ("Observation?_id=w1&_include=Observation:subject:Group", "w1", ""),
        ("Observation?_id=w1&_include=Observation:performer", "w1", ""),
        ("Observation?_id=w1&_include=Observation:subject&_include=Observation:encounter", "w1", "a e"),
        ("Observation?_id=w1&_include=*", "w1", "a e"),
        ("Observation?_id=w1&_include=Observation:subject&_include:iterate=Patient:organization", "w1", "a org"),
        ("Observation?_id=w1&_include=Observation:subject&_include=Patient:organization", "w1", "a"),
        ("Organization?_id=org&_include:iterate=Organization:partof", "org", "top"),
        ("Patient?_id=c&_revinclude=Observation:subject", "c", "txt"),
        ("Patient?_id=b&_revinclude=Observation:patient&_revinclude=RiskAssessment:subject", "b", "r84 w2 w4"),
        ("Patient?_id=b&_revinclude=RiskAssessment:subject:Patient", "b", "r84"),
        ("Organization?_id=org&_revinclude=Patient:organization&_revinclude:iterate=Encounter:patient", "org", "a e"),
        ("Encounter?_id=e&_include=Encounter:patient&_revinclude=Observation:encounter", "e", "a w1"),
    ],
)
def test_includes(server: Gateway, query: str, match: str, include: str) -> None:
    bundle = asked(server, query)
    assert (names(bundle), names(bundle, "include"), bundle["total"]) == (match, include, len(match.split()))


def test_a_page_includes_for_its_own_matches(server: Gateway) -> None:
    page = asked(server, "Observation?_id=w1,w2&_sort=_id&_count=1&_include=Observation:subject")
    assert (matches(page), matches(page, "include"), page["total"]) == (["w1"], ["a"], 2)
    page = asked(server, next(i["url"] for i in page["link"] if i["relation"] == "next"))
    assert (matches(page), matches(page, "include")) == (["w2"], ["b"])


def test_summary_elements_and_total(server: Gateway) -> None:
    def one(query: str) -> Json:
        resource: Json = asked(server, f"Patient?_id=a&{query}")["entry"][0]["resource"]
        return resource

    subsetted = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
    short = one("_summary=true")
    assert {"code": "SUBSETTED", "system": subsetted} in [
        {k: t[k] for k in ("code", "system")} for t in short["meta"]["tag"]
    ]
    assert {"identifier", "name", "gender", "birthDate", "managingOrganization"} <= set(short)
    assert "generalPractitioner" not in short
    assert set(one("_summary=text")) <= {"resourceType", "id", "meta", "text"}
    assert "text" not in one("_summary=data") and "generalPractitioner" in one("_summary=data")
    assert all(t["code"] != "SUBSETTED" for t in one("_summary=false")["meta"]["tag"])
    picked = one("_elements=name,birthDate")
    assert set(picked) == {"resourceType", "id", "meta", "name", "birthDate"}
    assert "SUBSETTED" in str(picked["meta"]["tag"])
    mandatory = asked(server, "Observation?_id=w1&_elements=subject")["entry"][0]["resource"]
    assert set(mandatory) == {"resourceType", "id", "meta", "subject", "status", "code"}
    for query in ("_summary=count", "_count=0"):
        counted = asked(server, f"Patient?gender=female&{query}")
        assert (counted["total"], "entry" in counted) == (2, False)
    assert asked(server, "Patient?gender=female&_total=accurate&_count=1")["total"] == 2
    assert len(asked(server, "Patient?gender=female&_total=none")["entry"]) == 2
    read = asked(server, "Patient/a?_elements=gender")
    assert set(read) == {"resourceType", "id", "meta", "gender"}


def test_all_pages_are_walked_once_while_others_write(server: Gateway) -> None:
    goal = {"resourceType": "Flag", "status": "active", "code": {"text": "Seite, |$"},
            "subject": {"reference": "Patient/a"}}  # fmt: skip
    made = [support.decode(server.post("Flag", goal))["id"] for _number in range(20)]
    over = threading.Event()

    def write() -> int:
        count = 0
        while not over.is_set():
            count += server.post("Flag", goal).status_code == 201
        return count

    for sort in ("_lastUpdated", "-_lastUpdated", "_id"):
        over.clear()
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            writers = [pool.submit(write) for _number in range(3)]
            seen: list[str] = []
            url: str | None = f"Flag?_count=3&_sort={sort}&subject=Patient/a&_elements=subject&_id={','.join(made)}"
            while url:
                page = asked(server, url)
                seen += matches(page)
                assert all("code" in e["resource"] and "category" not in e["resource"] for e in page["entry"])
                url = next((i["url"] for i in page["link"] if i["relation"] == "next"), None)
            over.set()
        assert all(writer.result() for writer in writers)
        assert (len(seen), set(seen)) == (20, set(made))
