"""The main job over HTTP: a consultation goes in as an EHR sends it, a note, codes, warnings and a claim come back."""

from __future__ import annotations

import base64
import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import httpx
import pytest

from mappers import fhir_names
from pipeline.evaluation import cases
from tests import support
from tests.support import Gateway, Json

CASES = {case.name: case for case in cases.bundled()}
PRACTICE = [name for name, case in CASES.items() if case.consultation.encounter.setting == "practice"]
NOTE, SUMMARY = "11506-3", "34133-9"
ROUNDING = Decimal("0.02")  # EUR; GOÄ § 5 rounds after the multiplication, so a rounded unit price may differ by a cent
SECTIONS = ["61150-9", "61149-1", "51848-0", "18776-5"]
OUR_TABLES = {"received", "resource_version", "index_quantity", "index_composite", "index_state",
              "conditional_create", "notification", "index_token", "index_reference", "index_date", "index_string",
              "run", "stage_output", "delivered"}  # fmt: skip


@dataclass(frozen=True)
class Processed:
    """One case with what the gateway made of it."""

    case: cases.Case
    sent: Json
    references: dict[str, str]
    task: Json
    outputs: list[Json]

    def of(self, resource_type: str) -> list[Json]:
        return [resource for resource in self.outputs if resource["resourceType"] == resource_type]

    def composition(self, code: str) -> Json:
        found = [c for c in self.of("Composition") if c["type"]["coding"][0]["code"] == code]
        assert len(found) == 1
        return found[0]

    @property
    def transcript(self) -> str:
        attachment = support.resource(self.sent, "DocumentReference")["content"][0]["attachment"]
        return base64.b64decode(attachment["data"]).decode("utf-8")


@pytest.fixture(scope="module")
def processed(gateway: Gateway) -> dict[str, Processed]:
    """All bundled cases, posted at once and worked on side by side."""
    sent = {name: support.case_bundle(name) for name in CASES}
    posted = {name: gateway.posted(bundle) for name, bundle in sent.items()}
    tasks = {name: gateway.ended(posted[name]["Encounter"]) for name in CASES}
    return {name: Processed(CASES[name], sent[name], posted[name], tasks[name], gateway.outputs(tasks[name]))
            for name in CASES}  # fmt: skip


@pytest.fixture(params=sorted(CASES))
def one(request: pytest.FixtureRequest, processed: dict[str, Processed]) -> Processed:
    """Each case in turn."""
    found: Processed = processed[request.param]
    return found


def fresh(gateway: Gateway, name: str) -> Processed:
    """A case in an encounter of its own, for a test that changes it."""
    sent = support.case_bundle(name)
    posted = gateway.posted(sent)
    task = gateway.ended(posted["Encounter"])
    return Processed(CASES[name], sent, posted, task, gateway.outputs(task))


def elements(composition: Json) -> dict[str, str]:
    """Element id to text of everything with an id in the narratives, which must be well-formed XHTML."""
    found: list[tuple[str, str]] = []
    for section in composition["section"]:
        root = ET.fromstring(section["text"]["div"])
        assert root.tag == "{http://www.w3.org/1999/xhtml}div"
        found += [(element.get("id", ""), "".join(element.itertext())) for element in root.iter() if element.get("id")]
    assert len(dict(found)) == len(found), "an element id occurs twice"
    return dict(found)


def evidence(node: object) -> Iterator[Json]:
    """Every evidence extension anywhere in a resource, as its parts by name."""
    if isinstance(node, dict):
        if node.get("url") == fhir_names.EVIDENCE:
            yield {part["url"]: next(v for k, v in part.items() if k != "url") for part in node["extension"]}
        for value in node.values():
            yield from evidence(value)
    elif isinstance(node, list):
        for value in node:
            yield from evidence(value)


def words(text: str) -> set[str]:
    """The stems of a text's words, so that inflection does not matter."""
    return {word[:4] for word in re.findall(r"[^\W\d_]{3,}|\d+", text.casefold())}


