"""The primitive types of FHIR R4: JSON form, syntax, calendar and the limited XHTML of a narrative.

Specification: https://hl7.org/fhir/R4/datatypes.html#primitive, https://hl7.org/fhir/R4/json.html#primitive and
https://hl7.org/fhir/R4/narrative.html#xhtml.  A check takes the decoded JSON value and answers None when it is right,
else the `Problem`.  No rule repeats the value that it judges: a value may be patient data.
"""

import binascii
import calendar
import datetime
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import NamedTuple
from xml.parsers import expat


class Problem(NamedTuple):
    """What is wrong with a primitive value: the IssueType code and the rule, a sentence's end without the full stop."""

    code: str
    rule: str
    severity: str = "error"


Check = Callable[[object], Problem | None]

MAX_STRING = 1024 * 1024  # characters, R4 string
INT32_MAX = 2**31 - 1

# Characters that neither UTF-8 nor a PostgreSQL text can carry, and those that R4 asks to leave out of a string.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f]")
_NOT_A_STRING = Problem("structure", "must be a JSON string")
_EMPTY = Problem("value", "must not be an empty string")
_UNSTORABLE_CHARACTER = Problem("value", "must not hold the character U+0000 or half a surrogate pair")
_CONTROL_CHARACTER = Problem("value", "should not hold control characters other than tab and line break", "warning")
_TOO_LONG = Problem("value", f"must not be longer than {MAX_STRING} characters")


def _text(value: object) -> Problem | None:
    """string and markdown: not empty, at most 1 MB, only storable characters."""
    if type(value) is not str:
        return _NOT_A_STRING
    if not value:
        return _EMPTY
    if len(value) > MAX_STRING:
        return _TOO_LONG
    if value.isprintable():
        return None
    return _characters(value)


def _characters(value: str) -> Problem | None:
    if _UNSTORABLE.search(value):
        return _UNSTORABLE_CHARACTER
    return _CONTROL_CHARACTER if _CONTROL.search(value) else None


def _pattern(regex: str, rule: str) -> Check:
    """The check of a primitive whose whole JSON string must match R4's regular expression."""
    matches = re.compile(regex).fullmatch
    problem = Problem("value", rule)

    def check(value: object) -> Problem | None:
        if type(value) is not str:
            return _NOT_A_STRING
        if matches(value) is None:
            return problem if value else _EMPTY
        return None if value.isprintable() else _characters(value)

    return check


_YEAR = r"(?!0000)[0-9]{4}"
_MONTH = r"(?:0[1-9]|1[0-2])"
_DAY = r"(?:0[1-9]|[12][0-9]|3[01])"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_NO_SUCH_DAY = Problem("value", "must be a day that exists in the calendar")


def _calendar(regex: str, rule: str) -> Check:
    """The check of a primitive that starts with a date, whose day must exist."""
    syntax = _pattern(regex, rule)

    def check(value: object) -> Problem | None:
        problem = syntax(value)
        if problem is not None or type(value) is not str or len(value) < 10 or value[8:10] < "29":
            return problem
        return None if _day(value) else _NO_SUCH_DAY

    return check


def _day(value: str) -> bool:
    return int(value[8:10]) <= calendar.monthrange(int(value[:4]), int(value[5:7]))[1]


def _whole(minimum: int, maximum: int, rule: str) -> Check:
    """The check of integer, positiveInt or unsignedInt: a JSON integer within the bounds, both allowed."""
    outside = Problem("value", rule)
    not_whole = Problem("structure", "must be a JSON number without fraction and exponent")

    def check(value: object) -> Problem | None:
        if type(value) is not int:
            return not_whole
        return None if minimum <= value <= maximum else outside

    return check


_NOT_BOOLEAN = Problem("structure", "must be the JSON value true or false")
_NOT_A_NUMBER = Problem("structure", "must be a JSON number")
#: Decimal places before or after the point; beyond it nothing can be computed. R4 has examples to 245.
_EXPONENT = 400
_OUT_OF_RANGE = Problem("value", "must be a number of at most 400 places before and after the point")
_NOT_BASE64 = Problem("value", "must be base64 text (groups of four characters, padded with '=')")


