"""A run as a Task: what it works on, how far it is, what came out, why it failed. https://hl7.org/fhir/R4/task.html"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from mappers import fhir_names
from mappers.results_to_fhir import links
from pipeline import results

#: Task.status of each state of a run.
STATUS: Final = {
    "waiting": "on-hold",
    "queued": "requested",
    "running": "in-progress",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}


@dataclass(frozen=True, slots=True)
class Run:
    """What a Task tells of a run. References are Type/id, times FHIR instants; `notes` are German sentences, `refused`
    the proposals that did not hold, `unserved` the stages whose models were asked in vain.
    """

    id: str
    encounter: str
    patient: str | None
    sources: tuple[str, ...]
    focus: str
    state: str
    created: str
    updated: str
    stage: str | None = None
    reason: str | None = None
    outputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: Iterable[str] = ()
    refused: Iterable[results.Rejected] = ()
    unserved: Iterable[str] = ()


def build(run: Run) -> links.Json:
    """The Task of a run."""
    outputs = [*_references(run.outputs), *map(_unserved, run.unserved), *map(_refused, run.refused)]
    return {
        "resourceType": "Task",
        "id": run.id,
        "identifier": [{"system": fhir_names.RUN_IDS, "value": run.id}],
        "status": STATUS[run.state],
        **({"statusReason": {"text": run.reason}} if run.reason else {}),
        **({"businessStatus": _stage(run.stage)} if run.stage else {}),
        "intent": "order",
        "code": links.concept(links.coding(fhir_names.TASK_CODES, fhir_names.DOCUMENT_ENCOUNTER)),
        "focus": {"reference": run.focus},
        **({"for": {"reference": run.patient}} if run.patient else {}),
        "encounter": {"reference": run.encounter},
        "authoredOn": run.created,
        "lastModified": run.updated,
        **({"note": [{"text": note} for note in run.notes]} if run.notes else {}),
        **(
            {"input": [{"type": {"text": "source"}, "valueReference": {"reference": source}} for source in run.sources]}
            if run.sources
            else {}
        ),
        **({"output": outputs} if outputs else {}),
    }  # fmt: skip


def _stage(stage: str) -> links.Json:
    return links.concept(links.coding(fhir_names.STAGE_CODES, stage), text=stage)


def _references(outputs: Mapping[str, tuple[str, ...]]) -> list[links.Json]:
    return [
        {
            "type": links.concept(links.coding(fhir_names.OUTPUT_CODES, kind)),
            "valueReference": {"reference": reference},
        }
        for kind, references in outputs.items()
        for reference in references
    ]


def _unserved(stage: str) -> links.Json:
    """A stage that a person must look at: no model gave an answer of use."""
    kind = links.coding(fhir_names.OUTPUT_CODES, "needs-human")
    return {"type": links.concept(kind, links.coding(fhir_names.STAGE_CODES, stage)), "valueCode": stage}


def _refused(item: results.Rejected) -> links.Json:
    """A proposal that did not hold, by its stage, the check that it failed and the harm that it would have done."""
    codes = [links.coding(fhir_names.OUTPUT_CODES, "refused"), links.coding(fhir_names.STAGE_CODES, item.stage)]
    if item.check is not None:
        codes.append(links.coding(fhir_names.CHECK_CODES, item.check))
    if item.harm is not None:
        codes.append(links.coding(fhir_names.HARM_CODES, item.harm))
    return {"type": links.concept(*codes), "valueString": f"{item.proposal} – {item.reason}"}