def versions(gateway: Gateway, resources: list[Json]) -> dict[str, str]:
    """The present versionId of each resource."""
    references = [f"{r['resourceType']}/{r['id']}" for r in resources]
    return {reference: gateway.get(reference)["meta"]["versionId"] for reference in references}


def release(gateway: Gateway, composition: Json, practitioner: str) -> httpx.Response:
    parameter = {"name": "practitioner", "valueReference": {"reference": practitioner}}
    body = {"resourceType": "Parameters", "parameter": [parameter]}
    return gateway.post(f"Composition/{composition['id']}/$release", body)


def test_every_run_ends_completed_with_the_set_that_fits_the_case(one: Processed) -> None:
    kinds = Counter(output["type"]["coding"][0]["code"] for output in one.task["output"])
    is_practice = one.case.name in PRACTICE
    assert one.task["status"] == "completed"
    assert "statusReason" not in one.task
    assert (kinds["note"], kinds["summary"], kinds["provenance"], kinds["claim"]) == (1, 1, 2, int(is_practice))
    assert kinds["condition"] >= bool(one.case.gold.codes.must)
    assert kinds["warning"] >= bool(one.case.gold.warnings.must)


def test_the_task_names_the_run(one: Processed) -> None:
    task, references = one.task, one.references
    assert task["code"]["coding"][0]["code"] == "document-encounter"
    assert task["intent"] == "order"
    assert task["encounter"]["reference"] == references["Encounter"]
    assert task["focus"]["reference"] == references["DocumentReference"]
    assert task["for"]["reference"] == references["Patient"]
    assert task["businessStatus"]["coding"][0]["code"] == "deliver"


@pytest.mark.parametrize("parameter", ["encounter", "focus"])
def test_the_task_is_found_by_its_encounter_and_by_its_source(
    gateway: Gateway, processed: dict[str, Processed], parameter: str
) -> None:
    done = processed["sinusitis"]
    value = done.references[{"encounter": "Encounter", "focus": "DocumentReference"}[parameter]]
    assert [task["id"] for task in gateway.found("Task", **{parameter: value})] == [done.task["id"]]


def test_every_result_says_that_a_machine_proposed_it_for_this_patient(one: Processed) -> None:
    for resource in one.outputs:
        assert fhir_names.AI_ASSERTED in resource["meta"]["security"]
        subject = resource.get("subject") or resource.get("patient")
        if resource["resourceType"] != "Provenance":
            assert subject == {"reference": one.references["Patient"]}


def test_note_has_the_four_sections_by_loinc(one: Processed) -> None:
    note = one.composition(NOTE)
    assert note["status"] == "preliminary"
    assert note["encounter"]["reference"] == one.references["Encounter"]
    assert note["author"][0]["reference"].startswith("Device/")
    assert [section["code"]["coding"][0]["code"] for section in note["section"]] == SECTIONS
    for section in note["section"]:
        assert section["code"]["coding"][0]["system"] == "http://loinc.org"
        assert ("<li " in section["text"]["div"]) != ("Keine Angaben." in section["text"]["div"])


def test_note_shows_its_conditions_under_assessment_and_its_warnings_under_plan(one: Processed) -> None:
    shown = [[e["reference"] for e in section.get("entry", [])] for section in one.composition(NOTE)["section"]]
    ids = {kind: [f"{kind}/{r['id']}" for r in one.of(kind)] for kind in ("Condition", "DetectedIssue")}
    assert shown == [[], [], ids["Condition"], ids["DetectedIssue"]]


def test_summary_is_its_own_preliminary_composition_of_three_to_five_sentences(one: Processed) -> None:
    summary = one.composition(SUMMARY)
    assert summary["status"] == "preliminary"
    assert 3 <= len(elements(summary)) <= 5


