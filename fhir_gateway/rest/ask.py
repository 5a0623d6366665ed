"""What a client asks for, and what it is answered: the same for a request of its own and for an entry of a Bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fhir_gateway.rest import outcomes
from fhir_gateway.rest.types import SUPPORTED
from fhir_gateway.search import query
from fhir_gateway.store import codec, inbox, resources

if TYPE_CHECKING:
    from fhir_gateway.app import Gateway
    from fhir_gateway.rest import routes

Pairs = tuple[tuple[str, str], ...]

_ENTITY_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_NO_VERSION = -1  # what an entity tag means that is none of ours


@dataclass(frozen=True, slots=True)
class Ask:
    """One interaction, and the route table that it came by.

    `path` has the type, the id and the version that the address names, `pairs` its parameters; `headers` have names in
    lower case. `at` is the FHIRPath of the resource in what was sent, `key` the one under which the request's bytes are
    kept; `is_entry` says that they are a Bundle's, which keeps them itself.
    """

    gateway: Gateway
    table: routes.Table
    base: str
    method: str
    path: Mapping[str, str]
    pairs: Pairs
    headers: Mapping[str, str]
    message: inbox.Message
    key: str
    body: Any = None
    at: str | None = None
    is_entry: bool = False

    @property
    def type(self) -> str:
        """The resource type of the address."""
        return self.path["type"]

    @property
    def id(self) -> str:
        """The id of the address."""
        return self.path["id"]

    @property
    def expression(self) -> str:
        """The FHIRPath of the resource in what was sent."""
        return self.at or self.type

    @property
    def condition_expression(self) -> str | None:
        """The FHIRPath of the condition, where it stands in a Bundle."""
        if not self.is_entry or self.at is None:
            return None
        part = "ifNoneExist" if "if-none-exist" in self.headers else "url"
        return f"{self.at.rpartition('.')[0]}.request.{part}"

    def prefers(self, name: str) -> str | None:
        """The value of a preference (RFC 7240), "" for one without a value, None where it is not asked for."""
        for part in self.headers.get("prefer", "").replace(";", ",").split(","):
            found, _, value = part.strip().partition("=")
            if found.strip().lower() == name:
                return value.strip().strip('"')
        return None

    @property
    def is_lenient(self) -> bool:
        """Whether unknown search parameters are told instead of refused (`Prefer: handling=lenient`)."""
        return self.prefers("handling") == "lenient"

    @property
    def if_match(self) -> int | None:
        """The version that the client says it read; None where it says none, 400 where it is no version."""
        value = self.headers.get("if-match")
        if value is None:
            return None
        match = _ENTITY_TAG.fullmatch(value.strip())
        if match is None:
            raise outcomes.bad_request('If-Match is not of the form W/"version".', self.at)
        version = match[1]
        return int(version) if version.isascii() and version.isdigit() and len(version) < 10 else _NO_VERSION

    def search(self, types: tuple[str, ...], pairs: Pairs, *, lenient: bool | None = None) -> query.Query:
        """The query that these parameters mean; 400 with the reason where they mean none."""
        try:
            return query.parse(
                types,
                pairs,
                page_size=self.gateway.settings.rest.page_size,
                base_url=self.base,
                lenient=self.is_lenient if lenient is None else lenient,
                known_types=SUPPORTED,
            )
        except query.BadQuery as error:
            raise outcomes.bad_request(error.text, self.at, code=error.code) from None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client gets: a stored version, or a resource made for it. `seen` are the references it tells of.

    `written` marks the answer to a write, whose body `Prefer: return` chooses. What `is_fhir` not is plain JSON.
    """

    status: int
    stored: resources.Stored | None = None
    resource: codec.Resource | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seen: tuple[str, ...] = ()
    written: bool = False
    is_fhir: bool = True
