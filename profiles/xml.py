"""The XML representation of FHIR R4 <-> the plain dicts of its JSON: `decode` and `encode`.

Specification: https://hl7.org/fhir/R4/xml.html, https://hl7.org/fhir/R4/json.html and
https://hl7.org/fhir/R4/narrative.html#xhtml.  Names, types and arrays come from `r4_differences.definition`, the order
of the elements from fhir.resources.  What has no place in R4 is refused, so that nothing is lost in silence; values
that break R4 (`<active value="ja"/>`) come through as strings for `profiles.base` to judge.  Comments, processing
instructions, prefixes and the root's `xsi:schemaLocation` are no content and are left out.

The parser is expat, as for narratives in `primitives`, and not lxml: libxml2 keeps the names it has met in a table of
the thread for good.  A sender could fill the memory, or the table to its limit, after which no document is read.
"""

import re
from codecs import lookup
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from itertools import pairwise, zip_longest
from typing import Any, Final, NoReturn
from xml.parsers import expat

from fhir.resources.R4B import get_fhir_model_class

from profiles import base, primitives, r4_differences
from profiles.r4_differences import Element, definition

FHIR: Final = "http://hl7.org/fhir"
MAX_DEPTH: Final = 250  # elements within elements: more than base.MAX_DEPTH objects and a narrative need
MAX_ATTRIBUTES: Final = 64  # of an element, and namespaces in scope
_CHUNK: Final = 1 << 20  # bytes given to the parser at once
_TOO_MANY: Final = "the body has an element with too many attributes"


class NotXml(ValueError):
    """The body is not readable FHIR XML."""


class NotInXml(ValueError):
    """The resource has no FHIR XML form; correct what `profiles.base.faults` finds, or send it as JSON."""


def decode(body: bytes) -> dict[str, Any]:
    """The resource in `body` as the dict of its JSON: booleans bool, integers int, decimals Decimal, all else str.

    A decimal is a Decimal also where it has no fraction, and keeps its digits (`1.00`; `1e3` is Decimal('1E+3')).  An
    array of primitives that has ids or extensions has both lists at one length, padded with None; one without any
    value has only the list with the underscore.  A narrative is the source text of its div, namespaces declared on it.
    XML 1.0 in the charset of the byte order mark, else of the XML declaration, else UTF-8.  NotXml says where and why
    the body cannot be read, in words that hold no value of it.
    """
    data = _as_utf8(body)
    parser = expat.ParserCreate("utf-8", " ")
    reader = _Reader(data, parser)
    try:
        for start in range(0, len(data), _CHUNK):
            parser.Parse(data[start : start + _CHUNK], False)
            _refuse_many_attributes(data[parser.CurrentByteIndex : start + _CHUNK])
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        rule, at = expat.ErrorString(error.code), f"line {error.lineno}, column {error.offset + 1}"
        raise NotXml(f"the body is not well-formed XML: {rule} ({at})") from None
    finally:
        del reader.parser  # a circle with its handlers: the body would stay in memory until the next collection
    return reader.frames[0].value


def encode(resource: Mapping[str, Any]) -> bytes:
    """`resource` as FHIR XML in UTF-8: with XML declaration, in R4's order, without white space between elements.

    Takes what the base check finds clean.  NotInXml names the place where an element is unknown to R4, empty, too deep
    or of another JSON type than R4's, where a narrative is not the XHTML of R4, and where a string has a character that
    XML 1.0 cannot carry: control characters other than tab and line break, U+FFFE, U+FFFF, surrogates.
    """
    parts = ['<?xml version="1.0" encoding="UTF-8"?>\n']
    _write_resource(parts, dict(resource), None, 0)
    return "".join(parts).encode()


class _Table:
    """One type of R4 as XML needs it."""

    def __init__(self, name: str) -> None:
        of = definition(name)
        ids = {"id", "url"} if name == "Extension" else {"id"}
        self.elements: Final = of.elements
        #: What is no child element: the attributes of a data type, the name of a resource.
        self.attributes: Final = frozenset({"resourceType"} if name in r4_differences.RESOURCE_TYPES else ids)
        #: Namespace, space and name, as expat gives it -> the child element.
        self.children: Final = {
            f"{primitives.XHTML if element.type == 'xhtml' else FHIR} {alias}": element
            for alias, element in of.elements.items()
            if alias not in self.attributes
        }
        labels = [of.elements[a].label for a in get_fhir_model_class(name).elements_sequence() if a in of.elements]
        order = {label: place for place, label in enumerate(labels)}  # by choice: R4 has members that R4B has not
        known = [*of.elements.items(), *of.siblings.items()]
        #: JSON name, with or without underscore -> its place in the order of R4.
        self.places: Final = dict.fromkeys(self.attributes, 0) | {key: order[element.label] for key, element in known}