@pytest.mark.parametrize("code", [NOTE, SUMMARY])
def test_each_statement_is_a_target_of_the_provenance(one: Processed, code: str) -> None:
    composition = one.composition(code)
    own = f"Composition/{composition['id']}"
    provenance = next(p for p in one.of("Provenance") if p["target"][0]["reference"] == own)
    linked = [extension["valueUri"] for target in provenance["target"] for extension in target.get("extension", [])
              if extension["url"] == fhir_names.TARGET_ELEMENT]  # fmt: skip
    assert linked == list(elements(composition))
    assert [entity["what"]["reference"] for entity in provenance["entity"]] == [one.references["DocumentReference"]]
    assert provenance["entity"][0]["role"] == "source"
    assert provenance["agent"][0]["type"]["coding"][0]["code"] == "author"
    assert provenance["agent"][0]["who"]["reference"].startswith("Device/")


@pytest.mark.parametrize("code", [NOTE, SUMMARY])
def test_each_statement_carries_evidence(one: Processed, code: str) -> None:
    composition = one.composition(code)
    own = f"Composition/{composition['id']}"
    provenance = next(p for p in one.of("Provenance") if p["target"][0]["reference"] == own)
    statements = [target for target in provenance["target"] if "extension" in target]
    assert [elements(composition)[t["extension"][0]["valueUri"]] for t in statements if not any(evidence(t))] == []


def test_the_evidence_of_a_statement_holds_its_words(one: Processed) -> None:
    said = elements(one.composition(NOTE))
    for target in one.of("Provenance")[0]["target"]:
        places = list(evidence(target))
        if places:
            statement = said[target["extension"][0]["valueUri"]]
            cut = " ".join(one.transcript[p["start"] : p["end"]] for p in places if "segment" in p)
            stems = {word for word in words(statement) if not word.isdigit()}  # numbers may have been said in words
            assert not stems or stems & words(cut) or any("record" in p for p in places), (statement, cut)


def test_every_evidence_cuts_whole_words_out_of_the_posted_transcript(one: Processed) -> None:
    text, places = one.transcript, [place for resource in one.outputs for place in evidence(resource)]
    spoken = [place for place in places if "segment" in place]
    assert spoken
    for place in spoken:
        cut = text[place["start"] : place["end"]]
        assert place["source"] == {"reference": one.references["DocumentReference"]}
        assert cut
        assert cut == cut.strip(), (place, cut)
        assert "\n" not in cut
        assert not text[place["start"] - 1 : place["start"]].isalnum(), (place, cut)
        assert not (cut[-1].isalnum() and text[place["end"] : place["end"] + 1].isalnum()), (place, cut)
        assert place["segment"] >= 1


def test_evidence_from_the_record_resolves(gateway: Gateway, one: Processed) -> None:
    for reference in {p["record"]["reference"] for r in one.outputs for p in evidence(r) if "record" in p}:
        assert gateway.http.get(reference).status_code == 200


def test_evidence_of_a_transcript_with_timestamps_says_the_milliseconds(processed: dict[str, Processed]) -> None:
    note = processed["pneumonia"].of("Provenance")[0]
    assert re.search(r"\d\d:\d\d", processed["pneumonia"].transcript)
    assert all("startMilliseconds" in place for place in evidence(note) if "segment" in place)


def test_conditions_are_coded_as_german_practice_does(one: Processed) -> None:
    statuses = {"G": ("active", "unconfirmed"), "V": ("active", "provisional"), "Z": ("resolved", "unconfirmed"),
                "A": (None, "unconfirmed"), None: ("active", "unconfirmed")}  # fmt: skip
    day = one.case.consultation.day
    assert day
    for condition in one.of("Condition"):
        coding = condition["code"]["coding"][0]
        marks = {e["url"]: e["valueCoding"]["code"] for e in coding.get("extension", [])}
        certainty = marks.get(fhir_names.DIAGNOSESICHERHEIT)
        assert (coding["system"], coding["version"]) == (fhir_names.ICD_10_GM, str(day.year))
        assert re.fullmatch(r"[A-Z]\d\d(\.\d{1,2})?", coding["code"])
        assert (certainty is None) == (one.case.name not in PRACTICE)
        clinical = condition.get("clinicalStatus", {"coding": [{"code": None}]})["coding"][0]["code"]
        assert (clinical, condition["verificationStatus"]["coding"][0]["code"]) == statuses[certainty]
        assert marks.get(fhir_names.SEITENLOKALISATION, "R") in ("R", "L", "B")
        assert condition["encounter"]["reference"] == one.references["Encounter"]
        assert condition["evidence"][0]["code"][0]["text"]
        assert any(evidence(condition))


