"""HL7 v2 messages: bytes to a tree by the standard's own words and back, byte for byte. HL7 v2.5 chapter 2.

A message keeps its text as it came; segments, fields and what is in them are cut out of it when they are asked for, so
what nobody changes comes back exactly, in any version, with Z segments, odd line ends and unknown escapes. Reading goes
through `text`, which undoes the escapes; writing goes through `segment`, which makes them, so that no text can become a
delimiter or a segment.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

#: HL7 table 0211, and how senders write it too; spelled without blanks, "/" and "_".
_CODECS: Final = {
    "ASCII": "ascii", "USASCII": "ascii", "ISOIR6": "ascii", "8859": "iso8859-1", "ISOIR100": "iso8859-1",
    "LATIN1": "iso8859-1", "WINDOWS1252": "cp1252", "CP1252": "cp1252", "ANSI": "cp1252",
    "UNICODE": "utf-8", "UNICODEUTF8": "utf-8", "UTF8": "utf-8",
    "UTF16": "utf-16-be", "UNICODEUTF16": "utf-16-be", "UNICODEUTF32": "utf-32-be",
    **{f"{prefix}8859{part}": f"iso8859-{part}" for prefix in ("", "ISO") for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
}  # fmt: skip

_BEYOND_ASCII: Final = frozenset(
    codec for codec in _CODECS.values() if codec not in ("ascii", "utf-16-be", "utf-32-be")
)
_WESTERN: Final = ("iso8859-1", "iso8859-15", "cp1252")  # what western European senders declare
_WINDOWS: Final = range(0x80, 0xA0)

_HEADERS: Final = ("MSH", "FHS", "BHS")
_NAME: Final = re.compile("[A-Z][A-Z0-9]{2}")
_BLANK: Final = b"\r\n\t \x00"  # may stand before a message
_BY_CR: Final = re.compile(r"\r[\r\n]*")
_BY_LF: Final = re.compile(r"[\r\n]+")
_BEGINS_MESSAGE: Final = re.compile(r"MSH[!-/:-@\[-`{-~]")
_IS_OF_BATCH: Final = re.compile(r"(?:FHS|BHS|BTS|FTS)(?![A-Za-z0-9])")
NULL: Final = '""'  # a field that says: delete what you have


#: Number of a segment in its message (from 0), field, repetition, component, subcomponent (from 1).
Leaf = tuple[int, int, int, int, int]


class Malformed(Exception):
    """The bytes are no HL7 v2 message. The text says what is wrong with them."""


class Unencodable(Exception):
    """The message has characters that its character set does not have."""


@dataclass(frozen=True, slots=True)
class Delimiters:
    """MSH-1 and MSH-2. One that a message does not have is empty."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""

    @property
    def encoding_characters(self) -> str:
        """MSH-2."""
        return self.component + self.repetition + self.escape + self.subcomponent + self.truncation


STANDARD: Final = Delimiters()


class Subcomponent:
    """The smallest part. `raw` is as it came, `text` what it says."""

    __slots__ = ("_context", "raw")

    def __init__(self, raw: str, context: Context) -> None:
        self.raw = raw
        self._context = context

    @property
    def text(self) -> str:
        """What it says: escapes undone, `""` (delete) as nothing."""
        return "" if self.raw == NULL else unescape(self.raw, self._context)


class Component:
    """A component with its subcomponents."""

    __slots__ = ("_context", "raw")

    def __init__(self, raw: str, context: Context) -> None:
        self.raw = raw
        self._context = context

    @property
    def subcomponents(self) -> list[Subcomponent]:
        """All of them; one at least."""
        return [Subcomponent(raw, self._context) for raw in _split(self.raw, self._context.delimiters.subcomponent)]

    def subcomponent(self, number: int) -> Subcomponent:
        """The subcomponent of this number, from 1; an empty one where there is none."""
        return Subcomponent(_nth(self.raw, self._context.delimiters.subcomponent, number), self._context)

    @property
    def text(self) -> str:
        """What the first subcomponent says: the value, for a component that is not divided."""
        return self.subcomponent(1).text