_table = cache(_Table)

_START: Final = re.compile(  # https://www.w3.org/TR/xml/#sec-guessing
    rb"(?P<utf_32>\xff\xfe\0\0|\0\0\xfe\xff)|(?P<utf_32_le><\0\0\0)|(?P<utf_32_be>\0\0\0<)|"
    rb"(?P<utf_8_sig>\xef\xbb\xbf)|(?P<utf_16>\xff\xfe|\xfe\xff)|(?P<utf_16_le><\0)|(?P<utf_16_be>\0<)"
)
_ENCODING: Final = re.compile(rb"""<\?xml\s[^>]*?\sencoding\s*=\s*["']([A-Za-z][A-Za-z0-9._\-]{0,39})["']""")
# Python's own escapes, which no registry calls a charset of documents.
_NO_CHARSETS: Final = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})


def _as_utf8(body: bytes) -> bytes:
    known, declared = _START.match(body), _ENCODING.match(body, 0, 256)
    charset = (known and known.lastgroup) or (declared[1].decode() if declared else "utf-8")
    try:
        name = lookup(charset).name.replace("_", "-")
        if name in _NO_CHARSETS:
            raise LookupError
        return body if name == "utf-8" else body.decode(charset).encode()  # expat refuses what is not UTF-8
    except LookupError:
        raise NotXml("the XML declaration names a charset that is not known here") from None
    except UnicodeError:
        raise NotXml(f"the body is not in its charset, {name}") from None


def _refuse_many_attributes(unfinished: bytes) -> None:
    """NotXml when the tag that a chunk left unfinished, which expat will read again, has too many attributes."""
    is_tag = unfinished[:1] == b"<" and unfinished[1:2] not in b"!?"
    if is_tag and sum(1 for _ in re.finditer(rb"""\"[^"]*"?|'[^']*'?""", unfinished)) > MAX_ATTRIBUTES:
        raise NotXml(_TOO_MANY)


_INTEGER: Final = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,19})")
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,8})?")
_WHOLE: Final = frozenset({"integer", "positiveInt", "unsignedInt"})


def _from_text(text: str, type_name: str) -> object:
    """The JSON value of a primitive; the text itself where it is none."""
    if type_name == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if type_name in _WHOLE and _INTEGER.fullmatch(text):
        return int(text)
    return Decimal(text) if type_name == "decimal" and _DECIMAL.fullmatch(text) else text


_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_SCHEMA_LOCATION: Final = "http://www.w3.org/2001/XMLSchema-instance schemaLocation"


def _said(name: str) -> str:
    """An element's or attribute's name where it is a plain one: a sender may write anything as a name."""
    namespace, _, local = name.rpartition(" ")
    return local if namespace in ("", FHIR) and _NAME.fullmatch(local) else "something of another name or namespace"


class _Frame:
    """An open element: an object, the id and extensions of a primitive, or the wrapper of a resource."""

    __slots__ = ("arrays", "element", "held", "table", "value")

    def __init__(self, element: Element | None, table: _Table | None) -> None:
        self.element = element  # None: a resource
        self.table = table  # None: the wrapper of a resource
        self.value: dict[str, Any] = {}
        self.held: object = None  # a primitive's value
        self.arrays: set[str] = set()  # names of arrays of primitives, with and without underscore


