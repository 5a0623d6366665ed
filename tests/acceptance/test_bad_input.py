"""Bad input: each kind has one clear answer, and nothing that was received is lost."""

from __future__ import annotations

import socket
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import support
from tests.support import Gateway, Json

CHATTER = "Ärztin: Guten Tag.\nPatientin: Guten Tag, schön, dass Sie da sind.\nÄrztin: Auf Wiedersehen.\n"
ENGLISH = "Doctor: Good morning. What can I do for you?\nPatient: I have had a cough and a fever for three days.\n" * 5
GERMAN = "Ärztin: Was fehlt Ihnen?\nPatientin: Ich habe seit drei Tagen Husten und Fieber.\n"
RESULTS = ("Composition", "Condition", "Claim", "Provenance", "DetectedIssue")

Issue = tuple[str, str, str | None]


def encounter_of(gateway: Gateway, patient: str | None = None) -> tuple[str, str]:
    """A new patient (or the given one) with a new encounter: their references."""
    if patient is None:
        patient = created(gateway, {"resourceType": "Patient", "name": [{"family": "Probe"}]})
    encounter = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"},
                 "subject": {"reference": patient}, "period": {"start": "2026-03-04T09:00:00+01:00"}}  # fmt: skip
    return created(gateway, encounter), patient


def created(gateway: Gateway, resource: Json) -> str:
    """Type/id of a resource that is created now."""
    answer = gateway.post(resource["resourceType"], resource)
    assert answer.status_code == 201, answer.text
    return f"{resource['resourceType']}/{support.decode(answer)['id']}"


def total(gateway: Gateway, resource_type: str) -> int:
    found: int = gateway.get(resource_type)["total"]
    return found


def transaction(*resources: Json) -> Json:
    entries = [{"resource": r, "request": {"method": "POST", "url": r["resourceType"]}} for r in resources]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


PATIENT: Json = {"resourceType": "Patient", "name": [{"family": "Probe"}]}


@pytest.mark.parametrize("path", ["", "Patient"])
@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{not json %d", "The body is not JSON"),
        (b"", "The body is not JSON"),
        (
            b'{"resourceType": "Patient", "gender": "male", "gender": "female"}',
            "An object in the body has a key twice",
        ),
        (b'{"resourceType": "Patient"', "The body is not JSON"),
        (b'{"resourceType": "Patient", "name": [{"family": "M\xfcller"}]}', "The body is not UTF-8"),
        (b"[1, 2, 3]", "The body is not a JSON object."),
        (b"MSH|^~\\&|KIS|HAUS", "The body is not JSON"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "The body is "),
    ],
    ids=["broken", "empty", "a key twice", "cut off", "Latin-1", "an array", "HL7 v2", "deeply nested"],
)
def test_what_is_not_json_is_400_and_kept(gateway: Gateway, path: str, body: bytes, text: str) -> None:
    before = len(gateway.kept(body))
    answer = gateway.post(path, body)
    assert answer.status_code == 400
    ((code, told, expression),) = support.issues(answer)
    assert (code, expression) == ("structure", None)
    assert told.startswith(text)
    assert "M" + "üller" not in told
    assert gateway.kept(body)[before:] == ([400] if body else [])


def test_another_format_is_415_and_kept(gateway: Gateway) -> None:
    body = b"Nachname;Probe"
    answer = gateway.http.post("Patient", content=body, headers={"Content-Type": "text/csv"})
    text = "The gateway reads application/fhir+json and application/fhir+xml."
    assert (answer.status_code, support.issues(answer)) == (415, [("not-supported", text, None)])
    assert gateway.kept(body) == [415]


