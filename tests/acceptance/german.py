"""The German messages of the site beispielklinik, on their way into a gateway, and what one asks of it afterwards."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

from mappers import fhir_names
from profiles import base
from tests import support
from tests.acceptance import hl7v2
from tests.acceptance.hl7v2 import Answer
from tests.support import Gateway, Json

SITES = support.ROOT / "mappers" / "v2_to_fhir" / "sites"
FOLDER = SITES / "beispielklinik"
CONFIG = f'[hl7v2]\nsites = "{SITES}"\n'

SID = "https://beispielklinik.example/sid"
PATIENTS, CASES, DOCUMENTS, DIAGNOSES = f"{SID}/patient", f"{SID}/fall", f"{SID}/dokument", f"{SID}/diagnose"
HOUSE_CODES = "https://beispielklinik.example/CodeSystem"


def names() -> list[str]:
    """The names of the messages in the order in which the house sent them."""
    return sorted(path.stem for path in FOLDER.glob("*.hl7"))


def message(name: str) -> bytes:
    """A message by the beginning of its name (`02`), as it goes over the wire."""
    (path,) = FOLDER.glob(f"{name}*.hl7")
    return path.read_bytes()


def header(message: bytes) -> list[str]:
    """MSH split into its fields: [n] is MSH-n, for n from 2."""
    return ["", *message.split(b"\r")[0].decode("latin-1").split("|")]


def sent(gateway: Gateway, messages: Sequence[bytes]) -> list[Answer]:
    """Send them over one connection, one after the other; their answers once all are mapped."""
    with hl7v2.Line(gateway.mllp_port) as line:
        answers = [line.ask(one) for one in messages]
    hl7v2.all_settled(gateway)
    return answers


def not_mapped(gateway: Gateway) -> list[tuple[str, str | None]]:
    """Event and reason of each message that is not in the store as it should be."""
    return [(row[0], row[1]) for row in gateway.rows("SELECT event, reason FROM message WHERE state != 'mapped'")]


def one(gateway: Gateway, resource_type: str, identifier: str) -> Json:
    """The one resource with this identifier (`system|value`)."""
    (found,) = gateway.found(resource_type, identifier=identifier)
    return found


def encounter(gateway: Gateway, case: str) -> Json:
    """The encounter of a case number."""
    return one(gateway, "Encounter", f"{CASES}|{case}")


def patient(gateway: Gateway, number: str) -> Json:
    """The patient of a patient number."""
    return one(gateway, "Patient", f"{PATIENTS}|{number}")


def document(gateway: Gateway, number: str) -> Json:
    """The document of a document number."""
    return one(gateway, "DocumentReference", f"{DOCUMENTS}|{number}")


def whereabouts(encounter: Json) -> list[tuple[str, str | None, str | None, str | None]]:
    """Place (PL), status, start and end of each location."""
    return [
        (
            item["location"]["identifier"]["value"],
            item.get("status"),
            item.get("period", {}).get("start"),
            item.get("period", {}).get("end"),
        )
        for item in encounter.get("location", [])
    ]


def standing(encounter: Json) -> Json:
    """What of an encounter must not depend on the order in which its messages came."""
    return {
        "status": encounter["status"],
        "class": encounter["class"]["code"],
        "before": [(past["class"]["code"], past["period"]) for past in encounter.get("classHistory", [])],
        "period": encounter.get("period"),
        "whereabouts": whereabouts(encounter),
    }


def participants(encounter: Json) -> dict[str, str]:
    """Kind of participation to the number of who takes part."""
    return {
        item["type"][0]["coding"][0]["code"]: item["individual"]["identifier"]["value"]
        for item in encounter.get("participant", [])
    }


def extension(element: Json, url: str) -> Json:
    """The one extension with this url."""
    (found,) = [item for item in element.get("extension", []) if item["url"] == url]
    return found


def codes(concept: Json) -> set[tuple[str | None, str]]:
    """System and code of each coding."""
    return {(coding.get("system"), coding["code"]) for coding in concept["coding"]}


def said_with(condition: Json) -> Json:
    """What stands behind an ICD-10-GM code: the url of each extension's last part to its code."""
    (coding,) = [item for item in condition["code"]["coding"] if item.get("system") == fhir_names.ICD_10_GM]
    return {
        item["url"].rsplit("/", 1)[1]: (item["valueCoding"]["system"], item["valueCoding"]["code"])
        for item in coding.get("extension", [])
    }


def diagnosis(gateway: Gateway, number: str) -> Json:
    """The condition of a diagnosis number (DG1-20)."""
    return one(gateway, "Condition", f"{DIAGNOSES}|{number}")


def reference(resource: Json) -> str:
    """Type/id."""
    return f"{resource['resourceType']}/{resource['id']}"


def stored_types(gateway: Gateway) -> set[str]:
    """The types of all resources in the store."""
    return {row[0] for row in gateway.rows("SELECT DISTINCT type FROM resource_version")}


def everything(gateway: Gateway) -> Iterator[Json]:
    """Every resource that the gateway serves, as it serves it."""
    served = {item["type"] for item in gateway.get("metadata")["rest"][0]["resource"]}
    for resource_type, resource_id in gateway.rows("SELECT DISTINCT type, id FROM resource_version ORDER BY type, id"):
        response = gateway.http.get(f"{resource_type}/{resource_id}") if resource_type in served else None
        if response is not None and response.status_code != 410:
            assert response.status_code == 200, response.text
            yield support.decode(response)


def base_faults(resources: Sequence[Json]) -> list[str]:
    """What the base check says against them."""
    return [
        f"{reference(resource)}: {fault.expression}: {fault.text}"
        for resource in resources
        for fault in base.faults(resource)
        if fault.severity == "error"
    ]


def foreign_faults(resources: Sequence[Json], peers: Path, folder: Path) -> str:
    """What the two validators that nobody here wrote say against them; empty when nothing."""
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": f"http://localhost/fhir/{reference(item)}", "resource": item} for item in resources],
    }
    path = folder / "served.json"
    path.write_bytes(support.encode(bundle))
    done = subprocess.run(
        ["node", "validate.mjs", str(path)], cwd=peers, capture_output=True, text=True, timeout=300, check=False
    )
    return done.stdout + done.stderr


def golden(name: str) -> Json:
    """What a message becomes, as it was accepted."""
    (path,) = FOLDER.glob(f"{name}*.json")
    found: Json = json.loads(path.read_text("utf-8"), parse_float=Decimal)
    return found
