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
_BLANK_ONLY = Problem("value", "should hold more than white space", "warning")


def _text(value: object) -> Problem | None:
    """string and markdown: not empty, at most 1 MB, only storable characters."""
    if type(value) is not str:
        return _NOT_A_STRING
    if not value:
        return _EMPTY
    if len(value) > MAX_STRING:
        return _TOO_LONG
    if value.isspace():
        return _characters(value) or _BLANK_ONLY
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
_LARGEST = 10 ** (_EXPONENT + 1)
_NOT_BASE64 = Problem("value", "must be base64 text (groups of four characters, padded with '=')")


def _boolean(value: object) -> Problem | None:
    return None if type(value) is bool else _NOT_BOOLEAN


def _decimal(value: object) -> Problem | None:
    if type(value) is int:
        return None if -_LARGEST < value < _LARGEST else _OUT_OF_RANGE
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
    if not value.isascii():
        return _NOT_BASE64
    try:
        decoded = binascii.a2b_base64("".join(value.split()), strict_mode=True)
    except ValueError:
        return _NOT_BASE64
    return None if decoded else _NOT_BASE64


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


XHTML = "http://www.w3.org/1999/xhtml"
# What txt-1 allows: the lists of its published expression, and of its words (HTML 4.0, chapters 7 to 11 without 9.4,
# and 15) what is not deprecated: address, bdo and kbd.  Without ins and del (9.4), u, s, strike, font, center.
_XHTML_ELEMENTS = frozenset(
    f"{XHTML} {name}"
    for name in _names(
        """a abbr acronym address b bdo big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4
        h5 h6 hr i img kbd li ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var"""
    )
)
_XHTML_ATTRIBUTES = _names(
    """abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff charset
    class colspan compact coords dir frame headers height hreflang hspace id lang name nowrap rel rev rowspan rules
    scope shape span start summary tabindex title type valign value vspace width"""
) | {"http://www.w3.org/XML/1998/namespace lang", "http://www.w3.org/XML/1998/namespace space"}
_URL_ATTRIBUTES = _names("cite href longdesc src")
# Elements that run, load or send something when a browser shows them.
_ACTIVE_ELEMENTS = _names(
    """applet audio base button embed form frame frameset iframe input link math meta object script select style svg
    template textarea video"""
)
_ACTIVE_URL = re.compile(r"(?:javascript|vbscript|data:(?!image/(?!svg)))", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]*):|//", re.IGNORECASE)
_BLANK = re.compile(r"[\x00-\x20\x7f-\xa0\u200b\ufeff]+")
_ACTIVE_STYLE = re.compile(r"javascript:|expression\(|@import|behaviou?r:|-moz-binding", re.IGNORECASE)
_LOADING_STYLE = re.compile(
    r"""url\((?!['"]?(?:\#|data:image/(?!svg)))|(?:image|image-set|cross-fade|src)\(""", re.IGNORECASE
)
_CSS_ESCAPE = re.compile(r"\\(?:([0-9a-f]{1,6})\s?|(.))", re.IGNORECASE | re.DOTALL)
_CSS_COMMENT = re.compile(r"/\*.*?(?:\*/|$)", re.DOTALL)
_NOT_A_DIV = Problem("invariant", f"must start with <div in the namespace {XHTML} (txt-1)")
_NOT_WELL_FORMED = Problem("value", "must be well-formed XML (only the five XML entities, no document type)")
_NO_CONTENT = Problem("invariant", "must have some content, text or an image (txt-2)")
_ACTIVE = Problem(
    "invariant", "must not hold active content: scripts, frames, forms, event attributes, script URLs (txt-1)"
)
_NOT_BASIC = Problem("invariant", "must hold only the basic formatting elements of XHTML, links and images (txt-1)")
_NO_ATTRIBUTE = Problem("invariant", "must hold only the attributes of basic XHTML formatting (txt-1)")
_LOADING = Problem("invariant", "must not load anything from elsewhere by a style or an image (txt-1)")
# txt-1 allows images and does not say from where; R4 has one of a PACS in its own example of Media.
_OUTER_IMAGE = Problem("value", "should not have images that must be loaded from elsewhere", "warning")


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
        self.outer_image = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if not self.root_seen:
            self.root_seen = True
            if name != f"{XHTML} div":
                raise _RefusedError(_NOT_A_DIV)
        if name not in _XHTML_ELEMENTS:
            active = name.rpartition(" ")[2].lower() in _ACTIVE_ELEMENTS
            raise _RefusedError(_ACTIVE if active else _NOT_BASIC)
        for attribute, value in attributes.items():
            if attribute not in _XHTML_ATTRIBUTES:
                self.attribute(attribute, value)
        if "src" in attributes and name.endswith(" img"):
            self.content = True

    def attribute(self, name: str, value: str) -> None:
        if name == "style":
            problem = _style(value)
        elif name in _URL_ATTRIBUTES:
            problem = _ACTIVE if _ACTIVE_URL.match(_BLANK.sub("", value)) else None
            if problem is None and name == "src":
                problem = self.source(value)
        else:
            local = name.rpartition(" ")[2].lower()
            problem = _ACTIVE if local.startswith("on") or local == "srcdoc" else _NO_ATTRIBUTE
        if problem is not None:
            raise _RefusedError(problem)

    def source(self, value: str) -> Problem | None:
        scheme = _SCHEME.match(_BLANK.sub("", value).replace("\\", "/"))
        if scheme is None or scheme[0].lower() == "data:":
            return None
        self.outer_image = True
        return None if scheme[0].lower() in ("http:", "https:") else _LOADING

    def text(self, data: str) -> None:
        self.content = self.content or not data.isspace()

    def refuse(self, *_: object) -> None:
        raise _RefusedError(_NOT_WELL_FORMED)