@pytest.mark.parametrize(
    ("bad", "status", "code", "expression"),
    [
        ({"resourceType": "Patient", "gender": "weiblich"}, 400, "code-invalid", "resource.gender"),
        ({"resourceType": "Patient", "birthDate": "12.03.1980"}, 400, "value", "resource.birthDate"),
        ({"resourceType": "Patient", "vorname": "Kim"}, 400, "structure", "resource.vorname"),
        ({"resourceType": "Encounter", "status": "finished"}, 400, "required", "resource.class"),
        ({"resourceType": "Patient", "name": {"family": "Probe"}}, 400, "structure", "resource.name"),
        ({"resourceType": "AuditEvent", "action": "C"}, 400, "not-supported", "resource"),
        ({"resourceType": "Patientin"}, 400, "not-supported", "request.url"),
        ({"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"},
          "subject": {"reference": "urn:uuid:00000000-0000-4000-8000-000000000000"}},
         400, "not-found", "resource.subject.reference"),
        ({"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"},
          "subject": {"reference": "Practitioner/1"}}, 400, "invalid", "resource.subject.reference"),
    ],
    ids=["code", "date", "unknown element", "missing element", "cardinality", "an audit row", "unknown type",
         "unknown urn", "wrong target"],
)  # fmt: skip
def test_a_bundle_with_one_bad_entry_is_refused_whole_and_kept(
    gateway: Gateway, bad: Json, status: int, code: str, expression: str
) -> None:
    before = total(gateway, "Patient")
    body = support.encode(transaction(PATIENT, bad, PATIENT))
    answer = gateway.post("", body)
    assert answer.status_code == status
    assert [(c, e) for c, _text, e in support.issues(answer)] == [(code, f"Bundle.entry[1].{expression}")]
    assert total(gateway, "Patient") == before
    assert gateway.kept(body)[-1] == status


def test_every_fault_of_every_entry_is_told_at_once(gateway: Gateway) -> None:
    answer = gateway.post("", transaction({**PATIENT, "gender": "x"}, {**PATIENT, "birthDate": "x", "active": "ja"}))
    assert sorted(str(e) for _c, _t, e in support.issues(answer)) == [
        "Bundle.entry[0].resource.gender", "Bundle.entry[1].resource.active", "Bundle.entry[1].resource.birthDate",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "status", "code", "expression"),
    [
        ({"type": "document"}, 400, "value", "Bundle.type"),
        ({"type": None}, 400, "value", "Bundle.type"),
        ({"entry": {}}, 400, "structure", "Bundle.entry"),
        ({"entry": [7]}, 400, "structure", "Bundle.entry[0]"),
        ({"entry": [{"resource": PATIENT}]}, 400, "required", "Bundle.entry[0].request"),
        ({"resourceType": "Patient"}, 400, "invalid", "Bundle.resourceType"),
        ({"entry": [{"request": {"method": "DELETE", "url": "metadata"}}]}, 400, "not-supported",
         "Bundle.entry[0].request.method"),
        ({"entry": [{"resource": PATIENT, "request": {"method": "PUT", "url": "Patient"}}]}, 412, "multiple-matches",
         "Bundle.entry[0].request.url"),
    ],
    ids=["type", "no type", "entry no array", "entry no object", "no request", "no Bundle", "DELETE", "url"],
)  # fmt: skip
def test_a_broken_envelope_is_refused(
    gateway: Gateway, change: dict[str, Any], status: int, code: str, expression: str
) -> None:
    bundle = {name: value for name, value in {**transaction(PATIENT), **change}.items() if value is not None}
    answer = gateway.post("", bundle)
    assert answer.status_code == status
    assert (code, expression) in [(c, e) for c, _text, e in support.issues(answer)]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_an_unknown_resource_type_is_404(gateway: Gateway, method: str) -> None:
    path = "Patientin/1" if method == "PUT" else "Patientin"
    body = b'{"resourceType": "Patientin", "id": "1"}' if method != "GET" else None
    answer = gateway.http.request(method, path, content=body, headers=support.FHIR_JSON)
    assert answer.status_code == 404
    assert support.issues(answer) == [("not-supported", "The resource type Patientin is not supported.", None)]


@pytest.mark.parametrize("address", ["/fhir/Patient/1/$everything", "/fhir/a/b/c/d", "/nothing", "/fhir/a"])
def test_an_unknown_address_is_an_operation_outcome(gateway: Gateway, address: str) -> None:
    answer = httpx.get(gateway.address(address), trust_env=False)
    assert answer.status_code in (404, 405)
    assert support.issues(answer)[0][0] in ("not-found", "not-supported")


def test_a_body_of_50_mb_is_413(gateway: Gateway) -> None:
    answer = gateway.post("", b" " * 50_000_000)
    assert answer.status_code == 413
    assert [(code, expression) for code, _text, expression in support.issues(answer)] == [("too-long", None)]
    assert gateway.is_ready()


def test_a_body_of_50_mb_in_chunks_is_413(gateway: Gateway) -> None:
    answer = gateway.http.post("", content=(b" " * 1_000_000 for _ in range(53)), headers=support.FHIR_JSON)
    assert answer.status_code == 413
    assert support.issues(answer)[0][0] == "too-long"
    assert gateway.is_ready()


