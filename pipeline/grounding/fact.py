"""A critical fact as it is compared: what it is about, and what is said of it."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal[
    "allergy", "reaction", "drug", "dose", "frequency", "red_flag", "vital", "lab", "state", "diagnosis", "illness"
]

#: What the pair of a blood pressure is about; it has no key of its own in the laboratory table.
PRESSURE = "blood_pressure"


class Fact(NamedTuple):
    """A critical fact as it is compared: what it is about, and what is said of it.

    `value` is a number or, of what can be so or not so: yes, no, was (in the past), if (advice for when it comes),
    maybe (suspected). A diagnosis is about the ICD code of its term, an illness about the code of the prescribing rules
    that asks for it, a state about its German name in the table `german/states`.
    """

    kind: Kind
    about: str
    value: str
