"""The criteria of a Subscription as a search. https://hl7.org/fhir/R4/subscription-definitions.html#Subscription.criteria

"The rules are search criteria (without the [base] part). Like Bundle.entry.request.url, it has no leading '/'."
"""

from __future__ import annotations

import functools
import urllib.parse
from dataclasses import dataclass

import sqlalchemy as sa

from fhir_gateway.rest import types
from fhir_gateway.search import query
from fhir_gateway.store import schema, search_index

#: Types that nobody is told of: the audit would tell of its own rows, a Subscription of its own delivery.
NEVER_TOLD = frozenset({"AuditEvent", "Subscription"})

# Every write of the type is held against the criteria: what is too much for the database would fail the writes.
_MAX_CHARACTERS = 2048
_MAX_PARAMETERS = 20
_MAX_VALUES = 200  # of all parameters together
_MAX_STATEMENT = 50_000  # characters of SQL: a chain without a type asks for every type

#: What arranges a result and says nothing about a resource.
_OF_A_RESULT = frozenset(
    {"_count", "_elements", "_include", "_page", "_revinclude", "_sort", "_summary", "_total"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Matcher:
    """Criteria that a current version is held against. The statement is made once: that is most of its price."""

    type: str
    _statement: sa.Select[int]

    def holds(self, connection: sa.Connection, rk: int) -> bool:
        """Whether the current version of the type with this key fulfils them."""
        search_index.flush(connection)
        return connection.execute(self._statement, {"rk": rk}).first() is not None


@functools.lru_cache(maxsize=512)
def matcher(text: str, base_url: str = "") -> Matcher:
    """The criteria as a matcher. Raises query.BadQuery, also for what would cost every write too much."""
    version = schema.resource_version
    conditions = (condition.holds(version.c.rk) for condition in parse(text, base_url).filters)
    statement = sa.select(sa.literal(1)).where(version.c.rk == sa.bindparam("rk", type_=sa.BigInteger), *conditions)
    if len(str(statement)) > _MAX_STATEMENT:
        raise query.BadQuery("The criteria are too costly: name the type in a chain.", "too-costly")
    return Matcher(text.partition("?")[0], statement)


@functools.lru_cache(maxsize=512)
def parse(text: str, base_url: str = "") -> query.Query:
    """The search that `Type?parameter=value` or `Type` means. Raises query.BadQuery.

    `base_url` is this server's own address, as it may stand in references.
    """
    resource_type, _, parameters = text.partition("?")
    if resource_type.startswith(("/", "http:", "https:")):
        raise query.BadQuery("The criteria begin with the resource type, without an address and without '/'.", "value")
    if resource_type not in types.SUPPORTED:
        raise query.BadQuery("The criteria begin with a supported resource type.", "not-supported")
    if resource_type in NEVER_TOLD:
        raise query.BadQuery(f"Nobody is notified of {resource_type}.", "not-supported")
    pairs = urllib.parse.parse_qsl(parameters, keep_blank_values=True)
    count = sum(value.count(",") + 1 for _name, value in pairs)
    if len(text) > _MAX_CHARACTERS or len(pairs) > _MAX_PARAMETERS or count > _MAX_VALUES:
        limits = f"{_MAX_CHARACTERS} characters, {_MAX_PARAMETERS} parameters and {_MAX_VALUES} values"
        raise query.BadQuery(f"The criteria have at most {limits}.", "too-long")
    for name, value in pairs:
        if name.partition(":")[0] in _OF_A_RESULT:
            raise query.BadQuery(f"{name[:64]} arranges a search result; criteria cannot have it.", "not-supported")
        if not (name + value).isprintable():
            raise query.BadQuery("The criteria have a control character.", "value")
    return query.parse((resource_type,), pairs, page_size=1, base_url=base_url, known_types=types.SUPPORTED)
