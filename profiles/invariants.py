"""The invariants of FHIR R4 (4.0.1), by the type or the model class that they sit on (`Composition`, `TimingRepeat`).

Source: the `constraint` entries of R4's StructureDefinitions.  The table holds those of the supported resource types
and of the data types in them.  Where the words of a rule and its published expression differ, the test accepts what
either accepts.  `tests/unit/profiles/test_invariants.py` holds the table against R4's definitions.
"""

from collections.abc import Mapping
from typing import Final

from profiles.invariants_bundle import BUNDLE
from profiles.invariants_resources import RESOURCES
from profiles.invariants_rules import Invariant
from profiles.invariants_types import TYPES

TABLE: Final[Mapping[str, tuple[Invariant, ...]]] = {**TYPES, **BUNDLE, **RESOURCES}

ELSEWHERE: Final[Mapping[str, str]] = {
    "dom-2": "profiles.base: needs the place of a resource",
    "dom-3": "profiles.base: needs the references of the whole resource",
    "dom-4": "profiles.base: needs the place of a resource",
    "dom-5": "profiles.base: needs the place of a resource",
    "ele-1": "profiles.base: JSON structure",
    "ref-1": "profiles.base: needs the contained resources",
    "sqty-1": "profiles.base: R4's metadata in r4_differences says which Quantity is a SimpleQuantity",
    "txt-1": "profiles.primitives: XHTML",
    "txt-2": "profiles.primitives: XHTML",
}
"""Key -> the module that judges it beside the table."""

LEFT_OUT: Final[Mapping[str, str]] = {
    "dom-6": "best practice only: a resource should have narrative",
    "ppc-2": "its expression compares with the system 'something', so that no Consent can break it",
    "ppc-3": "its expression compares with the system 'something', so that no Consent can break it",
    "ppc-4": "its expression compares with the system 'something', so that no Consent can break it",
    "ppc-5": "its expression compares with the system 'something', so that no Consent can break it",
}
"""Key -> why nothing judges it."""