def _style(value: str) -> Problem | None:
    """Whether a style attribute runs or loads something, also behind CSS escapes and comments."""
    if "\\" in value:
        value = _CSS_ESCAPE.sub(_unescaped, value)
    value = _BLANK.sub("", _CSS_COMMENT.sub("", value))
    if _ACTIVE_STYLE.search(value):
        return _ACTIVE
    return _LOADING if _LOADING_STYLE.search(value) else None


def _unescaped(match: re.Match[str]) -> str:
    number = int(match[1] or "0", 16)
    return chr(number) if 0 < number <= 0x10FFFF else match[2] or ""


def _xhtml(value: object) -> Problem | None:
    """Narrative.div: https://hl7.org/fhir/R4/narrative.html#Narrative with txt-1 and txt-2."""
    if type(value) is not str:
        return _NOT_A_STRING
    if not value.lstrip().startswith("<div"):
        return _NOT_A_DIV
    reader = _XhtmlReader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
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
    return _OUTER_IMAGE if reader.outer_image else None


_URN_OID = r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+"
_URN_UUID = r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_URN = re.compile(f"{_URN_OID}|{_URN_UUID}")
_BAD_URN = Problem("value", "should have an OID or a lower-case UUID after urn:oid: or urn:uuid:", "warning")
_BAD_URI = Problem("value", "must be a URI without white space")
_unspaced = re.compile(r"\S+").fullmatch


def _uri(value: object) -> Problem | None:
    if type(value) is not str:
        return _NOT_A_STRING
    if _unspaced(value) is None:
        return _BAD_URI if value else _EMPTY
    problem = None if value.isprintable() else _characters(value)
    return problem or (urn(value) if value[:4] == "urn:" else None)


def urn(value: str) -> Problem | None:
    """Whether what follows urn:oid: or urn:uuid: is one; a warning, because R4's pattern of uri takes it."""
    wrong = value.startswith(("urn:oid:", "urn:uuid:")) and _URN.fullmatch(value) is None
    return _BAD_URN if wrong else None


# R4 primitive type -> check.  https://hl7.org/fhir/R4/datatypes.html#primitive gives the expressions.
CHECKS: Mapping[str, Check] = {
    "base64Binary": _base64,
    "boolean": _boolean,
    "canonical": _uri,
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
    "oid": _pattern(_URN_OID, "must be an OID in the form urn:oid:1.2.3"),
    "positiveInt": _whole(1, INT32_MAX, "must lie between 1 and 2147483647"),
    "string": _text,
    "time": _pattern(_CLOCK, "must be a time: hh:mm:ss, without a time zone"),
    "unsignedInt": _whole(0, INT32_MAX, "must lie between 0 and 2147483647"),
    "uri": _uri,
    "url": _uri,
    "uuid": _pattern(
        _URN_UUID,
        "must be a UUID in the form urn:uuid:c757873d-ec9a-4326-a141-556f43239520, in lower case",
    ),
    "xhtml": _xhtml,
}

#: The id of an element that is no resource: https://hl7.org/fhir/R4/element.html#id
ELEMENT_ID = _pattern(r"\S+", "must be an id without white space")
#: A code of the ValueSet mimetypes, all of BCP 13: https://hl7.org/fhir/R4/valueset-mimetypes.html
MIME_TYPE = _pattern(
    r"[A-Za-z0-9][A-Za-z0-9_!#$&^.+\-]*/[A-Za-z0-9][A-Za-z0-9_!#$&^.+\-]*(?:\s?;\s?\S.*)?",
    "must be a MIME type: type/subtype",
)
#: A code of the ValueSet currencies, ISO 4217: https://hl7.org/fhir/R4/valueset-currencies.html
CURRENCY = _pattern(r"[A-Z]{3}", "must be a currency of ISO 4217: three capital letters")


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
