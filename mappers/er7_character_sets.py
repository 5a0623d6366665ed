"""The character set of a message: by its byte order mark, by MSH-18, by its sender's word, by the bytes. Table 0211."""

from __future__ import annotations

import codecs
import re
from typing import Final, NamedTuple

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

BLANK: Final = b"\r\n\t \x00"  # may stand before a message


class Malformed(Exception):
    """The bytes are no HL7 v2 message. The text says what is wrong with them."""


class Unencodable(Exception):
    """The message has characters that its character set does not have."""


class Decoded(NamedTuple):
    """What stands before a message, its text, the Python name of its character set, and what is odd about that."""

    prefix: bytes
    text: str
    codec: str
    notes: tuple[str, ...]


def decoded(data: bytes, default: str | None, *, heeds_header: bool) -> Decoded:
    """The bytes as text, as `er7.parse` says. Malformed when a byte order mark promises what they are not."""
    mark, codec = next(((mark, codec) for mark, codec in _BYTE_ORDER_MARKS if data.startswith(mark)), (b"", ""))
    start = len(mark)
    if not codec.startswith("utf-16"):
        start = len(data) - len(data[start:].lstrip(BLANK))
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
    return Decoded(prefix, text, codec, notes)


def encoded(text: str, codec: str) -> bytes:
    """The bytes. Unencodable with a character that the character set lacks."""
    try:
        return text.encode(codec, _errors(codec))
    except UnicodeEncodeError as error:
        lacking = sorted(set(error.object[error.start : error.end]))
        names = ", ".join(f"U+{ord(character):04X}" for character in lacking)
        raise Unencodable(f"The character set {codec} does not have {names}.") from None


def _errors(codec: str) -> str:
    """How bytes that a codec does not know are kept. In UTF-16 there is no place for them."""
    return "strict" if codec.startswith("utf-16") else "surrogateescape"


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
