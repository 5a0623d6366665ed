"""What every result resource points to, and how its id is derived."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mappers import fhir_names
from pipeline import results, segments

Json = dict[str, Any]

#: UUIDv5 namespace of our result ids (uuid5(NAMESPACE_URL, fhir_names.RESULT_IDS)); it must never change.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, fhir_names.RESULT_IDS)


def result_id(encounter: str, kind: str, content_key: str) -> str:
    """The derived id of a result. `encounter` is its reference."""
    return str(uuid.uuid5(_NAMESPACE, f"{encounter}|{kind}|{content_key}"))


@dataclass(frozen=True, slots=True)
class Links:
    """The surroundings of one run's results. References are Type/id; `recorded` is a FHIR instant.

    `sources_key` is the digest of what was documented: another text makes another Composition, the same text the same.
    `replaces` are the earlier Compositions of this encounter that the new one takes the place of.
    """

    run: str
    encounter: str
    patient: str
    recorded: str
    sources: tuple[str, ...]
    sources_key: str
    device: str
    transcript: segments.Transcript
    coverage: str | None = None
    provider: str | None = None
    practitioner: str | None = None
    replaces: tuple[str, ...] = ()
    hospital: bool = False

    def result_id(self, kind: str, content_key: str) -> str:
        """The id of a result: the same for the same encounter, kind and content, whichever run makes it."""
        return result_id(self.encounter, kind, content_key)

    def identifier(self, resource_id: str) -> Json:
        """The identifier by which a record system finds the result again."""
        return {"system": fhir_names.RESULT_IDS, "value": resource_id}

    def evidence_extension(self, evidence: results.Evidence) -> Json:
        """Our evidence extension: segment and character span (and milliseconds), or the record's item."""
        parts: list[Json] = []
        if evidence.record is not None:
            parts.append({"url": "record", "valueReference": {"reference": evidence.record}})
        if evidence.segment is not None:
            segment = self.transcript.segment(evidence.segment)
            parts.append({"url": "source", "valueReference": {"reference": segment.source}})
            parts.append({"url": "segment", "valuePositiveInt": segment.number})
            start = segment.start + (evidence.start or 0)
            end = segment.start + (evidence.end if evidence.end is not None else len(segment.text))
            parts.append({"url": "start", "valueUnsignedInt": start})
            parts.append({"url": "end", "valueUnsignedInt": end})
            if segment.start_ms is not None:
                parts.append({"url": "startMilliseconds", "valueUnsignedInt": segment.start_ms})
            if segment.end_ms is not None:
                parts.append({"url": "endMilliseconds", "valueUnsignedInt": segment.end_ms})
        return {"url": fhir_names.EVIDENCE, "extension": parts}

    def evidence_references(self, evidence: Iterable[results.Evidence]) -> list[Json]:
        """References to the sources and record items, each with the places in it."""
        by_target: dict[str, list[Json]] = {}
        for item in evidence:
            target = item.record or (self.transcript.segment(item.segment).source if item.segment else None)
            if target is not None:
                by_target.setdefault(target, []).append(self.evidence_extension(item))
        return [{"extension": places, "reference": target} for target, places in by_target.items()]


def ai_meta(**more: Any) -> Json:
    """meta of a proposal: labelled as asserted by a machine."""
    return {"meta": {**more, "security": [dict(fhir_names.AI_ASSERTED)]}}


def coding(system: str, code: str, display: str | None = None, **more: Any) -> Json:
    """A Coding."""
    return {**more, "system": system, "code": code, **({"display": display} if display else {})}


def concept(*codings: Mapping[str, Any], text: str | None = None) -> Json:
    """A CodeableConcept."""
    return {**({"coding": [dict(c) for c in codings]} if codings else {}), **({"text": text} if text else {})}