class _Reader:
    """What expat tells of a body, put together to a resource; raises NotXml at the first thing that has no place."""

    def __init__(self, data: bytes, parser: expat.XMLParserType) -> None:
        self.data = data
        self.frames = [_Frame(None, None)]  # the outermost one holds the result
        self.depth = 0
        self.div: tuple[int, int, int] | None = None  # its depth, its first byte, the namespaces around it
        self.namespaces: list[tuple[str | None, str | None]] = []  # prefix and URI of those in scope
        self.settled = 0  # how many of them belong to elements that have begun
        self.parser = parser
        parser.buffer_text = True
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.text
        parser.StartNamespaceDeclHandler = lambda prefix, uri: self.namespaces.append((prefix, uri))
        parser.EndNamespaceDeclHandler = self.namespace_end
        parser.StartDoctypeDeclHandler = self.doctype

    def doctype(self, *_: object) -> None:
        raise NotXml("the body has a document type declaration, which FHIR XML must not have")

    def refuse(self, rule: str) -> NoReturn:
        """NotXml with the FHIRPath of the innermost open element."""
        path = self.frames[1].value["resourceType"] if len(self.frames) > 1 else "the body"
        for outer, frame in pairwise(self.frames):
            if frame.element is not None:
                many = f"[{len(outer.value.get(frame.element.name, ()))}]" if frame.element.many else ""
                path += f".{frame.element.label}{many}"
        raise NotXml(f"{path} {rule}")

    def namespace_end(self, _prefix: str | None) -> None:
        self.namespaces.pop()
        self.settled = len(self.namespaces)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        around, self.settled = self.settled, len(self.namespaces)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise NotXml(f"the body is nested more than {MAX_DEPTH} elements deep")
        if len(attributes) > MAX_ATTRIBUTES or self.settled > MAX_ATTRIBUTES:
            raise NotXml(_TOO_MANY)
        if self.div is not None:
            return
        outer = self.frames[-1]
        if outer.table is None:
            self.start_resource(name, attributes)
        else:
            element = outer.table.children.get(name)
            if element is None:
                self.refuse(f"holds {_said(name)}, which has no place there in FHIR R4")
            if not element.many and (element.name in outer.value or f"_{element.name}" in outer.value):
                self.refuse(f"has more than one {element.name}")
            if element.type == "xhtml":
                self.div = (self.depth, self.parser.CurrentByteIndex, around)
                return
            self.start_element(element, attributes)
        for attribute in attributes:
            self.refuse(f"has the attribute {_said(attribute)}, which has no place there in FHIR R4")

    def start_resource(self, name: str, attributes: dict[str, str]) -> None:
        """Open a resource; takes the attributes away that it may have."""
        namespace, _, resource_type = name.rpartition(" ")
        if self.frames[-1].value:
            self.refuse("must hold one resource and not more")
        if namespace != FHIR or resource_type not in r4_differences.RESOURCE_TYPES:
            self.refuse(f"must hold a resource of FHIR R4, in the namespace {FHIR}")
        if resource_type in r4_differences.NOT_IN_R4B:
            self.refuse(f"holds a resource of the type {resource_type}, which this gateway does not take")
        if len(self.frames) == 1:
            attributes.pop(_SCHEMA_LOCATION, None)
        self.frames.append(_Frame(None, _table(resource_type)))
        self.frames[-1].value["resourceType"] = resource_type

    def start_element(self, element: Element, attributes: dict[str, str]) -> None:
        """Open an element; takes the attributes away that it may have."""
        primitive = element.check is not None
        table = None if element.type == "Resource" else _table("Element" if primitive else element.type)
        frame = _Frame(element, table)
        self.frames.append(frame)
        if primitive and "value" in attributes:
            frame.held = _from_text(attributes.pop("value"), element.type)
        for name in [name for name in attributes if table is not None and name in table.attributes]:
            frame.value[name] = attributes.pop(name)

    def text(self, text: str) -> None:
        if self.div is None and text.strip(" \t\r\n"):
            self.refuse("holds text, which has no place there in FHIR XML")

    def end(self, _name: str) -> None:
        self.depth -= 1
        if self.div is not None:
            if self.depth < self.div[0]:
                self.frames[-1].value["div"] = self.narrative(*self.div[1:])
                self.div = None
            return
        frame = self.frames[-1]
        if frame.table is None and not frame.value:
            self.refuse("must hold a resource")
        for name in frame.arrays:
            if all(item is None for item in frame.value[name]):
                del frame.value[name]
        self.frames.pop()
        if frame.element is None:
            self.frames[-1].value = frame.value
        else:
            self.put(self.frames[-1], frame.element, frame)

    def put(self, outer: _Frame, element: Element, frame: _Frame) -> None:
        """A closed element into its object; an empty primitive shows as `{}` under the name with underscore."""
        name, sibling, primitive = element.name, f"_{element.name}", element.check is not None
        value = frame.held if primitive else frame.value
        extended = frame.value if primitive and (frame.value or value is None) else None
        if element.many:
            outer.value.setdefault(name, []).append(value)
            if primitive:
                outer.value.setdefault(sibling, []).append(extended)
                outer.arrays.update((name, sibling))
            return
        if value is not None:
            outer.value[name] = value
        if extended is not None:
            outer.value[sibling] = extended

    def narrative(self, start: int, around: int) -> str:
        """The source of the div, with the namespaces that it takes from the elements around it."""
        end = self.parser.CurrentByteIndex
        tag = re.split(rb"[\s/>]", self.data[start:end], maxsplit=1)[0]
        if self.data.startswith(b"</" + tag[1:], end):  # else the div is an empty-element tag, and ends here
            end = self.data.index(b">", end) + 1
        inner = self.data[start + len(tag) : end].decode()
        own = dict(self.namespaces[around:])
        taken = "".join(
            f' xmlns{f":{prefix}" if prefix else ""}="{_escaped(uri or "")}"'
            for prefix, uri in dict(self.namespaces[:around]).items()
            if prefix not in own and (prefix is None or f"{prefix}:" in inner)
        )
        return f"{tag.decode()}{taken}{inner}"