def test_warnings_name_severity_drugs_evidence_and_management(gateway: Gateway, one: Processed) -> None:
    for issue in one.of("DetectedIssue"):
        assert issue["status"] == "preliminary"
        assert issue["detail"]
        if issue["code"]["coding"][-1]["code"] == "not-checked":
            assert "severity" not in issue
            continue
        assert issue["severity"] in ("high", "moderate", "low")
        assert issue["mitigation"][0]["action"]["text"]
        assert "Quelle: " in issue["detail"]
        assert any(evidence(issue))
        contained = {f"#{inner['id']}": inner for inner in issue.get("contained", [])}
        assert issue["implicated"]
        for implicated in issue["implicated"]:
            assert implicated["display"]
            target = contained.get(implicated["reference"]) or gateway.get(implicated["reference"])
            assert target["resourceType"] in ("MedicationStatement", "MedicationRequest")
            assert target["subject"]["reference"] == one.references["Patient"]
        assert set(contained) <= {implicated["reference"] for implicated in issue["implicated"]}


def test_at_most_one_issue_says_what_was_not_checked(one: Processed) -> None:
    codes = [issue["code"]["coding"][-1]["code"] for issue in one.of("DetectedIssue")]
    assert codes.count("not-checked") <= 1


@pytest.mark.parametrize("name", PRACTICE)
def test_claim_is_a_draft_whose_sums_and_links_hold(processed: dict[str, Processed], name: str) -> None:
    one = processed[name]
    claim = one.of("Claim")[0]
    case, day = one.case.consultation, one.case.consultation.day
    assert day
    system = fhir_names.EBM if case.encounter.insurance in ("GKV", None) else fhir_names.GOAE
    assert (claim["status"], claim["use"]) == ("draft", "predetermination")
    assert claim["billablePeriod"]["start"] <= day.isoformat() <= claim["billablePeriod"]["end"]
    assert claim["billablePeriod"]["start"][5:] in ("01-01", "04-01", "07-01", "10-01")
    diagnoses = {d["sequence"] for d in claim.get("diagnosis", [])}
    infos = {info["sequence"]: info for info in claim.get("supportingInfo", [])}
    for item in claim.get("item", []):
        assert item["productOrService"]["coding"][0]["system"] == system
        price = Decimal(item["quantity"]["value"]) * item["unitPrice"]["value"] * item.get("factor", 1)
        assert abs(item["net"]["value"] - price) <= ROUNDING * item["quantity"]["value"], item
        assert item["net"]["currency"] == item["unitPrice"]["currency"] == "EUR"
        assert set(item.get("diagnosisSequence", [])) <= diagnoses
        assert item["servicedDate"] == day.isoformat()
        assert any(evidence([infos[number] for number in item["informationSequence"]]))
    assert claim["total"]["value"] == sum((item["net"]["value"] for item in claim.get("item", [])), Decimal(0))
    assert claim["total"]["currency"] == "EUR"


def test_an_in_patient_gets_no_claim(processed: dict[str, Processed]) -> None:
    assert [name for name, one in processed.items() if not one.of("Claim")] == [n for n in CASES if n not in PRACTICE]


