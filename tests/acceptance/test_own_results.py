"""Nobody but the gateway writes what the gateway says: planted, forged and foreign resources change no result."""

from __future__ import annotations

import base64

import httpx
import pytest

from mappers import fhir_names
from tests import support
from tests.support import Gateway, Json

TEXT = (
    "Ärztin: Guten Tag, was führt Sie zu mir?\n"
    "Patientin: Ich habe seit drei Tagen Husten und Schnupfen.\n"
    "Ärztin: Die Lunge ist frei. Das ist ein Infekt der oberen Atemwege.\n"
    "Ärztin: Bitte trinken Sie viel. Auf Wiedersehen.\n"
)


def noted(gateway: Gateway) -> tuple[dict[str, str], Json]:
    """A documented encounter: its references, and the note."""
    references = gateway.posted(support.case_bundle("sinusitis"))
    task = gateway.ended(references["Encounter"])
    note = next(r for r in gateway.outputs(task) if "11506-3" in str(r.get("type")))
    return references, note


def practitioner(gateway: Gateway) -> str:
    answer = gateway.post("Practitioner", {"resourceType": "Practitioner", "name": [{"family": "Probe"}]})
    return f"Practitioner/{support.decode(answer)['id']}"


def release(gateway: Gateway, composition: str, who: str) -> httpx.Response:
    parameter = {"name": "practitioner", "valueReference": {"reference": who}}
    return gateway.post(f"{composition}/$release", {"resourceType": "Parameters", "parameter": [parameter]})


def own_composition(gateway: Gateway, encounter: str, **more: object) -> Json:
    """A preliminary Composition that a client has written."""
    patient = gateway.get(encounter)["subject"]
    made = {
        "resourceType": "Composition", "status": "preliminary", "date": "2026-01-02", "title": "Brief",
        "type": {"coding": [{"system": fhir_names.LOINC, "code": "34133-9"}]}, "subject": patient,
        "encounter": {"reference": encounter}, "author": [{"display": "Praxis"}], **more,
    }  # fmt: skip
    answer = gateway.post("Composition", made)
    assert answer.status_code == 201, answer.text
    return support.decode(answer)


def test_a_release_leaves_a_clients_composition_alone(gateway: Gateway) -> None:
    references, note = noted(gateway)
    theirs = own_composition(gateway, references["Encounter"])
    who = practitioner(gateway)
    assert release(gateway, f"Composition/{note['id']}", who).status_code == 200
    after = gateway.get(f"Composition/{theirs['id']}")
    assert (after["status"], after["meta"]["versionId"], "attester" in after) == ("preliminary", "1", False)
    refused = release(gateway, f"Composition/{theirs['id']}", who)
    assert (refused.status_code, support.issues(refused)[0][0]) == (422, "business-rule")


@pytest.mark.parametrize("label", ["security", "tag"])
def test_no_client_sets_the_gateways_labels(gateway: Gateway, label: str) -> None:
    codes = {"security": {"code": "AIAST"}, "tag": {"code": "released"}}
    sent = {"resourceType": "Patient", "meta": {label: [codes[label]]}}
    assert gateway.post("Patient", sent).status_code == 422
    stored = support.decode(gateway.post("Patient", {"resourceType": "Patient"}))
    for body, content_type in (
        ([{"op": "add", "path": "/meta/" + label, "value": [codes[label]]}], "application/json-patch+json"),
        ({"meta": {label: [codes[label]]}}, "application/merge-patch+json"),
    ):
        answer = gateway.http.patch(
            f"Patient/{stored['id']}", content=support.encode(body), headers={"Content-Type": content_type}
        )
        assert answer.status_code == 422, answer.text
    assert gateway.get(f"Patient/{stored['id']}")["meta"]["versionId"] == "1"


def documented(gateway: Gateway, encounter: str) -> Json:
    """The note of an encounter with this id, whose document comes now."""
    gateway.put({"resourceType": "Patient", "id": encounter, "gender": "female", "birthDate": "1980-01-02"})
    visit = {"resourceType": "Encounter", "id": encounter, "status": "finished", "class": {"code": "AMB"},
             "subject": {"reference": f"Patient/{encounter}"},
             "period": {"start": "2026-03-02", "end": "2026-03-02"}}  # fmt: skip
    gateway.put(visit)
    gateway.post("DocumentReference", support.document(f"Encounter/{encounter}", f"Patient/{encounter}", TEXT.encode()))
    task = gateway.ended(f"Encounter/{encounter}")
    return next(r for r in gateway.outputs(task) if "11506-3" in str(r.get("type")))


def test_what_is_planted_under_a_derived_id_does_not_steer_the_result(gateway: Gateway) -> None:
    note = documented(gateway, "planted")
    planted = {name: value for name, value in note.items() if name != "meta"}
    planted |= {"date": "1999-01-01", "relatesTo": [
        {"code": "replaces", "targetReference": {"reference": "Composition/somebody-elses"}}]}  # fmt: skip
    with support.running(gateway.data.with_name("other")) as other:
        assert other.put(planted).status_code == 201
        again = documented(other, "planted")
    assert again["id"] == note["id"]
    assert (again["date"][:4], again.get("relatesTo")) == (note["date"][:4], note.get("relatesTo"))
    assert again["section"] == note["section"]


def test_a_resend_with_an_update_that_is_not_current_any_more_is_done(gateway: Gateway) -> None:
    references, _note = noted(gateway)
    encounter = references["Encounter"]
    patient = gateway.get(encounter)["subject"]["reference"]
    person = {**gateway.get(patient), "active": True}
    source = support.document(encounter, patient, TEXT.encode())
    entries = [
        {"resource": person, "request": {"method": "PUT", "url": patient}},
        {"resource": {**source, "id": "resent"}, "request": {"method": "PUT", "url": "DocumentReference/resent"}},
    ]
    body = support.encode({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert gateway.post("", body).status_code == 200
    assert gateway.post("", body).status_code == 200
    assert gateway.get(patient)["meta"]["versionId"] == "2"
    gateway.put({**gateway.get(patient), "active": False})
    assert gateway.post("", body).status_code == 200
    assert (gateway.get(patient)["active"], gateway.get(patient)["meta"]["versionId"]) == (True, "4")
    assert (
        base64.b64decode(gateway.get("DocumentReference/resent")["content"][0]["attachment"]["data"]).decode() == TEXT
    )


def test_a_page_of_another_site_may_not_call(gateway: Gateway) -> None:
    body = support.encode({"resourceType": "Patient"})
    for origin, status in (("https://evil.example", 403), ("null", 403), (gateway.address(""), 201)):
        answer = gateway.http.post("Patient", content=body, headers={**support.FHIR_JSON, "Origin": origin})
        assert answer.status_code == status, origin