class Repetition:
    """One of a field's values."""

    __slots__ = ("_context", "raw")

    def __init__(self, raw: str, context: Context) -> None:
        self.raw = raw
        self._context = context

    @property
    def components(self) -> list[Component]:
        """All of them; one at least."""
        return [Component(raw, self._context) for raw in _split(self.raw, self._context.delimiters.component)]

    def component(self, number: int) -> Component:
        """The component of this number, from 1; an empty one where there is none."""
        return Component(_nth(self.raw, self._context.delimiters.component, number), self._context)

    @property
    def text(self) -> str:
        """What the first component says: the value, for a field that is not divided."""
        return self.component(1).text

    @property
    def whole(self) -> str:
        """All of it as text, delimiters and all: for a datatype without components, such as TX, whose sender did not
        escape what is not divided anyway."""
        return unescape(self.raw, self._context) if self.raw != NULL else ""


class Field:
    """A field with its repetitions."""

    __slots__ = ("_context", "raw")

    def __init__(self, raw: str, context: Context) -> None:
        self.raw = raw
        self._context = context

    @property
    def repetitions(self) -> list[Repetition]:
        """All of them; none for a field without a value."""
        if not self.raw:
            return []
        return [Repetition(raw, self._context) for raw in _split(self.raw, self._context.delimiters.repetition)]

    def repetition(self, number: int) -> Repetition:
        """The repetition of this number, from 1; an empty one where there is none."""
        return Repetition(_nth(self.raw, self._context.delimiters.repetition, number), self._context)

    @property
    def is_null(self) -> bool:
        """Whether it says that the receiver is to delete what it has."""
        return self.raw == NULL

    @property
    def text(self) -> str:
        """What the first component of the first repetition says."""
        return self.repetition(1).text


class Segment:
    """A line of a message: its name and its fields. `end` is the line end that it came with."""

    __slots__ = ("_context", "_fields", "end", "raw")

    def __init__(self, raw: str, context: Context, end: str = "\r") -> None:
        self.raw = raw
        self.end = end
        self._context = context
        self._fields: list[str] | None = None

    @property
    def name(self) -> str:
        """What stands before the first field: three letters in a well-formed message."""
        end = self.raw.find(self._context.delimiters.field)
        return self.raw if end < 0 else self.raw[:end]

    @property
    def raws(self) -> list[str]:
        """raws[n] is field n as it came. MSH-1 is the field separator itself."""
        if self._fields is None:
            self._fields = self.raw.split(self._context.delimiters.field)
            if self._fields[0] in _HEADERS:
                self._fields.insert(1, self._context.delimiters.field)
        return self._fields

    def __len__(self) -> int:
        """The number of the last field that was sent."""
        return len(self.raws) - 1

    def field(self, number: int) -> Field:
        """The field of this number; an empty one where there is none."""
        values = self.raws
        raw = values[number] if 0 < number < len(values) else ""
        context = self._context
        if number <= 2 and self.name in _HEADERS:
            context = _UNDIVIDED
        return Field(raw, context)

    @property
    def fields(self) -> list[tuple[int, Field]]:
        """Number and field of each one that has a value."""
        return [(number, self.field(number)) for number, raw in enumerate(self.raws) if number and raw]


@dataclass(frozen=True, slots=True)
class Context:
    """What the parts of a message need of it: its delimiters, and the codec of the bytes in `\\X..\\` escapes."""

    delimiters: Delimiters
    codec: str = "ascii"


_UNDIVIDED: Final = Context(Delimiters("", "", "", "", "", ""))