def test_a_second_run_of_the_same_sources_writes_nothing(gateway: Gateway) -> None:
    first = fresh(gateway, "polytrauma")
    before = versions(gateway, first.outputs)
    encounter = first.references["Encounter"]
    answer = gateway.post(f"{encounter}/$process", b"")
    assert answer.status_code == 202
    task = support.decode(answer)
    assert answer.headers["Location"] == gateway.address(f"/fhir/Task/{task['id']}")
    again = gateway.ended(encounter, runs=2)
    assert again["id"] == task["id"] != first.task["id"]
    assert again["status"] == "completed"
    assert again["output"] == first.task["output"]
    assert versions(gateway, first.outputs) == before == dict.fromkeys(before, "1")
    for resource_type in ("Composition", "Condition", "Claim"):
        assert len(gateway.found(resource_type, encounter=encounter)) == len(first.of(resource_type))


def test_a_later_source_replaces_the_draft(gateway: Gateway) -> None:
    first = fresh(gateway, "sinusitis")
    references = first.references
    more = "Ärztin: Guten Tag. Der Blutdruck ist 150 zu 90. Das ist eine arterielle Hypertonie.\nPatientin: Danke.\n"
    created = gateway.post(
        "DocumentReference", support.document(references["Encounter"], references["Patient"], more.encode())
    )
    assert created.status_code == 201
    task = gateway.ended(references["Encounter"], runs=2)
    assert task["status"] == "completed"
    outputs = gateway.outputs(task)
    later = Processed(first.case, first.sent, references, task, outputs)
    new, old = later.composition(NOTE), first.composition(NOTE)
    assert new["id"] != old["id"]
    assert new["relatesTo"] == [{"code": "replaces", "targetReference": {"reference": f"Composition/{old['id']}"}}]
    now = {kind: gateway.get(f"Composition/{first.composition(kind)['id']}")["status"] for kind in (NOTE, SUMMARY)}
    assert now == dict.fromkeys((NOTE, SUMMARY), "entered-in-error")
    assert {"150/90", "150"} & set(re.findall(r"[\d/]+", " ".join(elements(new).values())))
    sources = {p["source"]["reference"] for r in outputs for p in evidence(r) if "segment" in p}
    assert sources == {references["DocumentReference"], f"DocumentReference/{support.decode(created)['id']}"}
    current = [c["id"] for c in gateway.found("Composition", encounter=references["Encounter"], status="preliminary")]
    assert sorted(current) == sorted(c["id"] for c in later.of("Composition"))


def test_all_sources_of_one_transaction_are_one_run(gateway: Gateway) -> None:
    bundle = support.case_bundle("cystitis")
    second = json.loads(json.dumps(bundle["entry"][-1], default=str))
    second["fullUrl"] = "urn:uuid:11111111-2222-4333-8444-555555555555"
    text = "Ärztin: Der Puls ist 72. Auf Wiedersehen, gute Besserung.\nPatientin: Danke schön, auf Wiedersehen.\n"
    second["resource"]["content"][0]["attachment"]["data"] = base64.b64encode(text.encode()).decode()
    bundle["entry"].append(second)
    references = gateway.posted(bundle)
    task = gateway.ended(references["Encounter"])
    assert task["status"] == "completed"
    assert len(task["input"]) == 2


@pytest.mark.parametrize("resource_type", ["Composition", "Condition", "DetectedIssue", "Claim", "Provenance", "Task"])
@pytest.mark.parametrize("way", ["PUT", "transaction", "PUT without the label", "DELETE"])
def test_no_client_changes_a_result_before_release(
    gateway: Gateway, processed: dict[str, Processed], resource_type: str, way: str
) -> None:
    one = processed["polytrauma"]
    result = one.task if resource_type == "Task" else one.of(resource_type)[0]
    address = f"{resource_type}/{result['id']}"
    changed = {**gateway.get(address), "language": "en"}
    if way == "PUT without the label":
        del changed["meta"]
    if way == "DELETE":
        answer = gateway.http.delete(address)
        assert answer.status_code == 422
    elif way == "transaction":
        entry = {"resource": changed, "request": {"method": "PUT", "url": address}}
        answer = gateway.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
        assert answer.status_code == 422
    else:
        answer = gateway.put(changed)
        assert answer.status_code == 422
    assert support.issues(answer)
    assert gateway.get(address)["meta"]["versionId"] == result["meta"]["versionId"]


