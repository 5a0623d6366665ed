"""Who pays: IN1-3 and IN1-4. HL7 v2.5 chapter 6.5.6; HL7 Deutschland, Nachrichtenprofile 2.5, IN1."""

from __future__ import annotations

import re
from typing import Final

from mappers.v2_to_fhir.datatypes import identifiers, references, texts
from mappers.v2_to_fhir.reading import Value
from mappers.v2_to_fhir.scope import Json, Scope

_IK: Final = re.compile("[0-9]{9}")
_COMPANY_ID: Final = 3
_COMPANY_NAME: Final = 4


def payor(value: Value, scope: Scope) -> Json | None:
    """An insurer: one of its numbers (IN1-3), the Institutionskennzeichen if it is there, and its name (IN1-4).

    A Reference has one identifier: for every other repetition of IN1-3 it is None, and they are left unread.
    """
    if value.at[1] != _COMPANY_ID:
        return references.organization(value, scope)
    numbers = value.all_beside(_COMPANY_ID)
    chosen = next((one for one in numbers if _IK.fullmatch(one[1].raw.strip())), numbers[0])
    if chosen.at != value.at:
        return None
    identifier = identifiers.identifier(value, scope)
    name = texts.words(value.beside(_COMPANY_NAME)[1])
    found = {"type": "Organization", "identifier": identifier, "display": name}
    return {key: part for key, part in found.items() if part} if identifier or name else None
