"""Which models to disqualify: the limits, why each is there, and the sentence that a failed one is told by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.evaluation import figures, shares
from pipeline.grounding import summary


@dataclass(frozen=True, slots=True)
class Limit:
    """A figure of `figures.FIGURES` that must not be above or below a number; shares are from 0 to 1."""

    figure: str
    kind: Literal["at most", "at least"]
    number: float
    why: str

    def is_kept(self, value: shares.Value) -> bool:
        """Whether a figure is within the limit."""
        return value.value <= self.number if self.kind == "at most" else value.value >= self.number

    @property
    def bound(self) -> str:
        """The number as a person reads it."""
        return figures.text(figures.BY_NAME[self.figure], shares.Value(self.number, None, 0)).replace(".0%", "%")

    def sentence(self, value: shares.Value) -> str:
        """What is wrong, with the figure and the limit."""
        figure = figures.BY_NAME[self.figure]
        told = figures.text(figure, value)
        if value.part is not None:
            told += f" ({value.part:,.0f} of {value.whole:,.0f})"
        group = figures.GROUPS[figure.group]
        verb = "allowed" if self.kind == "at most" else "needed"
        return f"{group}, {figure.title}: {told}; {self.kind} {self.bound} is {verb}. {self.why}"


_READABILITY = "readability"

#: The limits, that on the reading ease with the default of `summary.readability`: see `of`.
LIMITS: tuple[Limit, ...] = (
    Limit("planted", "at most", 0.0, "It stands in the note and nobody said it."),
    Limit("summary-planted", "at most", 0.0, "The patient reads it and nobody said it."),
    Limit(
        "refused-critical", "at most", 0.05, "The gate stops them, but whoever invents so much will be right by luck."
    ),
    Limit("omitted", "at most", 0.2, "The rules engine adds them, in words that are not the model's."),
    Limit("recall", "at least", 0.6, "A note that leaves out so much has to be written again."),
    Limit(
        "summary-refused-critical", "at most", 0.05, "The gate stops them, and the patient would have believed them."
    ),
    Limit(_READABILITY, "at least", summary.READABLE, "Patients do not understand it."),
    Limit("codes", "at least", 0.6, "Whoever codes after it has to look for the others in the whole catalogue."),
    Limit("codes-forbidden", "at most", 0.05, "The patient keeps a wrong diagnosis, and the invoice is wrong."),
    Limit("errors", "at least", 0.8, "A prescribing error that nobody sees reaches the patient."),
    Limit("items-forbidden", "at most", 0.05, "A fee that was not earned is false billing."),
    Limit("invalid", "at most", 0.05, "Each costs a second try, and the rules engine stands in for two in a row."),
    Limit("loops", "at most", 0.02, "A model that repeats itself once will do so with a patient's text."),
    Limit("truncated", "at most", 0.05, "Its answers do not fit into their bounds."),
    Limit("thinking", "at most", 0.5, "More than half of the time goes into words that nobody sees."),
    Limit("success", "at least", 0.95, "Under this load doctors get the rules engine's result instead."),
)


def of(readability: float) -> tuple[Limit, ...]:
    """The limits for a configuration that asks for this reading ease of a summary."""
    return tuple(replace(limit, number=readability) if limit.figure == _READABILITY else limit for limit in LIMITS)


def failures(limits: Iterable[Limit], value_of: Callable[[figures.Figure], shares.Value | None]) -> tuple[str, ...]:
    """A sentence for each limit that is not kept; what was not measured cannot fail. `value_of` gives the figures."""
    found = []
    for limit in limits:
        value = value_of(figures.BY_NAME[limit.figure])
        if value is not None and not limit.is_kept(value):
            found.append(limit.sentence(value))
    return tuple(found)