def test_release_makes_the_whole_set_final_and_says_who_and_when(gateway: Gateway) -> None:
    one = fresh(gateway, "polytrauma")
    note, practitioner = one.composition(NOTE), one.references["Practitioner"]
    answer = release(gateway, note, practitioner)
    assert answer.status_code == 200, answer.text
    final = support.decode(answer)
    assert final == gateway.get(f"Composition/{note['id']}")
    assert final["status"] == "final"
    assert "Entwurf" not in final["title"]
    assert [(a["mode"], a["party"]["reference"]) for a in final["attester"]] == [("professional", practitioner)]
    at = final["attester"][0]["time"]
    assert final["section"] == note["section"]
    released = {"G": "confirmed", "V": "provisional", "A": "refuted", "Z": "confirmed"}
    for before in one.outputs:
        now = gateway.get(f"{before['resourceType']}/{before['id']}")
        match now["resourceType"]:
            case "Composition" | "DetectedIssue":
                assert now["status"] == "final", now["title"] if "title" in now else now["code"]
            case "Claim":
                assert now["status"] == "active"
            case "Condition":
                marks = {e["url"]: e["valueCoding"]["code"] for e in now["code"]["coding"][0]["extension"]}
                certainty = marks[fhir_names.DIAGNOSESICHERHEIT]
                assert now["verificationStatus"]["coding"][0]["code"] == released[certainty]
    legal = [p for p in gateway.found("Provenance", target=f"Composition/{note['id']}")
             if p["agent"][0]["type"]["coding"][0]["code"] == "legal"]  # fmt: skip
    assert [(p["agent"][0]["who"]["reference"], p["recorded"]) for p in legal] == [(practitioner, at)]
    events = gateway.found("AuditEvent", agent=practitioner, entity=f"Composition/{note['id']}")
    assert [(e["action"], e["recorded"]) for e in events] == [("E", at)]


def test_a_released_set_is_kept_by_a_second_release_and_by_a_second_run(gateway: Gateway) -> None:
    one = fresh(gateway, "cystitis")
    practitioner, encounter = one.references["Practitioner"], one.references["Encounter"]
    assert release(gateway, one.composition(NOTE), practitioner).status_code == 200
    before = versions(gateway, one.outputs)
    assert release(gateway, one.composition(NOTE), practitioner).status_code == 200
    gateway.post(f"{encounter}/$process", b"")
    assert gateway.ended(encounter, runs=2)["status"] == "completed"
    assert versions(gateway, one.outputs) == before


@pytest.mark.parametrize(
    ("practitioner", "status", "code"),
    [
        ("Practitioner/unknown", 422, "not-found"),
        ("Patient/unknown", 400, "required"),
        ("", 400, "required"),
    ],
)
def test_only_a_known_practitioner_releases(
    gateway: Gateway, processed: dict[str, Processed], practitioner: str, status: int, code: str
) -> None:
    note = processed["sinusitis"].composition(NOTE)
    answer = release(gateway, note, practitioner)
    assert answer.status_code == status
    assert support.issues(answer)[0][0] == code
    assert support.issues(answer)[0][2] == "Parameters.parameter.where(name='practitioner')"
    assert gateway.get(f"Composition/{note['id']}")["status"] == "preliminary"


