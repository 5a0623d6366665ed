"""What makes a Subscription unacceptable. https://hl7.org/fhir/R4/subscription.html

"A client can only submit subscription resources in the requested or off state. Only the server can move a subscription
from requested to active, and then to error."
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from fhir_gateway.search import query
from fhir_gateway.store import codec
from fhir_gateway.subscriptions import channel, criteria


class Settings(Protocol):
    """The part of `[subscriptions]` that the rules need."""

    @property
    def hosts(self) -> Sequence[str]:
        """The hosts that may be addressed."""


def check(subscription: codec.Resource, settings: Settings) -> list[channel.Fault]:
    """Why a client's Subscription is refused: (text, FHIRPath, IssueType) each. Empty when it is acceptable.

    One that is turned off may say what it likes: it does nothing, and must remain possible to turn off when the
    configuration has changed.
    """
    status = subscription.get("status")
    if status == "off":
        return []
    found = faults(subscription, settings)
    if status != "requested":
        text = "A client submits a Subscription as requested or off; the gateway makes it active."
        found.insert(0, (text, "Subscription.status", "business-rule"))
    return found


def faults(subscription: codec.Resource, settings: Settings) -> list[channel.Fault]:
    """What stands against delivering this Subscription, whatever its status."""
    return [*_of_criteria(subscription), *channel.faults(subscription, settings.hosts)]


def _of_criteria(subscription: codec.Resource) -> Iterator[channel.Fault]:
    text = subscription.get("criteria")
    if not isinstance(text, str):
        yield "A Subscription has criteria.", "Subscription.criteria", "required"
        return
    try:
        criteria.matcher(text)
    except query.BadQuery as error:
        yield error.text, "Subscription.criteria", error.code
