"""A Claim as DFT^P03: one FT1 for each billing item. HL7 v2.5 chapter 6.

Money is EUR. FT1-11 is what the item comes to with quantity and factor, FT1-12 what one of it does.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

from mappers import er7, fhir_names
from mappers.fhir_to_v2 import bar, datatypes, header, standing, writing
from mappers.fhir_to_v2.datatypes import Json

#: FT1-7.3 and FT1-17 by the code system of the item.
_SCHEDULES: Final = {fhir_names.EBM: "EBM", fhir_names.GOAE: "GOAE"}
_CENT: Final = Decimal("0.01")


def message(
    route: header.Route,
    visit: header.Visit,
    claim: Json,
    conditions: Sequence[Json],
    *,
    released_by: str | None = None,
    control_id: str,
    at: dt.datetime,
) -> er7.Message:
    """The items of a Claim; Empty where it has none. A Claim that was taken back makes credits (FT1-6 CD).

    `conditions` are the encounter's diagnoses, for side and certainty in FT1-19. Before the release the text of each
    item says that it is a draft, and nobody but the gateway stands in FT1-24.
    """
    items = claim.get("item", [])
    if not items:
        raise header.Empty
    ids = _transactions(claim)

    def body(writer: writing.Writer) -> Iterator[er7.Segment]:
        for number, item in enumerate(items, start=1):
            values = _charge(route, visit, claim, item, conditions)
            entered_by = visit.person(released_by) if released_by and standing.of(claim) == "released" else _gateway()
            yield writer.segment("FT1", {1: str(number), 2: ids[number - 1], **values, 24: entered_by})
            yield writer.segment("NTE", {1: "1", 2: "L", 3: _remarks(claim, item)})

    return header.compose(route, visit, ("DFT", "P03", "DFT_P03"), control_id, at, body)


def _transactions(claim: Json) -> list[str]:
    """FT1-2: the Claim and the code of each item, so that an item keeps its id when others come and go."""
    seen: Counter[str] = Counter()
    ids: list[str] = []
    for item in claim["item"]:
        code = _service(item)["code"]
        seen[code] += 1
        ids.append("-".join([datatypes.own_id(claim), code, *([str(seen[code])] if seen[code] > 1 else [])]))
    return ids


def _charge(
    route: header.Route, visit: header.Visit, claim: Json, item: Json, conditions: Sequence[Json]
) -> dict[int, er7.FieldValue]:
    coding = _service(item)
    system = str(coding.get("system") or "")
    schedule = _SCHEDULES.get(system, system)
    title = str(item["productOrService"].get("text") or coding.get("display") or "")
    quantity = _decimal(item.get("quantity", {}).get("value", 1))
    net = _decimal(item["net"]["value"])
    each = net / quantity if quantity else net
    provider = claim.get("provider", {})
    values: dict[int, er7.FieldValue] = {
        3: datatypes.own_id(claim),
        4: datatypes.time(item.get("servicedDate"), route.zone),
        6: "CD" if standing.of(claim) == "withdrawn" else "CG",
        7: datatypes.coded(coding, schedule, standing.marked(title, claim)),
        10: _plain(quantity),
        11: _price(net),
        12: _price(each) if each == each.quantize(_CENT) else None,
        17: schedule,
        19: [*_diagnoses(claim, item, conditions)],
        20: visit.person(provider["reference"], provider.get("display")) if _is_person(provider) else None,
    }
    if "factor" in item:
        factor = _decimal(item["factor"])
        values[25] = datatypes.coded(coding, schedule, title)
        values[26] = (_plain(factor), f"Steigerungsfaktor {_german(factor)}", datatypes.OWN_CODES)
    return values


def _service(item: Json) -> Json:
    coding: Json = item["productOrService"]["coding"][0]
    return coding


def _is_person(provider: Json) -> bool:
    return str(provider.get("reference", "")).startswith("Practitioner/")


def _gateway() -> datatypes.Components:
    return (datatypes.NAMESPACE, "fhir-gateway")


def _diagnoses(claim: Json, item: Json, conditions: Sequence[Json]) -> Iterator[datatypes.Components]:
    """FT1-19: the item's diagnoses, with side and certainty where the Condition is at hand."""
    listed = {entry["sequence"]: entry["diagnosisCodeableConcept"] for entry in claim.get("diagnosis", [])}
    for sequence in item.get("diagnosisSequence", []):
        concept = listed[sequence]
        icd = concept["coding"][0]["code"]
        meant = [c for c in conditions if standing.of(c) != "withdrawn" and c["code"]["coding"][0]["code"] == icd]
        yield from [bar.code(condition) for condition in meant] or [bar.code({"code": concept})]


def _remarks(claim: Json, item: Json) -> list[er7.RepetitionValue]:
    """NTE-3: that it is a draft, the factor, and why the item is proposed."""
    told: list[er7.RepetitionValue] = [standing.NOTICE] if standing.of(claim) == "draft" else []
    if "factor" in item:
        single = _german(_decimal(item["unitPrice"]["value"]))
        told.append(f"Einfachsatz {single} EUR, Steigerungsfaktor {_german(_decimal(item['factor']))}.")
    reasons = {info["sequence"]: info.get("valueString") for info in claim.get("supportingInfo", [])}
    return [*told, *(reasons[sequence] for sequence in item.get("informationSequence", []) if reasons.get(sequence))]


def _decimal(value: Any) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _plain(value: Decimal) -> str:
    return f"{value:f}"


def _german(value: Decimal) -> str:
    return _plain(value).replace(".", ",")


def _price(amount: Decimal) -> datatypes.Components:
    """CP of an amount in EUR."""
    return ((f"{amount:.2f}", "EUR"),)
