"""What comes out of the pipeline. Every result carries the evidence it rests on."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Literal

from pipeline.clinical import Clinical

Section = Literal["S", "O", "A", "P"]
SECTIONS: tuple[Section, ...] = ("S", "O", "A", "P")
Polarity = Literal["affirmed", "negated", "uncertain", "historical", "family"]
Certainty = Literal["G", "V", "A", "Z"]
Side = Literal["R", "L", "B"]
Severity = Literal["contraindicated", "high", "moderate", "low"]
Harm = Literal["critical", "major", "minor"]


class Evidence(Clinical):
    """Where a result comes from: a segment with the character span inside it, or an item of the record."""

    segment: int | None = None
    start: int | None = None
    end: int | None = None
    record: str | None = None


class Statement(Clinical):
    """One sentence of the note. `id` is unique in the note and becomes the element id in the Composition.

    `is_added` marks what the rules engine put in because a model's note left it out.
    """

    id: str
    section: Section
    text: str
    polarity: Polarity
    evidence: tuple[Evidence, ...]
    is_added: bool = False


class Rejected(Clinical):
    """What the gate refused. `proposal` is the refused text, `reason` our own sentence.

    `check` is the name of the gate's check that it failed and `harm` how bad it would have been in the chart; both are
    None for what a catalogue or a rule of a later stage decided against. `polarity` is what a statement claimed.
    """

    stage: str
    proposal: str
    reason: str
    evidence: tuple[Evidence, ...] = ()
    check: str | None = None
    harm: Harm | None = None
    polarity: Polarity | None = None


class Attempt(Clinical):
    """One question to a model and how it ended. Times are seconds.

    `outcome` is `used`, `ungrounded` (the gate refused too much of it) or the kind of the failure; `text` says why in
    one sentence of ours. `mode` tells how it was decoded: only `single` gives the same text to the bit again.
    """

    model: str
    outcome: str
    text: str = ""
    mode: str | None = None
    is_second: bool = False
    is_closed: bool = False
    prompt_tokens: int = 0
    shared_tokens: int = 0
    tokens: int = 0
    thinking_tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    wall_seconds: float = 0.0


class Work(Clinical):
    """Who made a result: every question to a model in its order. Without any, the rules engine alone."""

    attempts: tuple[Attempt, ...] = ()

    @property
    def model(self) -> str | None:
        """The model whose answer was used; None where it was the rules engine's."""
        return next((attempt.model for attempt in self.attempts if attempt.outcome == "used"), None)

    @property
    def needs_human(self) -> bool:
        """Whether models were asked in vain, so that the rules engine stood in for them."""
        return bool(self.attempts) and self.model is None


class Note(Clinical):
    """The SOAP note: statements in the order of the sections, and what did not make it."""

    statements: tuple[Statement, ...]
    rejected: tuple[Rejected, ...] = ()
    work: Work = Work()

    def section(self, section: Section) -> tuple[Statement, ...]:
        """The statements of one section, in order."""
        return tuple(statement for statement in self.statements if statement.section == section)


class PatientSummary(Clinical):
    """Three to five plain German sentences for the patient, and the notice that stands below them until the release."""

    sentences: tuple[Statement, ...]
    notice: str
    rejected: tuple[Rejected, ...] = ()
    work: Work = Work()


class CodedDiagnosis(Clinical):
    """One ICD-10-GM code. `year` is the catalogue's; `certainty` is None for in-patients.

    `partner`: the code that a star or exclamation code stands with. `reason`: the words and the rule that led here;
    `runner_up`: the code that would have stood without them. `since`: onset as a day, month or year in ISO 8601.
    """

    code: str
    title: str
    year: int
    certainty: Certainty | None
    side: Side | None = None
    mark: Literal["*", "†", "!"] | None = None
    partner: str | None = None
    rank: int
    statement: str
    reason: str
    runner_up: str | None = None
    since: str | None = None
    remark: str | None = None
    evidence: tuple[Evidence, ...]


class Coding(Clinical):
    """The coder's answer: codes by rank, and what fell."""

    diagnoses: tuple[CodedDiagnosis, ...]
    rejected: tuple[Rejected, ...] = ()
    work: Work = Work()


class CheckedDrug(Clinical):
    """A drug that the safety check saw. `ingredients` are German names; empty when the drug is not known.

    `record` is the id of the record's own item when the drug stands there, else None.
    """

    text: str
    ingredients: tuple[str, ...]
    atc: tuple[str, ...]
    status: Literal["prescribed", "continued"]
    record: str | None = None
    evidence: tuple[Evidence, ...]


class PrescribingWarning(Clinical):
    """One finding of the safety check. `drugs` are German ingredient names."""

    rule: str
    kind: str
    severity: Severity
    drugs: tuple[str, ...]
    about: str | None
    explanation: str
    management: str
    source: str
    evidence: tuple[Evidence, ...]


class SafetyCheck(Clinical):
    """The prescribing check. `not-checked` and `found` may hold together: see `gaps`.

    `covered` and `gaps` are German sentences: what was checked, and what could not be and why.
    """

    status: Literal["found", "none", "not-checked"]
    drugs: tuple[CheckedDrug, ...]
    warnings: tuple[PrescribingWarning, ...]
    covered: str
    gaps: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    work: Work = Work()


class BillingItem(Clinical):
    """One proposed fee. Amounts are EUR; `points` is None for items with a fixed price.

    `unit_price` is the price at factor 1 (GOÄ: Einfachsatz), `amount` what is proposed with the factor.
    """

    schedule: Literal["EBM", "GOÄ"]
    code: str
    title: str
    quantity: int
    points: Decimal | None
    factor: Decimal | None
    unit_price: Decimal
    amount: Decimal
    justification: str
    verified: bool
    evidence: tuple[Evidence, ...]


class Billing(Clinical):
    """The biller's answer. `refused` are decisions against an item; `missing` is what the documentation lacks."""

    schedule: Literal["EBM", "GOÄ"]
    assumed: bool
    day: dt.date
    items: tuple[BillingItem, ...]
    refused: tuple[Rejected, ...] = ()
    missing: tuple[str, ...] = ()
    work: Work = Work()

    @property
    def total(self) -> Decimal:
        """The sum of all items in EUR."""
        return sum((item.amount for item in self.items), Decimal("0.00"))