def test_the_limit_is_configurable(tmp_path: Path) -> None:
    with support.running(tmp_path / "data", "[rest]\nmax_body_megabytes = 1\nmax_bundle_entries = 2\n") as gateway:
        body = b" " * 1_048_577
        answer = gateway.post("Patient", body)
        text = "The body is larger than 1 MB, the limit that rest.max_body_megabytes sets."
        assert (answer.status_code, support.issues(answer)) == (413, [("too-long", text, None)])
        assert gateway.post("", transaction(PATIENT, PATIENT)).status_code == 200
        answer = gateway.post("", transaction(PATIENT, PATIENT, PATIENT))
        text = "A Bundle has at most 2 entries."
        assert (answer.status_code, support.issues(answer)) == (413, [("too-costly", text, "Bundle.entry")])


@pytest.mark.parametrize(
    ("content", "content_type", "reason"),
    [
        (b"   \n\t \r\n", "text/plain", "The transcript holds no text."),
        ("\ufeff \u00a0\u2003".encode(), "text/plain", "The transcript holds no text."),
        (ENGLISH.encode(), "text/plain", "language not supported: the transcript is not German."),
        (None, "text/plain", "The transcript cannot be read: the attachment has no data."),
        ("Ärztin: Grüß Gott".encode("latin-1"), "text/plain", "The transcript is not valid UTF-8."),
        ("Ärztin: Grüß Gott".encode("latin-1"), "text/plain; charset=utf-8", "The transcript is not valid UTF-8."),
        (b"Guten Tag", "text/plain; charset=klingon", "The transcript's character set is not known."),
        (b"RIFF", "audio/wav", "The recording cannot be transcribed: no speech recogniser is configured."),
    ],
    ids=["blank", "blank with a BOM", "English", "no data", "Latin-1", "Latin-1 called UTF-8", "unknown charset",
         "audio"],
)  # fmt: skip
def test_a_transcript_that_cannot_be_used_ends_its_run_with_the_reason(
    gateway: Gateway, content: bytes | None, content_type: str, reason: str
) -> None:
    encounter, patient = encounter_of(gateway)
    source = created(gateway, support.document(encounter, patient, content, content_type))
    task = gateway.ended(encounter)
    assert (task["status"], task["statusReason"]["text"]) == ("failed", reason)
    assert "output" not in task
    for resource_type in RESULTS[:3]:
        assert gateway.found(resource_type, patient=patient) == []
    assert gateway.get(source)["content"][0]["attachment"]["contentType"] == content_type


def test_a_transcript_with_its_charset_named_is_read(gateway: Gateway) -> None:
    encounter, patient = encounter_of(gateway)
    created(gateway, support.document(encounter, patient, GERMAN.encode("latin-1"), "text/plain; charset=iso-8859-1"))
    assert gateway.ended(encounter)["status"] == "completed"


@pytest.mark.parametrize(
    ("attachment", "code", "expression"),
    [
        ({"contentType": "text/plain", "data": "Grüß Gott, das ist kein base64!"}, "value", "attachment.data"),
        ({"contentType": "text/plain", "data": "AAA"}, "value", "attachment.data"),
        ({"contentType": "text/plain", "data": ""}, "value", "attachment.data"),
        ({"contentType": "text/plain", "data": 7}, "structure", "attachment.data"),
        ({}, "structure", "attachment"),
        (None, "required", "attachment"),
    ],
    ids=["not base64", "cut off", "zero characters", "a number", "empty", "missing"],
)
def test_an_attachment_that_is_not_valid_is_400_and_kept(
    gateway: Gateway, attachment: Json | None, code: str, expression: str
) -> None:
    encounter, patient = encounter_of(gateway)
    source = support.document(encounter, patient, b"")
    source["content"] = [{"format": {"code": "x"}} if attachment is None else {"attachment": attachment}]
    body = support.encode(source)
    answer = gateway.post("DocumentReference", body)
    assert answer.status_code == 400
    assert (code, f"DocumentReference.content[0].{expression}") in [(c, e) for c, _t, e in support.issues(answer)]
    assert gateway.kept(body) == [400]
    assert gateway.tasks(encounter) == []


