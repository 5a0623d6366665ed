"""What each stage of a run does: load what it needs, let the pipeline work, keep what it said."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import sqlalchemy as sa

from fhir_gateway import errors
from fhir_gateway.ehr import client as ehr_client
from fhir_gateway.ehr import write_back as ehr_write_back
from fhir_gateway.messages import results as message_results
from fhir_gateway.runs import register, task_notes, write_back
from fhir_gateway.search import values
from fhir_gateway.store import codec, database, resources
from fhir_gateway.store import search as store_search
from mappers import consultation_from_fhir
from mappers.results_to_fhir import links, released
from pipeline import clinical, consultation, documenting, flow, results, segments
from pipeline.engines import serving
from pipeline.stages import read_document, scribe

if TYPE_CHECKING:
    from fhir_gateway.app import Gateway

Model = TypeVar("Model", bound=clinical.Clinical)

#: What belongs to a patient's record, with the search parameter that finds it.
_RECORD = {
    "AllergyIntolerance": "patient",
    "Condition": "patient",
    "MedicationStatement": "patient",
    "MedicationRequest": "patient",
    "Observation": "patient",
}


class Gathered(clinical.Clinical):
    """The consultation with the references that the results will need."""

    consultation: consultation.Consultation
    patient: str
    sources_key: str
    coverage: str | None
    provider: str | None
    practitioner: str | None


class Written(clinical.Clinical):
    """What was written back: references by kind, and what the Task tells."""

    outputs: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]
    refused: tuple[results.Rejected, ...] = ()
    unserved: tuple[str, ...] = ()


Result = clinical.Clinical


async def gather(gateway: Gateway, run: register.Run) -> Gathered:
    """The consultation from the store, and from the EHR when one is configured."""
    found = await gateway.database.read(lambda connection: _from_store(connection, run))
    if gateway.ehr is not None:
        found = await ehr_client.complete(gateway.ehr, run.encounter, found, _RECORD)
    encounter = found.get(f"Encounter/{run.encounter}")
    if encounter is None:
        raise clinical.StageRefused(f"Encounter/{run.encounter} is not known.")
    patient = encounter.get("subject", {}).get("reference")
    if not isinstance(patient, str):
        raise clinical.StageRefused("The Encounter names no patient.")
    sources = [found[reference] for reference in run.sources if reference in found]
    persons = _persons(found, patient)
    if any(_subject(source) not in (None, *persons) for source in sources):
        raise clinical.StageRefused("A source belongs to another patient than the Encounter.")
    coverages = [resource for resource in found.values() if resource["resourceType"] == "Coverage"]
    built = consultation_from_fhir.build(
        encounter,
        patient=found.get(patient),
        coverages=coverages,
        record=[
            r for r in found.values() if r["resourceType"] in (*_RECORD, "Medication") and not released.is_produced(r)
        ],
        sources=sources,
    )
    return Gathered(
        consultation=built,
        patient=patient,
        sources_key=_sources_key(built.sources),
        coverage=next((consultation_from_fhir.reference(c) for c in coverages if c.get("status") == "active"), None),
        provider=_provider(encounter),
        practitioner=_practitioner(encounter),
    )


def _subject(source: codec.Resource) -> str | None:
    reference = source.get("subject", {}).get("reference")
    return "/".join(values.split_reference(reference)) if isinstance(reference, str) else None


def _from_store(connection: sa.Connection, run: register.Run) -> dict[str, codec.Resource]:
    found: dict[str, codec.Resource] = {}
    for reference in (f"Encounter/{run.encounter}", *run.sources):
        stored = resources.read(connection, *reference.split("/"))
        if stored is not None and stored.body is not None:
            found[reference] = stored.resource
    subject = found.get(f"Encounter/{run.encounter}", {}).get("subject", {}).get("reference")
    if isinstance(subject, str):
        found |= _same_person(connection, subject)
        for person in _persons(found, subject):
            for resource_type, parameter in (*_RECORD.items(), ("Coverage", "beneficiary")):
                for stored in store_search.by_reference(connection, resource_type, parameter, *_split(person)):
                    found[f"{stored.type}/{stored.id}"] = stored.resource
        for reference in [r for item in found.values() for r in values.at(item, "medicationReference.reference")]:
            stored = resources.read(connection, *values.split_reference(str(reference)))
            if stored is not None and stored.body is not None:
                found[f"{stored.type}/{stored.id}"] = stored.resource
    return found


def _split(reference: str) -> tuple[str, str]:
    resource_type, resource_id = values.split_reference(reference)
    return resource_type, resource_id


def _linked(patient: codec.Resource) -> list[str]:
    """The other records of the same person: those that a merge replaced, and the one that replaced this one."""
    links = [link for link in patient.get("link", []) if link.get("type") in ("replaces", "replaced-by")]
    return ["/".join(_split(str(reference))) for reference in values.at({"link": links}, "link.other.reference")]


def _same_person(connection: sa.Connection, subject: str) -> dict[str, codec.Resource]:
    """A patient with all records that merges have joined to it: an allergy is known of the person, not of a number."""
    found: dict[str, codec.Resource] = {}
    waiting = [subject]
    while waiting:
        reference = waiting.pop()
        stored = resources.present(connection, *_split(reference)) if reference not in found else None
        if stored is not None:
            found[reference] = stored.resource
            waiting += _linked(stored.resource)
    return found


def _persons(found: dict[str, codec.Resource], subject: str) -> list[str]:
    """The references of one person: the subject, and the records that merges have joined to it."""
    persons = [subject]
    for person in persons:
        persons += [other for other in _linked(found.get(person, {})) if other not in persons]
    return persons


def _sources_key(sources: tuple[consultation.Source, ...]) -> str:
    """The digest of what was documented, whatever the documents are called."""
    contents = {hashlib.sha256(source.content or b"").hexdigest() for source in sources}
    return hashlib.sha256("|".join(sorted(contents)).encode()).hexdigest()


def _provider(encounter: codec.Resource) -> str | None:
    reference = encounter.get("serviceProvider", {}).get("reference")
    return reference if isinstance(reference, str) else _practitioner(encounter)


def _practitioner(encounter: codec.Resource) -> str | None:
    references = values.at(encounter, "participant.individual.reference")
    return next((str(r) for r in references if values.split_reference(str(r))[0] == "Practitioner"), None)


async def _load(gateway: Gateway, run: register.Run, stage: flow.Stage, model: type[Model]) -> Model:
    body = await gateway.database.read(lambda connection: register.output(connection, run.id, stage))
    assert body is not None, f"{stage} has not been finished"
    return model.model_validate_json(body)


class _Hands:
    """The rules engine's slots for one stage of a run, and how long the stage worked, without its waiting."""

    def __init__(self, gateway: Gateway, run: register.Run) -> None:
        self._gateway = gateway
        self._priority = run.number
        self.seconds = 0.0

    async def work(self, work: Callable[..., Any], /, *arguments: Any) -> Any:
        """`work(*arguments)` in a thread, once there is a slot."""
        async with self._gateway.slots.hold(self._priority), asyncio.timeout(self._gateway.settings.runs.stage_seconds):
            begun = time.perf_counter()
            try:
                return await asyncio.to_thread(work, *arguments)
            finally:
                self.seconds += time.perf_counter() - begun

    def setting(self) -> serving.Setting:
        """In what surroundings the stage is worked on."""
        return serving.Setting(self._gateway.models, self._priority, self.work)


