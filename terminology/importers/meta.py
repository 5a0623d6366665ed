"""The fields of a code as ClaML (Meta) and the FHIR package (property) call them, and their values.

Source: BfArM, LIESMICH zur ICD-10-GM Systematik ClaML/XML, "Metadaten", and LIESMICH zu den Metadaten ("Kodes").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypedDict

from terminology.icd10gm import edition
from terminology.importers import content

USES: Mapping[str, edition.Use] = {"P": "P", "O": "O", "Z": "Z", "V": "V"}
SEXES: Mapping[str, edition.Sex] = {"9": "", "M": "M", "W": "W"}
ERRORS: Mapping[str, edition.Error] = {"9": "", "K": "K", "M": "M"}
YES: Mapping[str, bool] = {"J": True, "N": False}

#: The name of a field of Code by its names in the files: that of ClaML, then that of the metadata's table.
NAMES: Mapping[str, str] = {
    "Para295": "practice", "P295": "practice",
    "Para301": "hospital", "P301": "hospital",
    "SexCode": "sex",
    "SexReject": "sex_error", "SexFehlerTyp": "sex_error",
    "AgeLow": "age_from", "AltUnt": "age_from",
    "AgeHigh": "age_to", "AltOb": "age_to",
    "AgeReject": "age_error", "AltFehlerTyp": "age_error",
    "RareDisease": "is_rare", "Exot": "is_rare",
    "Content": "is_used", "Belegt": "is_used",
    "Infectious": "is_notifiable", "IfSGMeldung": "is_notifiable",
    "EBMLabor": "has_lab_exemption", "IfSGLabor": "has_lab_exemption",
}  # fmt: skip

#: What a code may be used for by its mark: "usage" of ClaML and of the FHIR package.
MARKED_USE: Mapping[str, edition.Use] = {"aster": "O", "optional": "Z", "dagger": "P", "": "P"}


#: What a rubric of ClaML, a property or a designation of the FHIR package is; those of other names are left out.
NOTES: Mapping[str, edition.NoteKind] = {
    "inclusion": "inclusion",
    "exclusion": "exclusion",
    "coding-hint": "hint",
    "note": "hint",
    "text": "hint",
    "introduction": "hint",
    "footnote": "hint",
    "definition": "definition",
}


class Values(TypedDict, total=False):
    """The fields of a code that a file gives a value for."""

    practice: edition.Use
    hospital: edition.Use
    sex: edition.Sex
    sex_error: edition.Error
    age_from: edition.Age | None
    age_to: edition.Age | None
    age_error: edition.Error
    is_rare: bool
    is_used: bool
    is_notifiable: bool
    has_lab_exemption: bool


_READ: Mapping[str, Callable[[str], object]] = {
    "practice": USES.__getitem__,
    "hospital": USES.__getitem__,
    "sex": SEXES.__getitem__,
    "sex_error": ERRORS.__getitem__,
    "age_from": edition.age,
    "age_to": edition.age,
    "age_error": ERRORS.__getitem__,
    "is_rare": YES.__getitem__,
    "is_used": YES.__getitem__,
    "is_notifiable": YES.__getitem__,
    "has_lab_exemption": YES.__getitem__,
}


def known(terminal: Iterable[Mapping[str, str]]) -> frozenset[str]:
    """The fields of Code that the Meta fields of the terminal codes give: where a code may stand only if all do."""
    found = [{NAMES[name] for name in given if name in NAMES} for given in terminal]
    in_all = set.intersection(*found) if found else set()
    return frozenset(set().union(*found) - ({"practice", "hospital"} - in_all))


def values(given: Mapping[str, str], owner: str) -> Values:
    """The values of a code's Meta fields by the names of Code; those of other names are left out.

    Raises NotImportable for a value that the field cannot have.
    """
    found: dict[str, object] = {}
    for name, value in given.items():
        column = NAMES.get(name)
        if column is None:
            continue
        try:
            found[column] = _READ[column](value)
        except (KeyError, ValueError):
            raise content.NotImportable(
                f"{owner} has the value {content.shown(value)} for {name}, which it cannot have: fetch the file again."
            ) from None
    return found  # type: ignore[return-value]