class Message:
    """One message. `notes` say what was odd about its character set; `is_decoded` whether it could be read with it."""

    def __init__(
        self, segments: Iterable[Segment], context: Context, *, prefix: bytes = b"", notes: tuple[str, ...] = ()
    ) -> None:
        self.segments = list(segments)
        self.context = context
        self.prefix = prefix
        self.notes = notes

    @property
    def delimiters(self) -> Delimiters:
        """Its own delimiters."""
        return self.context.delimiters

    @property
    def codec(self) -> str:
        """The Python name of the character set that it is read and written with."""
        return self.context.codec

    @cached_property
    def is_decoded(self) -> bool:
        """Whether all of its bytes are characters of its character set."""
        raws = (segment.raw for segment in self.segments)
        return not any(_UNDECODED.search(raw) for raw in raws if not raw.isascii())

    def all(self, name: str) -> list[Segment]:
        """The segments of this name, in their order."""
        return [segment for segment in self.segments if segment.name == name]

    def first(self, name: str) -> Segment | None:
        """The first segment of this name."""
        return next((segment for segment in self.segments if segment.name == name), None)

    def text(self, path: str) -> str:
        """What stands at a path such as `PID-5.1.1` or `PID-3[2].4`; empty where there is nothing."""
        name, field, repetition, component, subcomponent = _path(path)
        segment = self.first(name)
        if segment is None:
            return ""
        found = segment.field(field).repetition(repetition).component(component)
        return found.subcomponent(subcomponent).text

    def leaves(self) -> Iterator[tuple[Leaf, str]]:
        """Every subcomponent that has a value, with its place and as it came, in the order of the message.

        A walk down the tree finds the same; this makes no object for each node.
        """
        delimiters = (self.delimiters.repetition, self.delimiters.component, self.delimiters.subcomponent)
        repetition_by, component_by, subcomponent_by = (one or "\r" for one in delimiters)  # no field has a CR
        for index, segment in enumerate(self.segments):
            is_header = segment.name in _HEADERS
            for number, field in enumerate(segment.raws):
                if not field or not number:
                    continue
                if (is_header and number <= 2) or not (
                    component_by in field or repetition_by in field or subcomponent_by in field
                ):
                    yield (index, number, 1, 1, 1), field
                    continue
                for r, repetition in enumerate(field.split(repetition_by), start=1):
                    for c, component in enumerate(repetition.split(component_by), start=1):
                        if subcomponent_by not in component:
                            if component:
                                yield (index, number, r, c, 1), component
                            continue
                        for s, subcomponent in enumerate(component.split(subcomponent_by), start=1):
                            if subcomponent:
                                yield (index, number, r, c, s), subcomponent

    @property
    def structure(self) -> str:
        """Message type and trigger event, e.g. `ADT^A01`."""
        return f"{self.text('MSH-9.1')}^{self.text('MSH-9.2')}"

    def __str__(self) -> str:
        return "".join(f"{segment.raw}{segment.end}" for segment in self.segments)

    def encode(self) -> bytes:
        """The bytes. Unencodable when a text that was put in has a character that the character set lacks."""
        try:
            return self.prefix + str(self).encode(self.codec, _errors(self.codec))
        except UnicodeEncodeError as error:
            lacking = sorted(set(error.object[error.start : error.end]))
            names = ", ".join(f"U+{ord(character):04X}" for character in lacking)
            raise Unencodable(f"The character set {self.codec} does not have {names}.") from None


_UNDECODED: Final = re.compile("[\udc80-\udcff]")
_PATH: Final = re.compile(r"([A-Z][A-Z0-9]{2})-(\d+)(?:\[(\d+)\])?(?:\.(\d+))?(?:\.(\d+))?")


@lru_cache(maxsize=4096)
def _path(path: str) -> tuple[str, int, int, int, int]:
    found = _PATH.fullmatch(path)
    if found is None:
        raise ValueError(f"{path} is no path such as PID-5.1.1")
    return found[1], int(found[2]), int(found[3] or 1), int(found[4] or 1), int(found[5] or 1)


def _split(raw: str, delimiter: str) -> list[str]:
    return raw.split(delimiter) if delimiter else [raw]


def _nth(raw: str, delimiter: str, number: int) -> str:
    if number == 1 and (not delimiter or delimiter not in raw):
        return raw
    parts = _split(raw, delimiter)
    return parts[number - 1] if 0 < number <= len(parts) else ""


# ---- bytes to tree


def parse(data: bytes, default: str | None = None, *, heeds_header: bool = True) -> Message:
    """The message in `data`; Malformed when it has no header or two, or its byte order mark promises what it is not.

    `default` is the character set (as in MSH-18) of a sender that names none. Without it bytes beyond ASCII are read as
    UTF-8 where they are UTF-8 from end to end, else as ISO 8859-1. `notes` say so, and where the bytes are not what
    MSH-18 says. With `heeds_header` False that sender's MSH-18 lies, and `default` holds whatever it says.
    """
    mark, codec = next(((mark, codec) for mark, codec in _BYTE_ORDER_MARKS if data.startswith(mark)), (b"", ""))
    start = len(mark)
    if not codec.startswith("utf-16"):
        start = len(data) - len(data[start:].lstrip(_BLANK))
    prefix, body = data[:start], data[start:]
    notes: tuple[str, ...] = ()
    if not codec:
        codec, notes = _codec_of(body, default, [""] if not heeds_header else _declared(body))
    try:
        text = body.decode(codec)
    except UnicodeDecodeError:
        if _errors(codec) == "strict":
            raise Malformed(f"The bytes are no {codec}, as which they begin.") from None
        text = body.decode(codec, _errors(codec))
        notes = (*notes, f"There are bytes that are no {codec}.")
    delimiters = _delimiters(text)
    context = Context(delimiters, codec)
    segments = list(_segments(text, context))
    header = f"MSH{delimiters.field}"
    if sum(segment.raw.startswith(header) for segment in segments) > 1:
        raise Malformed("There is more than one MSH segment. Two messages are not to be taken for one.")
    return Message(segments, context, prefix=prefix, notes=notes)