async def _read(gateway: Gateway, run: register.Run, hands: _Hands) -> segments.Transcript:
    gathered = await _load(gateway, run, "gather", Gathered)
    return cast("segments.Transcript", await hands.work(read_document.run, gathered.consultation))


async def _scribe(gateway: Gateway, run: register.Run, hands: _Hands) -> results.Note:
    gathered = await _load(gateway, run, "gather", Gathered)
    transcript = await _load(gateway, run, "read", segments.Transcript)
    return await documenting.write_note(hands.setting(), gathered.consultation, transcript)


async def _before(
    gateway: Gateway, run: register.Run
) -> tuple[consultation.Consultation, segments.Transcript, results.Note]:
    gathered = await _load(gateway, run, "gather", Gathered)
    transcript = await _load(gateway, run, "read", segments.Transcript)
    note = await _load(gateway, run, "scribe", results.Note)
    return gathered.consultation, transcript, note


async def _summarise(gateway: Gateway, run: register.Run, hands: _Hands) -> results.PatientSummary:
    return await documenting.write_summary(hands.setting(), *await _before(gateway, run), gateway.documenting)


async def _code(gateway: Gateway, run: register.Run, hands: _Hands) -> results.Coding:
    return await documenting.write_codes(hands.setting(), *await _before(gateway, run))