def _boolean(value: object) -> Problem | None:
    return None if type(value) is bool else _NOT_BOOLEAN


def _decimal(value: object) -> Problem | None:
    if type(value) is int:
        return None
    if isinstance(value, (Decimal, float)):
        number = Decimal(value)
        if not number.is_finite():
            return _NOT_A_NUMBER
        return None if abs(number.adjusted()) <= _EXPONENT else _OUT_OF_RANGE
    return _NOT_A_NUMBER


def _base64(value: object) -> Problem | None:
    if type(value) is not str:
        return _NOT_A_STRING
    if not value:
        return _EMPTY
    try:
        decoded = binascii.a2b_base64("".join(value.split()), strict_mode=True)
    except ValueError:
        return _NOT_BASE64
    return None if decoded else _NOT_BASE64


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


XHTML = "http://www.w3.org/1999/xhtml"
# https://hl7.org/fhir/R4/narrative.html#xhtml, constraint txt-1: the elements that a narrative may use.
_XHTML_ELEMENTS = _names(
    """a abbr acronym b big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i img
    li ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var"""
)
# Elements that run, load or send something when a browser shows them.
_ACTIVE_ELEMENTS = _names(
    """applet audio base button embed form frame frameset iframe input link math meta object script select style svg
    template textarea video"""
)
_URL_ATTRIBUTES = _names("action background cite data formaction href longdesc ping poster src usemap")
_ACTIVE_URL = re.compile(r"(?:javascript|vbscript|data:(?!image/(?!svg)))", re.IGNORECASE)
_ACTIVE_STYLE = re.compile(r"javascript:|expression\(|@import", re.IGNORECASE)
_BLANK = re.compile(r"[\x00-\x20\x7f-\xa0\u200b\ufeff]+")
_NOT_A_DIV = Problem("value", f"must start with <div in the namespace {XHTML}")
_NOT_WELL_FORMED = Problem("value", "must be well-formed XML (only the five XML entities, no document type)")
_NO_CONTENT = Problem("value", "must have some content, text or an image (txt-2)")
_ACTIVE = Problem(
    "value", "must not hold active content: scripts, frames, forms, event attributes, script URLs (txt-1)"
)
_NOT_BASIC = Problem("value", "should hold only the basic formatting elements of XHTML (txt-1)", "warning")


class _RefusedError(Exception):
    """The XHTML breaks a rule that ends the reading of it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.rule)
        self.problem = problem


class _XhtmlReader:
    """What an XML parser tells of a narrative; raises `_RefusedError` at the first error."""

    def __init__(self) -> None:
        self.root_seen = False
        self.content = False
        self.basic = True

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        if not self.root_seen and (namespace, local) != (XHTML, "div"):
            raise _RefusedError(_NOT_A_DIV)
        self.root_seen = True
        lowered = local.lower()
        if lowered in _ACTIVE_ELEMENTS or any(map(_active_attribute, attributes, attributes.values())):
            raise _RefusedError(_ACTIVE)
        self.content = self.content or local == "img"
        self.basic = self.basic and namespace == XHTML and local in _XHTML_ELEMENTS

    def text(self, data: str) -> None:
        self.content = self.content or not data.isspace()

    def refuse(self, *_: object) -> None:
        raise _RefusedError(_NOT_WELL_FORMED)


def _active_attribute(name: str, value: str) -> bool:
    local = name.rpartition(" ")[2].lower()
    if local == "style":
        return _ACTIVE_STYLE.search(_BLANK.sub("", value)) is not None
    if local in _URL_ATTRIBUTES:
        return _ACTIVE_URL.match(_BLANK.sub("", value)) is not None
    return local.startswith("on") or local == "srcdoc"


def _xhtml(value: object) -> Problem | None:
    """Narrative.div: https://hl7.org/fhir/R4/narrative.html#Narrative with txt-1 (harmful content only) and txt-2."""
    if type(value) is not str:
        return _NOT_A_STRING
    if not value.lstrip().startswith("<div"):
        return _NOT_A_DIV
    reader = _XhtmlReader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.EntityDeclHandler = reader.refuse
    parser.ProcessingInstructionHandler = reader.refuse
    try:
        parser.Parse(value.lstrip(), True)
    except _RefusedError as refused:
        return refused.problem
    except (expat.ExpatError, ValueError):
        return _NOT_WELL_FORMED
    if not reader.content:
        return _NO_CONTENT
    return None if reader.basic else _NOT_BASIC


