"""Answers to HL7 v2 messages. HL7 v2.5 chapter 2.9 (acknowledgement modes) and 2.15 (ERR, MSA, MSH).

Original mode (MSH-15 and MSH-16 empty): one answer, AA, AE or AR. Enhanced mode: a commit answer (CA, CE, CR) as MSH-15
wants it, an application answer (AA, AE, AR) as MSH-16 wants it; an empty one of the two is NE.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from fhir_gateway import ids
from mappers import er7

Mode = Literal["as-sent", "original", "enhanced"]

_KNOWN: Final = ("AL", "NE", "ER", "SU")  # HL7 table 0155

#: HL7 table 0357, the rows that we use.
ERRORS: Final = {
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "200": "Unsupported message type",
    "205": "Duplicate key identifier",
    "207": "Application internal error",
}


@dataclass(frozen=True, slots=True)
class Error:
    """One ERR segment: a row of table 0357, where (`PID-3`, empty: the message), and why, in a sentence of ours."""

    code: str
    text: str
    at: str = ""


@dataclass(frozen=True, slots=True)
class Wishes:
    """Which answers the sender waits for: MSH-15 and MSH-16, as the site reads them."""

    is_enhanced: bool
    commit: str = "AL"
    application: str = "NE"

    def wants_commit(self, *, is_good: bool) -> bool:
        """Whether a commit answer is sent. In original mode the one answer is sent always."""
        return not self.is_enhanced or _wants(self.commit, is_good=is_good)

    def wants_application(self, *, is_good: bool) -> bool:
        """Whether an application answer follows."""
        return self.is_enhanced and _wants(self.application, is_good=is_good)

    @property
    def may_want_application(self) -> bool:
        """Whether the outcome of the mapping has to be waited for."""
        return self.is_enhanced and self.application in ("AL", "ER", "SU")


def _wants(condition: str, *, is_good: bool) -> bool:
    return condition == "AL" or condition == ("SU" if is_good else "ER")


def wishes(message: er7.Message | None, mode: Mode) -> Wishes:
    """What a message's header asks for; `mode` is the site's word where it has one."""
    commit = message.text("MSH-15").upper() if message else ""
    application = message.text("MSH-16").upper() if message else ""
    if mode == "original" or (mode == "as-sent" and not commit and not application):
        return Wishes(is_enhanced=False)
    if mode == "enhanced" and not commit and not application:
        return Wishes(is_enhanced=True)
    # A code that nobody knows is a sender's mistake: it gets the answer that receipt is told by.
    commit, application = commit or "NE", application or "NE"
    return Wishes(True, commit if commit in _KNOWN else "AL", application if application in _KNOWN else "NE")


def build(
    message: er7.Message | None,
    code: str,
    now: dt.datetime,
    errors: Sequence[Error] = (),
    *,
    control: str | None = None,
) -> bytes:
    """The answer to `message` (None: to what cannot be read) with MSA-1 `code`, in its delimiters and character set."""
    context = message.context if message else er7.Context(er7.STANDARD)
    said = message.text if message else (lambda _path: "")
    version = said("MSH-12") or "2.5"
    head: dict[int, er7.FieldValue] = {
        3: _field(message, 5),
        4: _field(message, 6),
        5: _field(message, 3),
        6: _field(message, 4),
        7: now.strftime("%Y%m%d%H%M%S%z"),
        9: ("ACK", said("MSH-9.2"), "ACK") if said("MSH-9.2") and version >= "2.4" else "ACK",
        10: control or ids.new().replace("-", "")[:20],
        11: _field(message, 11) or "P",
        12: _field(message, 12) or "2.5",
        18: _field(message, 18),
    }
    first = errors[0].text if errors else None
    segments = [
        er7.segment("MSH", head, context),
        er7.segment("MSA", {1: code, 2: _field(message, 10), 3: first if version < "2.5" else None}, context),
        *(_error(error, context, version, code) for error in errors),
    ]
    answer = er7.Message(segments, context)
    try:
        return answer.encode()
    except er7.Unencodable:
        return str(answer).encode(answer.codec, "replace")


def _field(message: er7.Message | None, number: int) -> er7.Raw | None:
    """A field of the header as it came."""
    header = message.segments[0] if message else None
    return er7.Raw(header.field(number).raw) if header is not None else None


def _error(error: Error, context: er7.Context, version: str, code: str) -> er7.Segment:
    name, _, rest = error.at.partition("-")
    number = rest.split(".")[0].split("[")[0]
    meaning = (error.code, ERRORS[error.code], "HL70357")
    if version < "2.5":  # ELD: segment, its number, field, and the code, which a sender without subcomponents gets bare
        eld = meaning if context.delimiters.subcomponent else error.code
        return er7.segment("ERR", {1: (name, "1" if name else "", number, eld)}, context)
    return er7.segment(
        "ERR",
        {
            2: (name, "1", number) if number else ((name, "1") if name else None),
            3: meaning,
            4: "W" if code in ("AA", "CA") else "E",
            8: error.text,
        },
        context,
    )