async def _check(gateway: Gateway, run: register.Run, hands: _Hands) -> results.SafetyCheck:
    return await documenting.check_prescriptions(hands.setting(), *await _before(gateway, run))


class Billed(clinical.Clinical):
    """The biller's answer, or None where the schedule is not known and none may be assumed."""

    billing: results.Billing | None


async def _bill(gateway: Gateway, run: register.Run, hands: _Hands) -> Billed:
    coding = await _load(gateway, run, "code", results.Coding)
    before = await _before(gateway, run)
    return Billed(billing=await documenting.propose_billing(hands.setting(), *before, coding, gateway.documenting))


async def _write_back(gateway: Gateway, run: register.Run) -> Written:
    """Map everything and put it into our own store, in one transaction with the Task and the audit row."""
    gathered = await _load(gateway, run, "gather", Gathered)
    transcript = await _load(gateway, run, "read", segments.Transcript)
    note = await _load(gateway, run, "scribe", results.Note)
    summary = await _load(gateway, run, "summarise", results.PatientSummary)
    coding = await _load(gateway, run, "code", results.Coding)
    checked = await _load(gateway, run, "check", results.SafetyCheck)
    billed = await _load(gateway, run, "bill", Billed)
    earlier = await gateway.database.read(lambda connection: write_back.earlier(connection, run.encounter))
    works = {
        "scribe": note.work,
        "summarise": summary.work,
        "code": coding.work,
        "check": checked.work,
        "bill": billed.billing.work if billed.billing else results.Work(),
    }
    author = gateway.author(works)
    surroundings = links.Links(
        run=run.id,
        encounter=f"Encounter/{run.encounter}",
        patient=gathered.patient,
        recorded=resources.instant(database.now_micros()),
        sources=tuple(source.id for source in gathered.consultation.sources),
        sources_key=gathered.sources_key,
        device=f"Device/{author['id']}",
        transcript=transcript,
        coverage=gathered.coverage,
        provider=gathered.provider,
        practitioner=gathered.practitioner,
        hospital=gathered.consultation.encounter.setting == "hospital",
    )
    made = await asyncio.to_thread(
        write_back.mapped,
        surroundings,
        earlier,
        note=note,
        summary=summary,
        coding=coding,
        check=checked,
        billing=billed.billing,
    )
    await gateway.database.write(lambda unit: write_back.store(unit, gateway, run, [author, *made]))
    scribe.forget()
    unread = tuple(f"Nicht gelesen: {reason}" for reason in transcript.unread)
    told = task_notes.of(gathered.consultation, transcript, note, summary, coding, checked, billed.billing)
    return Written(
        outputs=write_back.outputs(made),
        notes=(*unread, *told),
        refused=task_notes.refused(note, summary, coding, checked, billed.billing),
        unserved=tuple(stage for stage, work in works.items() if work.needs_human),
    )


async def _deliver(gateway: Gateway, run: register.Run) -> Written:
    """Send the results to the EHR when one is configured."""
    await deliver_encounter(gateway, run)
    return await _load(gateway, run, "write_back", Written)