def _errors(codec: str) -> str:
    """How bytes that a codec does not know are kept. In UTF-16 there is no place for them."""
    return "strict" if codec.startswith("utf-16") else "surrogateescape"


def _delimiters(text: str) -> Delimiters:
    if not text.startswith(_HEADERS):
        raise Malformed("There is no MSH segment at the beginning.")
    field = text[3:4]
    if not _can_delimit(field):
        raise Malformed("MSH-1 does not say what separates fields.")
    parts: list[str] = []
    for character in text[4:64]:
        if not _can_delimit(character) or character == field or len(parts) == 5:
            break
        if character not in parts:  # `^~\\\\&`, escaped once too often, is `^~\\&`
            parts.append(character)
    if not parts:
        raise Malformed("MSH-2 does not say what separates components.")
    return Delimiters(field, *parts, *[""] * (5 - len(parts)))


def _can_delimit(character: str) -> bool:
    """Whether it is a printable character of ASCII, no letter and no digit: these are what escapes are made of."""
    return "!" <= character <= "~" and not character.isalnum()


def _codec_of(body: bytes, default: str | None, names: list[str]) -> tuple[str, tuple[str, ...]]:
    """What to read a message without a byte order mark with, and what is odd about that."""
    declared = [codec_named(name) for name in names]
    notes: list[str] = []
    if names[0] and declared[0] is None:
        notes.append(f"MSH-18 names a character set that is not known{_shown(names[0])}.")
    # Where MSH-18 repeats and its first is ASCII or empty, other bytes can only be of the next one.
    wanted = [codec for codec in (*declared, codec_named(default or "")) if codec in _BEYOND_ASCII]
    if body.isascii():
        return wanted[0] if wanted else "ascii", tuple(notes)
    if declared[0] is not None and not any(codec in _BEYOND_ASCII for codec in declared):
        notes.append(f"MSH-18 says {declared[0]}, but there are other bytes.")
    if wanted:
        codec, odd = _checked(wanted[0], body)
        return codec, (*notes, *odd)
    codec = "utf-8" if _is_utf8(body) else _latin(body)
    notes = notes or ["MSH-18 is empty, and there are bytes beyond ASCII."]
    return codec, (*notes, f"They are read as {codec}.")


def _declared(body: bytes) -> list[str]:
    """The repetitions of MSH-18; one at least."""
    head = re.split(rb"[\r\n]", body[:65_536], maxsplit=1)[0]
    fields = head.split(head[3:4]) if len(head) > 5 else []
    if len(fields) < 18:
        return [""]
    component, repetition = head[4:5], head[5:6]
    return [value.split(component)[0].decode("latin-1").strip() for value in fields[17].split(repetition)]


def _checked(codec: str, body: bytes) -> tuple[str, tuple[str, ...]]:
    """A character set that was declared, or what the bytes plainly are instead of it.

    Any bytes are ISO 8859-1, so that a wrong declaration would pass unseen: `Müller` as `MÃ¼ller`. Umlauts in it never
    happen to be UTF-8, and it has no printable characters from 0x80 to 0x9F, where Windows has quotation marks and €.
    """
    if codec in _WESTERN and _is_utf8(body):
        return "utf-8", (f"The bytes are UTF-8, not {codec}. They are read as utf-8.",)
    if codec == "iso8859-1" and _latin(body) != codec:
        return "cp1252", (f"There are bytes of Windows-1252, not {codec}. They are read as cp1252.",)
    return codec, ()


def _latin(body: bytes) -> str:
    return "cp1252" if any(byte in body for byte in _WINDOWS) else "iso8859-1"


def _shown(name: str) -> str:
    """A name for a note, where it looks like one."""
    return f": {name}" if re.fullmatch(r"[A-Za-z0-9 ./_:\-]{1,30}", name) else ""