_TYPES: Final[Mapping[str, Any]] = {"boolean": bool, "decimal": (int, Decimal, float)} | dict.fromkeys(_WHOLE, int)
_NOT_IN_XML: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPECIAL: Final = re.compile("[^ !#-%'-;=?-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # those and the escapes
_ESCAPES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)


def _escaped(text: str) -> str:
    """`text` within double quotes; ValueError where XML 1.0 cannot carry it: https://www.w3.org/TR/xml/#charsets."""
    if _SPECIAL.search(text) is None:
        return text
    if _NOT_IN_XML.search(text) is not None:
        raise ValueError
    return text.translate(_ESCAPES)


def _to_text(value: object, element: Element, path: str) -> str:
    """A primitive as the text of an XML attribute."""
    if not isinstance(value, _TYPES.get(element.type, str)) or isinstance(value, bool) != (element.type == "boolean"):
        raise NotInXml(f"{path} must be of the JSON type that {element.type} has")
    try:
        text = _escaped(str(value).lower() if isinstance(value, bool) else str(value))
    except ValueError:  # also of an int with more digits than Python writes
        raise NotInXml(f"{path} has a character or a number that cannot be written in XML") from None
    if element.type == "decimal" and not _DECIMAL.fullmatch(text):
        raise NotInXml(f"{path} must be a finite number")
    return text


def _write_resource(parts: list[str], value: object, path: str | None, depth: int) -> None:
    """A resource: at the top, where `path` is None, or within another."""
    name = value.get("resourceType") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(name, str) or name not in base.known_types():
        raise NotInXml(f"{path or 'the resource'} must be an object with a resource type of FHIR R4")
    parts.append(f"<{name}>" if path else f'<{name} xmlns="{FHIR}">')
    _write_children(parts, value, _table(name), path or name, depth)
    parts.append(f"</{name}>")


def _write_children(parts: list[str], value: dict[str, Any], table: _Table, path: str, depth: int) -> None:
    """The child elements of an object; its attributes are written with its start tag."""
    if depth > base.MAX_DEPTH:
        raise NotInXml(f"{path} must not be nested more than {base.MAX_DEPTH} levels deep")
    if not value.keys() <= table.places.keys():
        raise NotInXml(f"{path} holds a name that is no element of it in FHIR R4")
    names = dict.fromkeys(key.removeprefix("_") for key in value if key not in table.attributes)
    for name in sorted(names, key=table.places.__getitem__):
        element, held, extended = table.elements[name], value.get(name), value.get(f"_{name}")
        at = f"{path}.{element.label}"
        if not element.many:
            _write_element(parts, held, extended, element, at, depth)
            continue
        for items in (held, extended):
            if items is not None and (not isinstance(items, list) or not items):
                raise NotInXml(f"{at} must be a JSON array with members")
        for index, (item, sibling) in enumerate(zip_longest(held or (), extended or ())):
            _write_element(parts, item, sibling, element, f"{at}[{index}]", depth)


def _write_element(parts: list[str], value: object, extended: object, element: Element, path: str, depth: int) -> None:
    """One element; `extended` is what a primitive has under its name with underscore."""
    name, primitive = element.name, element.check is not None
    if element.type == "xhtml":
        problem = primitives.CHECKS["xhtml"](value)
        if problem is not None and problem.severity == "error":
            raise NotInXml(f"{path} {problem.rule}")
        parts.append(str(value).strip())
        return
    if element.type == "Resource":
        parts.append(f"<{name}>")
        _write_resource(parts, value, path, depth + 1)
        parts.append(f"</{name}>")
        return
    start = f'<{name} value="{_to_text(value, element, path)}"' if primitive and value is not None else f"<{name}"
    if primitive and value is not None and extended is None:
        parts.append(f"{start}/>")
        return
    held, table = (extended, _table("Element")) if primitive else (value, _table(element.type))
    if not isinstance(held, dict) or not held:
        raise NotInXml(f"{path} must be a JSON object with members")
    for attribute in sorted(table.attributes & held.keys()):
        start += f' {attribute}="{_to_text(held[attribute], table.elements[attribute], f"{path}.{attribute}")}"'
    parts.append(f"{start}>")
    before = len(parts)
    _write_children(parts, held, table, path, depth + 1)
    if len(parts) > before:
        parts.append(f"</{name}>")
    else:
        parts[-1] = f"{start}/>"
