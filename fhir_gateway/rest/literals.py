"""The literal references of a resource. https://hl7.org/fhir/R4/references.html#literal"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

#: `Patient?identifier=…`: type and condition. It means something in a transaction only (R4 http.html#trules).
CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?(.*)", re.DOTALL)


def of(node: Any, at: str) -> Iterator[tuple[str, str]]:
    """FHIRPath and text of each reference in a resource, whose own FHIRPath is `at`."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "reference" and isinstance(value, str):
                yield f"{at}.reference", value
            else:
                yield from of(value, f"{at}.{name}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from of(value, f"{at}[{index}]")