def codec_named(name: str) -> str | None:
    """The Python codec of a character set of HL7 table 0211; None for one that is not known."""
    return _CODECS.get(re.sub(r"[\s/_\-]", "", name.upper()))


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _segments(text: str, context: Context) -> Iterator[Segment]:
    """Lines. Empty ones belong to the end of the line before them."""
    start = 0
    for end in _line_ends(text).finditer(text):
        yield Segment(text[start : end.start()], context, end[0])
        start = end.end()
    if start < len(text):
        yield Segment(text[start:], context, "")


def _line_ends(text: str) -> re.Pattern[str]:
    """A message whose header ends with CR keeps a lone LF as data; one that ends it with LF has lines by LF."""
    lf, cr = text.find("\n"), text.find("\r")
    return _BY_LF if cr < 0 or 0 <= lf < cr else _BY_CR


def messages(data: bytes) -> list[bytes]:
    """The messages of a batch (FHS, BHS … BTS, FTS), each from its MSH on; `data` itself when it is no batch."""
    body = data.removeprefix(codecs.BOM_UTF8).lstrip(_BLANK)
    if not body.startswith((b"FHS", b"BHS")):
        return [data]
    text = body.decode("latin-1")  # each byte a character; only line ends and names are looked at
    found: list[list[str]] = []
    is_inside = False
    for segment in _segments(text, Context(STANDARD)):
        if _BEGINS_MESSAGE.match(segment.raw):
            found.append([])
            is_inside = True
        elif _IS_OF_BATCH.match(segment.raw):
            is_inside = False
        if is_inside:
            found[-1].append(f"{segment.raw}{segment.end}")
    return ["".join(message).encode("latin-1") for message in found]


# ---- escapes (HL7 v2.5 chapter 2.7)

_LINE_BREAKS: Final = ("\r\n", *"\r\n\u2028\u2029\x0b\x0c\x1c\x1d\x1e\x85")
_UNPRINTABLE: Final = "\r\n|[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]"  # all controls but the tabulator
_SPECIAL_IN_RAW: Final = re.compile(_UNPRINTABLE)
_MOST_BLANKS: Final = 100  # that one escape stands for


@dataclass(frozen=True, slots=True)
class _Escapes:
    """How a set of delimiters is escaped."""

    pattern: re.Pattern[str]  # of an escape: a run of hexadecimal ones, or what stands in any other
    letters: dict[str, str]  # letter to delimiter
    special: re.Pattern[str]  # what cannot stand in a text
    written: dict[str, str]  # special to escape; what is not in here goes


@lru_cache(maxsize=64)
def _escapes(delimiters: Delimiters) -> _Escapes:
    e = delimiters.escape
    letters = {
        "F": delimiters.field,
        "S": delimiters.component,
        "R": delimiters.repetition,
        "E": e,
        "T": delimiters.subcomponent,
        "P": delimiters.truncation,
    }
    letters = {letter: character for letter, character in letters.items() if character}
    escaped = re.escape(e)
    inside = f"[{''.join(letters)}HN]|[.][A-Za-z]{{2}}[+-]??[0-9]{{0,4}}"
    delimiting = "".join(f"{re.escape(character)}|" for character in letters.values())
    line_break = "X0A" if "." in letters.values() else ".br"
    return _Escapes(
        pattern=re.compile(f"(?:{escaped}X[0-9A-Fa-f]+{escaped})+|{escaped}({inside}){escaped}"),
        letters=letters,
        special=re.compile(f"{delimiting}{_UNPRINTABLE}|[\ud800-\udfff]"),
        written={
            **dict.fromkeys(_LINE_BREAKS, f"{e}{line_break}{e}" if e else " "),
            **{character: f"{e}{letter}{e}" if e else " " for letter, character in letters.items()},
        },
    )


