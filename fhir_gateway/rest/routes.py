"""What a line of the route table is, and how an address finds its line."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import sqlalchemy as sa

from fhir_gateway.rest import outcomes, types
from fhir_gateway.rest.ask import Answer, Ask
from fhir_gateway.store import database

Answers = Callable[[Ask], Answer]
Reads = Callable[[sa.Connection, Ask], Answer]
Writes = Callable[[database.Unit, Ask], Answer]
Perform = Callable[["Route", Ask], Awaitable[Answer]]
Bundles = Callable[[Ask, Perform], Awaitable[Answer]]


class Does(enum.Enum):
    """What an interaction needs of the store."""

    ANSWER = enum.auto()  # nothing
    READ_ONE = enum.auto()  # one statement by a primary key
    READ = enum.auto()  # a snapshot
    WRITE = enum.auto()  # a unit of work of the one writer
    BUNDLE = enum.auto()  # what its entries need


class Body(enum.Enum):
    """What the request carries."""

    NONE = enum.auto()
    RESOURCE = enum.auto()
    OPTIONAL = enum.auto()  # a resource or nothing
    PATCH = enum.auto()
    FORM = enum.auto()  # search parameters


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table. `path` is below /fhir; `prepare` checks the body before the writer gets it."""

    method: str
    path: str
    name: str
    does: Does
    interaction: Answers | Reads | Writes | Bundles
    body: Body = Body.NONE
    prepare: Callable[[Ask], Ask] | None = None

    @property
    def answers(self) -> Answers:
        """The interaction of a route that needs no store."""
        return self.interaction  # type: ignore[return-value]

    @property
    def reads(self) -> Reads:
        """The interaction of a route that reads."""
        return self.interaction  # type: ignore[return-value]

    @property
    def writes(self) -> Writes:
        """The interaction of a route that writes."""
        return self.interaction  # type: ignore[return-value]

    @property
    def bundles(self) -> Bundles:
        """The interaction of a route that takes a Bundle apart."""
        return self.interaction  # type: ignore[return-value]


class Table:
    """The routes in their order: the first that fits an address is the one."""

    def __init__(self, *routes: Route) -> None:
        self.routes = routes
        self._by_length: dict[int, list[tuple[Route, tuple[str, ...]]]] = {}
        for route in routes:
            segments = tuple(route.path.split("/")) if route.path else ()
            self._by_length.setdefault(len(segments), []).append((route, segments))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route of an address and the parts that it names.

        404 for an unknown address or resource type, 405 with Allow for a method that the address does not have.
        """
        segments = path.split("/") if path else []
        allowed: dict[str, None] = {}
        for route, pattern in self._by_length.get(len(segments), ()):
            parts = _parts(pattern, segments)
            if parts is not None:
                if route.method == ("GET" if method == "HEAD" else method):
                    _supported(parts)
                    return route, parts
                allowed[route.method] = None
        if not allowed:
            raise outcomes.Refused(404, outcomes.Issue("not-found", "There is nothing at this address."))
        _supported(_parts_of_type(segments))
        methods = ", ".join([*allowed, *(["HEAD"] if "GET" in allowed else [])])
        raise outcomes.not_allowed("This address does not allow this method.", Allow=methods)


def _parts(pattern: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    parts: dict[str, str] = {}
    for expected, given in zip(pattern, segments, strict=True):
        if expected.startswith("{"):
            if not given or given.startswith(("$", "_")) or (expected == "{type}" and not given[0].isupper()):
                return None
            parts[expected[1:-1]] = given
        elif expected != given:
            return None
        elif expected[0].isupper():
            parts["type"] = expected
    return parts


def _parts_of_type(segments: list[str]) -> dict[str, str]:
    return {"type": segments[0]} if segments and segments[0][:1].isupper() else {}


def _supported(parts: dict[str, str]) -> None:
    resource_type = parts.get("type")
    if resource_type is not None and resource_type not in types.SUPPORTED:
        raise outcomes.not_supported(resource_type)