def test_a_conversation_without_clinical_content_makes_an_empty_note_and_invents_nothing(gateway: Gateway) -> None:
    encounter, patient = encounter_of(gateway)
    created(gateway, support.document(encounter, patient, CHATTER.encode()))
    task = gateway.ended(encounter)
    assert task["status"] == "completed"
    note = next(r for r in gateway.outputs(task) if "11506-3" in str(r.get("type")))
    assert ["Keine Angaben." in section["text"]["div"] for section in note["section"]] == [True] * 4
    assert [section["emptyReason"]["coding"][0]["code"] for section in note["section"]] == ["unavailable"] * 4
    kinds = {output["type"]["coding"][0]["code"] for output in task["output"]}
    assert not kinds & {"condition", "claim", "warning"}


@pytest.mark.parametrize("way", ["create", "transaction"])
def test_an_encounter_of_another_patient_is_422(gateway: Gateway, way: str) -> None:
    encounter, _patient = encounter_of(gateway)
    source = support.document(encounter, created(gateway, PATIENT), GERMAN.encode())
    body = support.encode(source if way == "create" else transaction(source))
    answer = gateway.post("DocumentReference" if way == "create" else "", body)
    at = "DocumentReference" if way == "create" else "Bundle.entry[0].resource"
    text = "The encounter belongs to another patient than this resource."
    assert (answer.status_code, support.issues(answer)) == (422, [("business-rule", text, f"{at}.context.encounter")])
    assert gateway.tasks(encounter) == []
    assert gateway.kept(body) == [422]


def test_an_encounter_with_a_run_does_not_go_to_another_patient(gateway: Gateway) -> None:
    encounter, patient = encounter_of(gateway)
    created(gateway, support.document(encounter, patient, GERMAN.encode()))
    assert gateway.ended(encounter)["status"] == "completed"
    moved = gateway.get(encounter)
    moved["subject"] = {"reference": created(gateway, PATIENT)}
    answer = gateway.put(moved)
    assert answer.status_code == 422
    assert [(c, e) for c, _text, e in support.issues(answer)] == [("business-rule", "Encounter.subject")]
    assert gateway.get(encounter)["subject"] == {"reference": patient}


@pytest.mark.parametrize("number", ["1e999999999", "1e20000000", "-1e-500"])
def test_a_number_that_nothing_can_be_computed_with_is_refused(gateway: Gateway, number: str) -> None:
    body = (
        '{"resourceType":"Observation","status":"final","code":{"text":"Kreatinin"},'
        f'"valueQuantity":{{"value":{number},"unit":"mg/dl"}}}}'
    )
    answer = gateway.post("Observation", body.encode())
    assert answer.status_code == 400
    assert [e for _c, _text, e in support.issues(answer)] == ["Observation.value.value"]


def test_an_encounter_that_turns_out_to_be_another_patients_fails_the_waiting_run(gateway: Gateway) -> None:
    encounter = f"Encounter/{uuid.uuid4()}"
    mine, other = created(gateway, PATIENT), created(gateway, PATIENT)
    created(gateway, support.document(encounter, mine, GERMAN.encode()))
    put_encounter(gateway, encounter, other)
    task = gateway.ended(encounter)
    reason = "A source belongs to another patient than the Encounter."
    assert (task["status"], task["statusReason"]["text"]) == ("failed", reason)


def put_encounter(gateway: Gateway, encounter: str, patient: str) -> None:
    resource = {"resourceType": "Encounter", "id": encounter.split("/")[1], "status": "finished",
                "class": {"code": "AMB"}, "subject": {"reference": patient}}  # fmt: skip
    assert gateway.put(resource).status_code == 201


def test_a_document_waits_for_its_encounter_and_the_encounter_starts_the_run(gateway: Gateway) -> None:
    encounter, patient = f"Encounter/{uuid.uuid4()}", created(gateway, PATIENT)
    created(gateway, support.document(encounter, patient, GERMAN.encode()))
    (task,) = gateway.tasks(encounter)
    reason = f"Waits for {encounter}, which has not been received yet."
    assert (task["status"], task["statusReason"]["text"]) == ("on-hold", reason)
    put_encounter(gateway, encounter, patient)
    ended = gateway.ended(encounter)
    assert (ended["status"], ended["id"]) == ("completed", task["id"])
    assert "statusReason" not in ended


def test_a_patient_who_is_not_known_is_not_invented(gateway: Gateway) -> None:
    encounter, patient = encounter_of(gateway, "Patient/nobody-here")
    created(gateway, support.document(encounter, patient, GERMAN.encode()))
    assert gateway.ended(encounter)["status"] == "completed"
    assert gateway.http.get(patient).status_code == 404