async def deliver_encounter(gateway: Gateway, run: register.Run) -> None:
    """Send everything we proposed for the run's encounter, the withdrawn and the released too, as far as it changed.

    To destinations of HL7 v2 it is queued.
    """
    if gateway.settings.has_receivers:
        made = await gateway.database.read(lambda connection: write_back.for_delivery(connection, run))
        await message_results.queue(gateway, run.encounter, made)
        if gateway.ehr is not None:
            await ehr_write_back.deliver(gateway.ehr, gateway.database, made)


#: The stages that engines serve: each takes slots of theirs.
SERVED: dict[flow.Stage, Callable[[Gateway, register.Run, _Hands], Awaitable[Result]]] = {
    "read": _read,
    "scribe": _scribe,
    "summarise": _summarise,
    "code": _code,
    "check": _check,
    "bill": _bill,
}

#: The gateway's own stages.
OWN: dict[flow.Stage, Callable[[Gateway, register.Run], Awaitable[Result]]] = {
    "gather": gather,
    "write_back": _write_back,
    "deliver": _deliver,
}


async def do(gateway: Gateway, run: register.Run, stage: flow.Stage) -> tuple[Result, int]:
    """The result of a stage and the microseconds that it took, without the waiting for slots."""
    begun = time.perf_counter()
    if stage in OWN:
        async with asyncio.timeout(gateway.settings.runs.stage_seconds):
            result = await OWN[stage](gateway, run)
        return result, int((time.perf_counter() - begun) * 1_000_000)
    hands = _Hands(gateway, run)
    result = await SERVED[stage](gateway, run, hands)
    decoding = sum(attempt.prefill_seconds + attempt.decode_seconds for attempt in _work_of(result).attempts)
    return result, int((hands.seconds + decoding) * 1_000_000)


def read_work(stage: flow.Stage, body: bytes) -> results.Work:
    """Which models were asked for the stored result of a stage."""
    kind = _SERVED_RESULTS.get(stage)
    return results.Work() if kind is None else _work_of(kind.model_validate_json(body))


_SERVED_RESULTS: dict[flow.Stage, type[Result]] = {
    "scribe": results.Note,
    "summarise": results.PatientSummary,
    "code": results.Coding,
    "check": results.SafetyCheck,
    "bill": Billed,
}


def _work_of(result: Result) -> results.Work:
    """Which models were asked for a result."""
    if isinstance(result, Billed):
        return result.billing.work if result.billing else results.Work()
    work = getattr(result, "work", None)
    return work if isinstance(work, results.Work) else results.Work()


def finish(
    unit: database.Unit, gateway: Gateway, run: register.Run, stage: flow.Stage, result: Result, micros: int
) -> None:
    """Keep a stage's output and move the Task on, in one transaction; the last stage completes the run."""
    work = _work_of(result)
    engine = work.model or (gateway.engine_version if stage in SERVED else "gateway")
    unit.after_commit.append(functools.partial(gateway.metrics.asked, stage, work))
    register.ended(unit, run.id, stage)
    register.save_output(unit, run.id, stage, result.model_dump_json().encode(), micros, engine)
    if register.get(unit.connection, run.id).status == "cancelled":
        return
    if stage == "deliver" and isinstance(result, Written):
        outcome = register.Outcome(result.outputs, result.notes, result.refused, result.unserved)
        register.change(unit, run.id, status="completed", stage=stage, outcome=outcome)
        unit.after_commit.append(gateway.metrics.runs.labels("completed").inc)
    else:
        patient = result.patient if isinstance(result, Gathered) else None
        register.change(unit, run.id, status="running", stage=stage, patient=patient)


def public_reason(error: Exception) -> str:
    """What may be said of an unexpected error: its own words only when they are ours."""
    return error.message if isinstance(error, errors.GatewayError) else type(error).__name__
