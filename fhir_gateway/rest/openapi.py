"""An OpenAPI 3.1 description of the FHIR endpoint, generated from the route table and the search parameters.

A line of the table that holds for every resource type is described once a type: its search parameters and its elements
are its own. What only the gateway writes has no writing operations.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import fhir_gateway
from fhir_gateway.rest import formats, types
from fhir_gateway.rest.routes import Body, Does, Route, Table
from fhir_gateway.search import parameters
from profiles import r4_differences as r4

Json = dict[str, Any]

_MEDIA = ("application/fhir+json", "application/fhir+xml")

_STATUSES = {
    "200": "Done", "201": "Created", "202": "Accepted", "204": "Done, nothing to say", "304": "Not modified",
    "400": "Wrong request", "401": "A bearer token is wanted", "404": "Not found", "405": "Method not allowed",
    "406": "No such format", "408": "The body came too slowly", "409": "Conflict", "410": "Deleted",
    "412": "A condition does not hold", "413": "Too large", "415": "Unknown format of the body",
    "421": "Addressed to another host", "422": "Against a rule", "503": "The store cannot commit",
}  # fmt: skip

#: What every operation may answer, and what one with a body may answer besides.
_ALWAYS = "400 401 406 421 503"
_WITH_BODY = "408 413 415"

#: What each interaction may answer besides.
_ANSWERS = {
    "capabilities": "200",
    "transaction": "200 404 405 409 410 412 422",
    "search-system": "200",
    "search-type": "200",
    "history-system": "200",
    "history-type": "200",
    "history-instance": "200 404",
    "process": "202 404 409 422",
    "process-status": "200 202 404 422",
    "process-cancel": "202 404 409",
    "release": "200 404 409 412 422",
    "document": "200 404 409 410 412 422",
    "validate": "200 404 410",
    "create": "200 201 409 412 422",
    "update": "200 201 409 412 422",
    "patch": "200 404 409 410 412 422",
    "delete": "204 409 412 422",
    "read": "200 304 404 410",
    "vread": "200 304 404 410",
}

#: The request headers that an interaction reads besides Prefer.
_HEADERS = {
    "release": ("If-Match",),
    "create": ("If-None-Exist",),
    "update": ("If-Match", "If-None-Match"),
    "patch": ("If-Match",),
    "delete": ("If-Match",),
    "read": ("If-None-Match", "If-Modified-Since"),
    "vread": ("If-None-Match", "If-Modified-Since"),
}

_ETAG = r'W/"[1-9][0-9]{0,8}"'
_DATE = r"[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01])(T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])?)?)?)?"  # noqa: E501
_NUMBER = r"-?[0-9]+(\.[0-9]+)?"
_PREFIX = "(eq|ne|gt|lt|ge|le|sa|eb|ap)?"
_ID = r"[A-Za-z0-9\-.]{1,64}"


def _alternatives(pattern: str) -> Json:
    """A search value: alternatives are apart by commas."""
    return {"type": "string", "pattern": f"^{pattern}(,{pattern})*$"}


_SEARCH_VALUES: Json = {
    "token": {"type": "string", "minLength": 1},
    "string": {"type": "string", "minLength": 1},
    "uri": {"type": "string", "minLength": 1},
    "composite": {"type": "string", "pattern": r"^.+\$.+$"},
    "reference": _alternatives(rf"([A-Z][A-Za-z]+/)?{_ID}"),
    "date": _alternatives(_PREFIX + _DATE),
    "number": _alternatives(_PREFIX + _NUMBER),
    "quantity": _alternatives(rf"{_PREFIX}{_NUMBER}(\|[^|,]*\|[^|,]*)?"),
}

_SCHEMAS: Json = {
    "Resource": {
        "type": "object",
        "required": ["resourceType"],
        "properties": {"resourceType": {"type": "string"}, "id": {"type": "string"}},
    },
    "OperationOutcomeAnswer": {
        "type": "object",
        "required": ["resourceType", "issue"],
        "properties": {
            "resourceType": {"const": "OperationOutcome"},
            "issue": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["severity", "code", "diagnostics"],
                    "properties": {
                        "severity": {"enum": ["fatal", "error", "warning", "information"]},
                        "code": {"enum": sorted(map(str, r4.CODES["OperationOutcomeIssue", "code"] or ()))},
                        "diagnostics": {"type": "string", "minLength": 1},
                        "expression": {"type": "array", "minItems": 1, "items": {"type": "string"}},
                    },
                },
            },
        },
    },
    "Parameters": {
        "type": "object",
        "required": ["resourceType"],
        "properties": {
            "resourceType": {"const": "Parameters"},
            "parameter": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
            },
        },
    },
    "TransactionOrBatch": {
        "type": "object",
        "required": ["resourceType", "type"],
        "properties": {
            "resourceType": {"const": "Bundle"},
            "type": {"enum": ["transaction", "batch"]},
            "entry": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Entry"}},
        },
    },
    "Entry": {
        "type": "object",
        "required": ["request"],
        "properties": {
            "fullUrl": {"type": "string", "format": "uri"},
            "resource": {"$ref": "#/components/schemas/Resource"},
            "request": {
                "type": "object",
                "required": ["method", "url"],
                "properties": {
                    "method": {"enum": ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"]},
                    "url": {"type": "string", "minLength": 1},
                    "ifNoneMatch": {"type": "string", "minLength": 1},
                    "ifModifiedSince": {"type": "string", "format": "date-time"},
                    "ifMatch": {"type": "string", "pattern": f"^{_ETAG}$"},
                    "ifNoneExist": {"type": "string", "minLength": 1},
                },
            },
        },
    },
    "JsonPatch": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["op", "path"],
            "properties": {
                "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
                "path": {"type": "string", "pattern": "^(/[^/]*)*$"},
                "from": {"type": "string", "pattern": "^(/[^/]*)*$"},
                "value": {},
            },
        },
    },
    **{f"search-{kind}": schema for kind, schema in _SEARCH_VALUES.items()},
}


def _parameter(name: str, where: str, schema: Json, text: str = "") -> Json:
    required = {"required": True} if where == "path" else {}
    return {"name": name, "in": where, **required, "schema": schema, **({"description": text} if text else {})}


_TEXT: Json = {"type": "string", "minLength": 1}
_COUNT: Json = {"type": "integer", "minimum": 0, "maximum": 999_999_999}

_PARAMETERS: Json = {
    "id": _parameter("id", "path", {"type": "string", "pattern": f"^{_ID}$"}),
    "version": _parameter("version", "path", {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"}),
    "Prefer": _parameter(
        "Prefer", "header",
        {"enum": ["return=minimal", "return=representation", "return=OperationOutcome", "handling=strict",
                  "handling=lenient", "respond-async"]},
        "return, handling (of unknown search parameters; strict is the default) and respond-async.",
    ),
    "If-Match": _parameter("If-Match", "header", {"type": "string", "pattern": f"^{_ETAG}$"}, "The version it is now."),
    "If-None-Match": _parameter("If-None-Match", "header", {"type": "string", "pattern": rf"^(\*|{_ETAG})$"}),
    "If-Modified-Since": _parameter("If-Modified-Since", "header", {"type": "string"}, "An HTTP date."),
    "If-None-Exist": _parameter("If-None-Exist", "header", _TEXT, "A search: create only when nothing matches."),
    "_format": _parameter("_format", "query", {"enum": ["json", "xml", *_MEDIA]}, "Goes before Accept."),
    "_pretty": _parameter("_pretty", "query", {"enum": ["true", "false"]}),
    "_count": _parameter("_count", "query", _COUNT, "Results a page."),
    "_page": _parameter("_page", "query", _TEXT, "Where a page begins: from the link next."),
    "_sort": _parameter("_sort", "query", _TEXT, "Parameters apart by commas; - before one is descending."),
    "_include": _parameter("_include", "query", _TEXT, "Type:parameter[:Type], with the modifier iterate."),
    "_revinclude": _parameter("_revinclude", "query", _TEXT, "Type:parameter[:Type], with the modifier iterate."),
    "_summary": _parameter("_summary", "query", {"enum": ["true", "text", "data", "count", "false"]}),
    "_elements": _parameter("_elements", "query", _TEXT, "Names of elements apart by commas."),
    "_total": _parameter("_total", "query", {"enum": ["none", "estimate", "accurate"]}),
    "_type": _parameter("_type", "query", _TEXT, "Resource types apart by commas."),
    "_since": _parameter("_since", "query", {"type": "string", "pattern": f"^{_DATE}$"}),
    "_at": _parameter("_at", "query", {"type": "string", "pattern": f"^{_DATE}$"}),
    "mode": _parameter("mode", "query", {"enum": ["create", "update", "delete", "profile"]}),
    "profile": _parameter("profile", "query", {"type": "string", "format": "uri"}, "Of an installed package."),
    "persist": _parameter("persist", "query", {"enum": ["true", "false"]}, "Store the document Bundle."),
}  # fmt: skip

_OF_ANSWER = ("_format", "_pretty")
_OF_READ = ("_summary", "_elements")
_OF_SEARCH = ("_count", "_page", "_sort", "_include", "_revinclude", "_summary", "_elements", "_total")
_OF_HISTORY = ("_count", "_page", "_since", "_at")


@functools.lru_cache(maxsize=4)
def description(table: Table, prefix: str = "/fhir") -> Json:
    """The description; `prefix` is where the endpoint is mounted."""
    paths: dict[str, Json] = {}
    for route in table.routes:
        for resource_type in _types(route):
            path = route.path.replace("{type}", resource_type)
            address = f"{prefix}/{path}".rstrip("/")
            paths.setdefault(address, {}).setdefault(route.method.lower(), _operation(route, path, resource_type))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fhir-gateway",
            "version": fhir_gateway.__version__,
            "description": "FHIR R4 (4.0.1). The CapabilityStatement at /fhir/metadata says more.",
        },
        "tags": [{"name": name} for name in ("System", *sorted(types.SUPPORTED))],
        "paths": paths,
        "components": {
            "schemas": {**{name: _resource(name) for name in sorted(types.SUPPORTED)}, **_SCHEMAS},
            "parameters": _PARAMETERS,
            "responses": {f"{status}": _refusal(text) for status, text in _STATUSES.items() if status >= "400"},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"bearer": []}],
    }


def _types(route: Route) -> list[str]:
    """The resource types that a line of the table is described for; "" for a line without one."""
    if not route.path.startswith("{type}"):
        return [route.path.split("/")[0] if route.path[:1].isupper() else ""]
    is_writing = route.does is Does.WRITE
    return [name for name in sorted(types.SUPPORTED) if not (is_writing and name in types.READ_ONLY)]


def _operation(route: Route, path: str, resource_type: str) -> Json:
    operation: Json = {
        "operationId": re.sub(r"[^\w-]", "", f"{route.method.lower()}-{path.replace('/', '-')}").rstrip("-"),
        "tags": [resource_type or "System"],
        "summary": (route.interaction.__doc__ or "").split("\n")[0],
        "parameters": [*_of_path(route), *_of_query(route, resource_type), *map(_shared, _headers(route))],
        "responses": _responses(route, resource_type),
    }
    if route.body is not Body.NONE:
        content = _content(route, resource_type)
        operation["requestBody"] = {"required": route.body is not Body.OPTIONAL, "content": content}
    return operation


def _shared(name: str) -> Json:
    return {"$ref": f"#/components/parameters/{name}"}


def _schema(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _headers(route: Route) -> tuple[str, ...]:
    return (*_HEADERS.get(route.name, ()), *(() if route.does is Does.ANSWER else ("Prefer",)))


def _of_path(route: Route) -> list[Json]:
    return [_shared(name) for name in re.findall(r"{(id|version)}", route.path)]


def _of_query(route: Route, resource_type: str) -> list[Json]:
    names: tuple[str, ...] = _OF_ANSWER
    found: list[Json] = []
    if route.name.startswith("history"):
        names += _OF_HISTORY
    elif route.does is Does.READ_ONE:
        names += _OF_READ
    elif route.name == "validate":
        names += ("mode", "profile")
    elif route.name == "document":
        names += ("persist",)
    elif route.name.startswith("search") and route.method == "GET":
        names += _OF_SEARCH if resource_type else (*_OF_SEARCH, "_type")
        found = _searched(resource_type)
    elif route.body is not Body.FORM and route.path == "{type}" and route.method != "POST":
        found = _searched(resource_type)  # a conditional update, patch or delete
    return [*map(_shared, names), *found]


def _search_kinds(resource_type: str) -> dict[str, str]:
    """The kind of each search parameter of a type; of every type for ""."""
    known = parameters.of_type(resource_type or "Resource")
    return {"_id": "token", "_lastUpdated": "date"} | {name: found.kind for name, found in known.items()}


def _searched(resource_type: str) -> list[Json]:
    kinds = _search_kinds(resource_type).items()
    return [_parameter(name, "query", _schema(f"search-{kind}"), f"Search parameter: {kind}") for name, kind in kinds]


def _content(route: Route, resource_type: str) -> Json:
    if route.body is Body.FORM:
        kinds = _search_kinds(resource_type).items()
        named = {name: _schema(f"search-{kind}") for name, kind in kinds}
        controls = {name: _PARAMETERS[name]["schema"] for name in _OF_SEARCH}
        return {formats.FORM: {"schema": {"type": "object", "properties": {**named, **controls}}}}
    parameters_only = {media: {"schema": _schema("Parameters")} for media in _MEDIA}
    if route.body is Body.PATCH:
        return {formats.JSON_PATCH: {"schema": _schema("JsonPatch")}, **parameters_only}
    if route.name in ("release", "process", "document"):
        return parameters_only
    name = resource_type or "TransactionOrBatch"
    schema = {"anyOf": [_schema(name), _schema("Parameters")]} if route.name == "validate" else _schema(name)
    return {media: {"schema": schema} for media in _MEDIA}


def _responses(route: Route, resource_type: str) -> Json:
    statuses = {*_ANSWERS[route.name].split(), *_ALWAYS.split()}
    if route.body is not Body.NONE:
        statuses.update(_WITH_BODY.split())
    if "{id}" in route.path:
        statuses.add("404")  # what is no id makes no address
    return {status: _response(route, status, resource_type) for status in sorted(statuses)}


def _response(route: Route, status: str, resource_type: str) -> Json:
    if status >= "400":
        return {"$ref": f"#/components/responses/{status}"}
    described: Json = {"description": _STATUSES[status]}
    if status in ("204", "304") or (status == "202" and route.name.startswith("process-")):
        return described
    if route.name == "process-status":
        return {**described, "content": {"application/json": {"schema": {"type": "object"}}}}
    described["content"] = {media: {"schema": _schema("Resource")} for media in _MEDIA}
    if route.does is Does.READ_ONE and resource_type == "Binary":
        described["content"]["*/*"] = {"schema": {}}
    return described


def _refusal(text: str) -> Json:
    schema = {"schema": _schema("OperationOutcomeAnswer")}
    return {"description": text, "content": dict.fromkeys(_MEDIA, schema)}


#: JSON Schema of the R4 primitives that are more than a string (https://hl7.org/fhir/R4/datatypes.html#primitive).
_PRIMITIVES: Json = {
    "boolean": {"type": "boolean"},
    "decimal": {"type": "number"},
    "integer": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "unsignedInt": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
    "positiveInt": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    "id": {"type": "string", "pattern": f"^{_ID}$"},
    "date": {"type": "string", "pattern": r"^[1-9][0-9]{3}(-(0[1-9]|1[0-2])(-(0[1-9]|1[0-9]|2[0-8]))?)?$"},
    "dateTime": {"type": "string", "pattern": r"^[1-9][0-9]{3}(-(0[1-9]|1[0-2])(-(0[1-9]|1[0-9]|2[0-8]))?)?$"},
    "instant": {"type": "string", "format": "date-time"},
    "time": {"type": "string", "pattern": r"^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"},
    "code": {"type": "string", "pattern": r"^[^\s]+(\s[^\s]+)*$"},
    "base64Binary": {"type": "string", "contentEncoding": "base64", "pattern": "^([A-Za-z0-9+/]{4})+$"},
    "oid": {"type": "string", "pattern": r"^urn:oid:[0-2](\.(0|[1-9][0-9]*))+$"},
    "uuid": {"type": "string", "pattern": "^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
}


@functools.cache
def _resource(name: str) -> Json:
    """The elements of a resource type; what is within them says the specification."""
    definition = r4.definition(name)
    required = ["resourceType", *(element for element, _sibling in definition.required)]
    elements = {element.name: _element(element) for element in definition.elements.values()}
    return {
        "type": "object",
        "required": required,
        "properties": {"resourceType": {"const": name}, **elements},
        "patternProperties": {"^_": {"type": ["object", "array"]}},  # R4 json.html#primitive
        "additionalProperties": False,
    }


def _element(element: r4.Element) -> Json:
    if element.check is None:
        schema: Json = {"type": "object", "minProperties": 1}
    elif element.codes:
        schema = {"enum": sorted(map(str, element.codes))}
    else:
        schema = _PRIMITIVES.get(element.type, {"type": "string", "minLength": 1})
    return {"type": "array", "minItems": 1, "items": schema} if element.many else schema
