"""Billing proposals as a draft Claim. https://hl7.org/fhir/R4/claim.html"""

from __future__ import annotations

import calendar
import datetime as dt
from decimal import Decimal
from typing import Final

from mappers import fhir_names
from mappers.results_to_fhir import links
from pipeline import results

_SYSTEMS: Final = {"EBM": fhir_names.EBM, "GOÄ": fhir_names.GOAE}
_UNKNOWN: Final = [{"url": fhir_names.DATA_ABSENT, "valueCode": "unknown"}]


def build(
    surroundings: links.Links, billing: results.Billing, diagnoses: tuple[results.CodedDiagnosis, ...]
) -> links.Json:
    """The proposal: a predetermination that nobody has claimed yet, with the evidence of each item."""
    resource_id = surroundings.result_id("claim", billing.schedule)
    primary = [diagnosis for diagnosis in diagnoses if diagnosis.mark != "*"]
    infos = [_information(surroundings, number, item) for number, item in enumerate(billing.items, start=1)]
    return {
        "resourceType": "Claim",
        "id": resource_id,
        **links.ai_meta(),
        "identifier": [surroundings.identifier(resource_id)],
        "status": "draft",
        "type": links.concept(
            links.coding("http://terminology.hl7.org/CodeSystem/claim-type", "professional", "Professional")
        ),
        "use": "predetermination",
        "patient": {"reference": surroundings.patient},
        "billablePeriod": _quarter(billing.day),
        "created": surroundings.recorded,
        "provider": {"reference": surroundings.provider} if surroundings.provider else {"extension": _UNKNOWN},
        "priority": links.concept(
            links.coding("http://terminology.hl7.org/CodeSystem/processpriority", "normal", "Normal")
        ),
        **({"supportingInfo": infos} if infos else {}),
        **(
            {
                "diagnosis": [
                    {
                        "sequence": number,
                        "diagnosisCodeableConcept": links.concept(
                            links.coding(
                                fhir_names.ICD_10_GM, diagnosis.code, diagnosis.title, version=str(diagnosis.year)
                            )
                        ),
                    }
                    for number, diagnosis in enumerate(primary, start=1)
                ]
            }
            if primary
            else {}
        ),
        "insurance": [
            {
                "sequence": 1,
                "focal": True,
                "coverage": {"reference": surroundings.coverage} if surroundings.coverage else {"display": "N.N."},
            }
        ],
        **(
            {"item": [_item(surroundings, n, item, billing, primary) for n, item in enumerate(billing.items, start=1)]}
            if billing.items
            else {}
        ),
        "total": _euro(billing.total),
    }


def _item(
    surroundings: links.Links,
    number: int,
    item: results.BillingItem,
    billing: results.Billing,
    diagnoses: list[results.CodedDiagnosis],
) -> links.Json:
    return {
        "sequence": number,
        **({"diagnosisSequence": list(range(1, len(diagnoses) + 1))} if diagnoses else {}),
        "informationSequence": [number],
        "productOrService": links.concept(links.coding(_SYSTEMS[item.schedule], item.code), text=item.title),
        "servicedDate": billing.day.isoformat(),
        "quantity": {"value": item.quantity, "system": fhir_names.UCUM, "code": "1"},
        "unitPrice": _euro(item.unit_price),
        **({"factor": item.factor} if item.factor is not None else {}),
        "net": _euro(item.amount),
        "encounter": [{"reference": surroundings.encounter}],
    }


def _information(surroundings: links.Links, number: int, item: results.BillingItem) -> links.Json:
    return {
        "sequence": number,
        "category": links.concept(links.coding(fhir_names.SUPPORTING_INFO_CODES, "evidence", "Evidence")),
        "valueString": item.justification if item.verified else f"{item.justification} Regel ungeprüft.",
        "extension": [surroundings.evidence_extension(evidence) for evidence in item.evidence],
    }


def _euro(amount: Decimal) -> links.Json:
    return {"value": amount, "currency": "EUR"}


def _quarter(day: dt.date) -> links.Json:
    first = (day.month - 1) // 3 * 3 + 1
    last = dt.date(day.year, first + 2, calendar.monthrange(day.year, first + 2)[1])
    return {"start": dt.date(day.year, first, 1).isoformat(), "end": last.isoformat()}