def test_the_same_bundle_twice_is_one_run_and_the_same_answer(gateway: Gateway) -> None:
    body = support.encode(support.case_bundle("cystitis"))
    before = total(gateway, "Patient")
    first, second = gateway.post("", body), gateway.post("", body)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.content == second.content
    encounter = support.references(support.decode(first))["Encounter"]
    done = gateway.ended(encounter)
    assert gateway.post("", body).content == first.content
    assert gateway.ended(encounter) == done
    assert total(gateway, "Patient") == before + 1
    assert gateway.kept(body)[0] == 200


def test_the_same_bundle_at_once_is_one_run_and_the_same_answer(gateway: Gateway) -> None:
    body = support.encode(support.case_bundle("cystitis"))
    before = total(gateway, "Patient")
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _number: gateway.post("", body), range(8)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    gateway.ended(support.references(support.decode(answers[0]))["Encounter"])
    assert total(gateway, "Patient") == before + 1


@pytest.mark.parametrize("body", [b"", b"{}", b'{"resourceType": "Parameters"}'])
def test_process_without_a_source_is_422(gateway: Gateway, body: bytes) -> None:
    encounter, _patient = encounter_of(gateway)
    answer = gateway.post(f"{encounter}/$process", body)
    text = "The encounter has no transcript and no recording to work on."
    assert (answer.status_code, support.issues(answer)) == (422, [("business-rule", text, "Encounter")])


def test_process_of_an_unknown_encounter_is_404(gateway: Gateway) -> None:
    answer = gateway.post("Encounter/nothing/$process", b"")
    assert (answer.status_code, support.issues(answer)) == (
        404, [("not-found", "There is no Encounter/nothing.", None)]
    )  # fmt: skip


def refused(*arguments: str | Path) -> str:
    """The one sentence beside the JSON logs on stderr of a command that ends with exit code 2."""
    done = support.command(*arguments)
    assert (done.returncode, done.stdout) == (2, ""), (done.returncode, done.stdout, done.stderr)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])
def test_without_a_security_section_only_loopback_is_bound(tmp_path: Path, host: str) -> None:
    told = refused("serve", "--host", host, "--port", "0", "--mllp-port", "0", "--data", tmp_path / "data")
    assert told == f"Without a [security] section the gateway listens on loopback only, not on {host}."
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("[server]\nprot = 8080\n", "In gateway.toml, server.prot: Extra inputs are not permitted."),
        ("[sever]\nport = 8080\n", "In gateway.toml, sever: Extra inputs are not permitted."),
        ("[server]\nport = 'x'\n", "In gateway.toml, server.port: Input should be a valid integer, unable to parse"),
        ("[runs]\nattempts = 0\n", "In gateway.toml, runs.attempts: Input should be greater than 0."),
        ("[server\n", "gateway.toml is not TOML: "),
    ],
    ids=["unknown key", "unknown section", "wrong type", "out of range", "not TOML"],
)
def test_a_configuration_that_cannot_be_used_stops_the_start(tmp_path: Path, toml: str, told: str) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(toml, "utf-8")
    sentence = refused("serve", "--config", config, "--port", "0", "--mllp-port", "0", "--data", tmp_path / "data")
    assert sentence.removeprefix(f"{tmp_path}/").startswith(told)
    assert not (tmp_path / "data").exists()


def test_a_configuration_file_that_is_missing_stops_the_start(tmp_path: Path) -> None:
    told = refused("serve", "--config", tmp_path / "none.toml", "--data", tmp_path / "data")
    assert told == f"{tmp_path / 'none.toml'} cannot be read: No such file or directory."


def test_a_second_process_on_the_same_data_folder_is_refused(gateway: Gateway) -> None:
    told = refused("serve", "--port", "0", "--mllp-port", "0", "--data", gateway.data)
    assert told == "Another gateway process holds this data folder or database. End it, or give this one its own."
    assert gateway.is_ready()


@pytest.mark.parametrize(("option", "port"), [("--port", "The port"), ("--mllp-port", "The MLLP port")])
def test_a_busy_port_is_refused(tmp_path: Path, option: str, port: str) -> None:
    ports = {"--port": "0", "--mllp-port": "0"}
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        number = str(busy.getsockname()[1])
        arguments = [part for pair in {**ports, option: number}.items() for part in pair]
        told = refused("serve", *arguments, "--data", tmp_path / "data")
    assert told.startswith(f"{port} {number} ")
    assert "cannot be opened: Address already in use" in told