def test_release_signs_what_was_read_by_one_who_may(gateway: Gateway) -> None:
    one = fresh(gateway, "cystitis")
    note, practitioner = one.composition(NOTE), one.references["Practitioner"]
    retired = "Practitioner/retired"
    gateway.put({"resourceType": "Practitioner", "id": "retired", "active": False})
    assert release(gateway, note, retired).status_code == 422
    body = {"resourceType": "Parameters",
            "parameter": [{"name": "practitioner", "valueReference": {"reference": practitioner}}]}  # fmt: skip
    path = f"Composition/{note['id']}/$release"
    headers = {"Content-Type": "application/fhir+json"}
    stale = gateway.http.post(path, content=support.encode(body), headers={**headers, "If-Match": 'W/"77"'})
    assert stale.status_code == 412
    assert gateway.get(f"Composition/{note['id']}")["status"] == "preliminary"
    assert release(gateway, note, practitioner).status_code == 200
    gateway.put({"resourceType": "Practitioner", "id": "another", "active": True})
    other = release(gateway, note, "Practitioner/another")
    assert (other.status_code, [e for _c, _t, e in support.issues(other)]) == (422, ["Composition.status"])


def test_release_of_nothing_is_404(gateway: Gateway, processed: dict[str, Processed]) -> None:
    answer = release(gateway, {"id": "nothing"}, processed["sinusitis"].references["Practitioner"])
    assert (answer.status_code, support.issues(answer)[0][0]) == (404, "not-found")


def test_a_replaced_draft_cannot_be_released(gateway: Gateway) -> None:
    first = fresh(gateway, "cystitis")
    references = first.references
    text = "Ärztin: Der Urin ist unauffällig, die Blasenentzündung ist ausgeheilt.\nPatientin: Das freut mich sehr.\n"
    gateway.post("DocumentReference", support.document(references["Encounter"], references["Patient"], text.encode()))
    assert gateway.ended(references["Encounter"], runs=2)["status"] == "completed"
    answer = release(gateway, first.composition(NOTE), references["Practitioner"])
    assert answer.status_code == 422
    assert [(code, expression) for code, _text, expression in support.issues(answer)] == [
        ("business-rule", "Composition.status")
    ]


def test_every_access_leaves_an_audit_event(gateway: Gateway, processed: dict[str, Processed]) -> None:
    patient = processed["migraine"].references["Patient"]
    gateway.get(patient)

    def seen() -> list[str] | None:
        actions = sorted(event["action"] for event in gateway.found("AuditEvent", entity=patient))
        return actions if "R" in actions else None

    assert support.poll(seen, "the AuditEvent of a read") == ["C", "R"]


def test_health_metrics_and_logs_tell_no_word_of_a_patient(gateway: Gateway, processed: dict[str, Processed]) -> None:
    health = httpx.get(gateway.address("/healthz"), trust_env=False)
    ready = httpx.get(gateway.address("/readyz"), trust_env=False)
    metrics = httpx.get(gateway.address("/metrics"), trust_env=False)
    assert [answer.status_code for answer in (health, ready, metrics)] == [200, 200, 200]
    assert metrics.headers["content-type"].startswith("text/plain")
    completed = re.search(r'^fhir_gateway_runs_total\{state="completed"\} (\S+)$', metrics.text, re.MULTILINE)
    assert completed
    assert float(completed[1]) >= len(CASES)
    for stage in ("gather", "scribe", "code", "check", "bill", "write_back"):
        assert f'fhir_gateway_stage_seconds_count{{stage="{stage}"}}' in metrics.text
    lines = gateway.log_text().splitlines()
    assert lines
    for line in lines:
        assert {"event", "level", "timestamp"} <= json.loads(line).keys()
    engine = [name for (name,) in gateway.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
              if name not in OUR_TABLES]  # fmt: skip
    assert "workflow_status" in engine
    in_engine = " ".join(str(row) for table in engine for row in gateway.rows(f'SELECT * FROM "{table}"'))  # noqa: S608
    told = set(re.findall(r"\w{7,}", f"{metrics.text} {gateway.log_text()} {in_engine}".casefold()))
    spoken = {word for one in processed.values() for word in re.findall(r"\w{7,}", one.transcript.casefold())}
    assert told & (spoken | {"musterkasse", "beispiel"}) == set()
    names = re.compile(r"\b(Muster|Beispiel|Lindner)\b")
    assert not names.search(f"{metrics.text} {gateway.log_text()} {in_engine}")
