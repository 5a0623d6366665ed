"""_summary and _elements: a resource without some of its elements. https://hl7.org/fhir/R4/search.html#summary"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from fhir.resources.R4B import get_fhir_model_class

from fhir_gateway.search import query
from fhir_gateway.store import codec
from profiles import r4_differences

SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}

_ALWAYS = frozenset({"resourceType", "id", "meta"})


@dataclass(frozen=True, slots=True)
class View:
    """Which elements a client wants to see."""

    summary: query.Summary = "false"
    elements: tuple[str, ...] = ()

    @classmethod
    def of(cls, wanted: query.Query) -> View:
        """What a search asks for."""
        return cls(wanted.summary, wanted.elements)

    @property
    def is_whole(self) -> bool:
        """Whether the resources stay as they are."""
        return self.summary in ("false", "count") and not self.elements

    def cut(self, resource: codec.Resource) -> codec.Resource:
        """The resource with what is wanted and what must be there, marked SUBSETTED."""
        resource_type = resource["resourceType"]
        if self.summary == "data":
            kept = {name: value for name, value in resource.items() if name != "text"}
        elif self.summary == "text":
            kept = _only(resource, _mandatory(resource_type) | {"text"})
        elif self.summary == "true":
            kept = _summarised(resource, resource_type)
        else:
            wanted = frozenset(self.elements)
            kept = _only(resource, _mandatory(resource_type) | wanted | _of_choices(resource_type, wanted))
        meta = resource.get("meta", {})
        return {**kept, "meta": {**meta, "tag": [*meta.get("tag", []), SUBSETTED]}}


def _only(resource: codec.Resource, names: frozenset[str]) -> codec.Resource:
    return {name: value for name, value in resource.items() if name in _ALWAYS or name.removeprefix("_") in names}


@functools.cache
def _mandatory(resource_type: str) -> frozenset[str]:
    of = r4_differences.definition(resource_type)
    chosen = {name for choice in of.choices if choice.required for name in choice.names}
    return frozenset({name for name, _sibling in of.required} | chosen)


def _of_choices(resource_type: str, stems: frozenset[str]) -> frozenset[str]:
    choices = r4_differences.definition(resource_type).choices
    return frozenset(name for choice in choices if choice.label in stems for name in choice.names)


@functools.cache
def _summary_names(name: str) -> frozenset[str]:
    """The elements that R4 marks as part of the summary, from the model's metadata."""
    fields = get_fhir_model_class(name).model_fields.items()
    return frozenset(
        field.alias or key
        for key, field in fields
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("summary_element_property")
    )


def _summarised(value: codec.Resource, name: str) -> codec.Resource:
    """What is in the summary, down through the backbone elements; a data type in it comes whole."""
    of = r4_differences.definition(name)
    names = _summary_names(name) | _mandatory(name)
    kept: codec.Resource = {}
    for key, item in value.items():
        plain = key.removeprefix("_")
        if key in _ALWAYS or plain in names:
            element = of.elements.get(key)
            kept[key] = _inner(item, element.type) if element is not None and _is_backbone(name, element.type) else item
    return kept


def _is_backbone(owner: str, name: str) -> bool:
    return name.startswith(owner) and name != owner and name not in r4_differences.TYPE_NAMES


def _inner(item: Any, name: str) -> Any:
    if isinstance(item, list):
        return [_inner(one, name) for one in item]
    return _summarised(item, name) if isinstance(item, dict) else item
