"""What a rule may say to a conversion (`with:`). YAML gives all of it as texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mappers.v2_to_fhir.scope import Scope

#: Option to what it may be.
FORMS: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        "datatype": re.compile("XCN|XPN|XON|CX|HD|TQ|Period"),
        "duration": re.compile("[1-9][0-9]?"),
        "keep": re.compile("(?i:true|false)"),
        "system": re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+"),
        "table": re.compile(r"\S+"),
        "text": re.compile("(?i:true|false)"),
        "type": re.compile(r"[A-Z0-9]+"),
        "ucum": re.compile(r"\S+"),
        "unit": re.compile("[1-9][0-9]?"),
        "use": re.compile("home|work|temp|old|mobile"),
    }
)


def flag(scope: Scope, name: str, *, default: bool) -> bool:
    """An option that is true or false."""
    return default if name not in scope.options else str(scope.options[name]).lower() == "true"


def word(scope: Scope, name: str) -> str | None:
    """An option that is a text; None where the rule has none."""
    return str(scope.options[name]) if scope.options.get(name) else None
