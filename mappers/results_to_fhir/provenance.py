"""Which software made the results, from which sources, and which place each statement rests on.

https://hl7.org/fhir/R4/provenance.html, with the standard extension targetElement.
"""

from __future__ import annotations

from collections.abc import Iterable

from mappers import fhir_names
from mappers.results_to_fhir import links
from pipeline import results


def build(
    surroundings: links.Links, composition: str, statements: Iterable[results.Statement], others: Iterable[str]
) -> links.Json:
    """One Provenance for a Composition and for the results of the same run.

    Every statement is a target of its own: its element id by targetElement, its evidence by our extension.
    """
    return {
        "resourceType": "Provenance",
        "id": surroundings.result_id("provenance", composition),
        **links.ai_meta(),
        "target": [
            {"reference": composition},
            *(_statement(surroundings, composition, statement) for statement in statements),
            *({"reference": reference} for reference in others),
        ],
        "recorded": surroundings.recorded,
        "activity": links.concept(
            links.coding("http://terminology.hl7.org/CodeSystem/v3-DataOperation", "CREATE", "create")
        ),
        "agent": [
            {
                "type": links.concept(
                    links.coding(
                        "http://terminology.hl7.org/CodeSystem/provenance-participant-type", "author", "Author"
                    )
                ),
                "who": {"reference": surroundings.device, "display": "fhir-gateway"},
            }
        ],
        "entity": [{"role": "source", "what": {"reference": source}} for source in surroundings.sources],
    }


def _statement(surroundings: links.Links, composition: str, statement: results.Statement) -> links.Json:
    return {
        "extension": [
            {"url": fhir_names.TARGET_ELEMENT, "valueUri": statement.id},
            *(surroundings.evidence_extension(evidence) for evidence in statement.evidence),
        ],
        "reference": composition,
    }
