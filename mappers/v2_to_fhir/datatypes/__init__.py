"""The conversions that rules name with `as:`. Each takes a value and what is known of the sender, and gives FHIR.

None is: there is nothing. What a conversion does not carry over it does not read, so that the report of what was not
mapped names it. A value that cannot be carried over faithfully is `reading.Unusable`; a conversion raises nothing else,
given options in which `problems` finds no fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from mappers.v2_to_fhir.datatypes import (
    addresses,
    admissions,
    appointments,
    attachments,
    clinical,
    codings,
    envelopes,
    extensions,
    german,
    identifiers,
    insurers,
    names,
    numbers,
    observations,
    references,
    spans,
    texts,
    times,
)
from mappers.v2_to_fhir.datatypes import options as option_forms
from mappers.v2_to_fhir.reading import Value
from mappers.v2_to_fhir.scope import Json, Scope

Converted = Json | str | bool | int | Decimal | None
Convert = Callable[[Value, Scope], Converted]


class Datatype(NamedTuple):
    """A conversion and the names of the options (`with:`) that it takes and that it needs."""

    convert: Convert
    options: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()


def _datatype(convert: Convert, options: str = "", *, needs: str = "") -> Datatype:
    return Datatype(convert, frozenset(f"{options} {needs}".split()), frozenset(needs.split()))


#: By the name in rule files.
DATATYPES: Final[Mapping[str, Datatype]] = MappingProxyType(
    {
        "string": _datatype(texts.string),
        "text": _datatype(texts.text),
        "markdown": _datatype(texts.text),
        "uri": _datatype(texts.uri),
        "annotation": _datatype(texts.annotation),
        "code": _datatype(codings.code, needs="table"),
        "boolean": _datatype(codings.boolean),
        "Coding": _datatype(codings.coding, "table system"),
        "CodeableConcept": _datatype(codings.codeable_concept, "table keep system text"),
        "icd10gm": _datatype(codings.icd10gm),
        "ops": _datatype(codings.ops),
        "integer": _datatype(numbers.integer),
        "positiveInt": _datatype(numbers.positive_int),
        "unsignedInt": _datatype(numbers.unsigned_int),
        "decimal": _datatype(numbers.decimal),
        "Quantity": _datatype(numbers.quantity, "unit ucum"),
        "Money": _datatype(numbers.money),
        "date": _datatype(times.date),
        "dateTime": _datatype(times.date_time),
        "instant": _datatype(times.instant),
        "time": _datatype(times.time),
        "Period": _datatype(times.period),
        "slot": _datatype(appointments.slot, "datatype", needs="duration unit"),
        "birth_time": _datatype(times.birth_time),
        "Identifier": _datatype(identifiers.identifier, "type system"),
        "EI": _datatype(identifiers.entity_identifier, "type system"),
        "HumanName": _datatype(names.human_name),
        "person": _datatype(names.person, "datatype"),
        "Address": _datatype(addresses.address),
        "birth_place": _datatype(addresses.birth_place),
        "ContactPoint": _datatype(addresses.contact_point, "use"),
        "practitioner": _datatype(references.practitioner),
        "organization": _datatype(references.organization, "datatype"),
        "location": _datatype(references.location),
        "Attachment": _datatype(attachments.attachment),
        "observation": _datatype(observations.observation),
        "reference_range": _datatype(observations.reference_range),
        "sex_extension": _datatype(german.sex_extension),
        "coverage_type": _datatype(german.coverage_type, "table keep system"),
        "versichertenart": _datatype(german.insured_status),
        "admission_reason_301": _datatype(admissions.admission_reason),
        "discharge_reason_301": _datatype(admissions.discharge_reason),
        "diagnosis_status": _datatype(clinical.diagnosis_status),
        "span": _datatype(spans.span),
        "procedure_period": _datatype(clinical.procedure_period),
        "payor": _datatype(insurers.payor),
        "citizenship": _datatype(extensions.citizenship),
        "nationality": _datatype(extensions.nationality),
        "birth_place_name": _datatype(extensions.birth_place_name),
        "due_to": _datatype(extensions.due_to),
        "message_source": _datatype(envelopes.source),
        "message_entity": _datatype(envelopes.entity),
        "message_destination": _datatype(envelopes.destination),
        "recorded": _datatype(envelopes.recorded),
    }
)

#: The conversions alone.
TYPES: Final[Mapping[str, Convert]] = MappingProxyType({name: datatype.convert for name, datatype in DATATYPES.items()})


def problems(name: str, options: Mapping[str, Any]) -> list[str]:
    """What is wrong with `as:` and `with:` of a rule. Whether a table exists is not looked at."""
    datatype = DATATYPES.get(name)
    if datatype is None:
        return [f"there is no datatype {name}"]
    found = [f"{name} needs the option {option}" for option in sorted(datatype.needs - options.keys())]
    for option, value in options.items():
        if option not in datatype.options:
            found.append(f"{name} has no option {option}")
        elif option_forms.FORMS[option].fullmatch(str(value)) is None:
            found.append(f"the option {option} of {name} cannot be this")
    return found