_URI = _pattern(r"\S+", "must be a URI without white space")

# R4 primitive type -> check.  https://hl7.org/fhir/R4/datatypes.html#primitive gives the expressions.
CHECKS: Mapping[str, Check] = {
    "base64Binary": _base64,
    "boolean": _boolean,
    "canonical": _URI,
    "code": _pattern(r"[^\s]+(?:\s[^\s]+)*", "must be a code: no space at either end, single spaces within"),
    "date": _calendar(rf"{_YEAR}(?:-{_MONTH}(?:-{_DAY})?)?", "must be a date: YYYY, YYYY-MM or YYYY-MM-DD"),
    "dateTime": _calendar(
        rf"{_YEAR}(?:-{_MONTH}(?:-{_DAY}(?:T{_CLOCK}{_ZONE})?)?)?",
        "must be a dateTime: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a time zone",
    ),
    "decimal": _decimal,
    "id": _pattern(r"[A-Za-z0-9\-.]{1,64}", "must be an id: 1 to 64 letters A-Z, digits, hyphens and full stops"),
    "instant": _calendar(
        rf"{_YEAR}-{_MONTH}-{_DAY}T{_CLOCK}{_ZONE}", "must be an instant: YYYY-MM-DDThh:mm:ss with a time zone"
    ),
    "integer": _whole(-INT32_MAX - 1, INT32_MAX, "must lie between -2147483648 and 2147483647"),
    "markdown": _text,
    "oid": _pattern(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+", "must be an OID in the form urn:oid:1.2.3"),
    "positiveInt": _whole(1, INT32_MAX, "must lie between 1 and 2147483647"),
    "string": _text,
    "time": _pattern(_CLOCK, "must be a time: hh:mm:ss, without a time zone"),
    "unsignedInt": _whole(0, INT32_MAX, "must lie between 0 and 2147483647"),
    "uri": _URI,
    "url": _URI,
    "uuid": _pattern(
        r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "must be a UUID in the form urn:uuid:c757873d-ec9a-4326-a141-556f43239520, in lower case",
    ),
    "xhtml": _xhtml,
}


def in_order(start: object, end: object) -> bool:
    """Whether a Period's start can lie before or at its end (per-1): https://hl7.org/fhir/R4/datatypes.html#Period.

    True too when either is no valid dateTime (its own check says so) and when the precision leaves the order open.
    A date and a time of day may lie a day apart, because the date's time zone is unknown.
    """
    if type(start) is not str or type(end) is not str or CHECKS["dateTime"](start) or CHECKS["dateTime"](end):
        return True
    if "T" in start and "T" in end:
        return _moment(start) <= _moment(end)
    slack = 1 if "T" in start or "T" in end else 0
    return _first_day(start) <= _last_day(end) + slack


def _moment(value: str) -> datetime.datetime:
    # A leap second counts as the second before it; datetime knows none.
    return datetime.datetime.fromisoformat(value[:17] + value[17:19].replace("60", "59") + value[19:])


def _first_day(value: str) -> int:
    return datetime.date(int(value[:4]), int(value[5:7] or 1), int(value[8:10] or 1)).toordinal()


def _last_day(value: str) -> int:
    year, month = int(value[:4]), int(value[5:7] or 12)
    return datetime.date(year, month, int(value[8:10] or calendar.monthrange(year, month)[1])).toordinal()