def unescape(raw: str, context: Context) -> str:
    """What an escaped text says. Highlighting (`\\H\\`, `\\N\\`) goes; an escape that is not known stays as it is.

    `\\.br\\` and `\\.sp3\\` are "\\n", `\\.sk3\\` blanks; `\\.ti\\`, `\\.in\\` and the like go. `\\X..\\` are bytes
    of the message's character set, several of them together where they follow each other.
    """
    e = context.delimiters.escape
    if not e or e not in raw:
        return raw
    escapes = _escapes(context.delimiters)

    def meaning(found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return _bytes(found[0].replace(f"{e}X", "").replace(e, " "), context.codec, found[0])
        if name.startswith("."):
            return _formatting(name[1:3].lower(), name[3:], found[0])
        return escapes.letters.get(name, "")

    return escapes.pattern.sub(meaning, raw)


def _formatting(command: str, argument: str, raw: str) -> str:
    if command in ("sp", "sk"):
        number = int(argument) if argument.isdigit() else 1
        return ("\n" if command == "sp" else " ") * min(number, _MOST_BLANKS)
    if command in ("br", "ce"):
        return "\n"
    return "" if command in ("fi", "nf", "in", "ti") else raw


def _bytes(digits: str, codec: str, raw: str) -> str:
    try:
        data = bytes.fromhex(digits)
        if codec == "ascii" or (codec.startswith("utf-16") and len(data) % 2):
            codec = "iso8859-1"
        return data.decode(codec)
    except ValueError:
        return raw


def escape(text: str, delimiters: Delimiters = STANDARD) -> str:
    """A text that can stand in a message: delimiters and line breaks as escapes, other control characters left out.

    Where the delimiters have no escape character, blanks stand for them.
    """
    escapes = _escapes(delimiters)
    escaped = escapes.special.sub(lambda found: escapes.written.get(found[0], ""), text)
    if escaped == NULL:  # two quotation marks are a text here, not the order to delete
        e = delimiters.escape
        return f'"{e}X22{e}' if e else '"'
    return escaped


# ---- tree to bytes


class Raw(str):
    """A piece of another message with the same delimiters, which is put in as it is, but for line breaks and control
    characters: these become `\\.br\\` and nothing, since a receiver may take them for the end of a segment."""

    __slots__ = ()


Part = str | None  # text; None is nothing
ComponentValue = Part | tuple[Part, ...]  # subcomponents
RepetitionValue = ComponentValue | tuple[ComponentValue, ...]  # components
FieldValue = RepetitionValue | list[RepetitionValue]


def segment(name: str, values: Mapping[int, FieldValue], context: Context | None = None, *, end: str = "\r") -> Segment:
    """A segment with these fields by their numbers. A field is a text, a tuple of components (each a text or a tuple of
    subcomponents), a list of repetitions of these, or `Raw`.

    MSH-1 and MSH-2 come from the delimiters, whatever `values` say. ValueError for a name that is none, for parts that
    the delimiters cannot separate, and for a `Raw` with a delimiter that does not belong inside the part it is put in.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!a} is no name of a segment")
    context = context or Context(STANDARD)
    d = context.delimiters
    last = max((number for number, value in values.items() if value), default=0)
    fields = [_written(values.get(number), d) for number in range(1, last + 1)]
    if name in _HEADERS:
        fields = [d.encoding_characters, *fields[2:]]
    return Segment(d.field.join([name, *fields]), context, end)


def _written(value: FieldValue, d: Delimiters) -> str:
    if isinstance(value, list):
        return _joined([_repetition(part, d, d.field + d.repetition) for part in value], d.repetition)
    return _repetition(value, d, d.field)


def _repetition(value: RepetitionValue, d: Delimiters, outer: str) -> str:
    if isinstance(value, tuple):
        inner = d.field + d.repetition + d.component
        return _joined([_component(part, d, inner) for part in value], d.component)
    return _component(value, d, outer)


def _component(value: ComponentValue, d: Delimiters, outer: str) -> str:
    if isinstance(value, tuple):
        inner = d.field + d.repetition + d.component + d.subcomponent
        return _joined([_part(part, d, inner) for part in value], d.subcomponent)
    return _part(value, d, outer)


def _joined(parts: list[str], delimiter: str) -> str:
    """The parts up to the last that is not empty."""
    while parts and not parts[-1]:
        parts.pop()
    if len(parts) > 1 and not delimiter:
        raise ValueError("the message has no delimiter between these parts")
    return delimiter.join(parts)


def _part(value: Part, d: Delimiters, outer: str) -> str:
    """A text without the delimiters `outer`, which would end the part that it is."""
    if not value:
        return ""
    if not isinstance(value, Raw):
        return escape(value, d)
    if any(delimiter in value for delimiter in outer):
        raise ValueError("a raw piece holds a delimiter of what it is put in")
    if value.isprintable():
        return value
    written = _escapes(d).written
    return _SPECIAL_IN_RAW.sub(lambda found: written.get(found[0], ""), value)
