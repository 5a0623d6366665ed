"""Documents: an OBX-5 of an MDM as Attachment, by its OBX-2. HL7 v2.5 chapters 2.A (ED, RP) and 9; FHIR R4.

The bytes of the attachment are the bytes that were sent. Data that cannot be decoded, or whose kind or encoding nobody
says, are Unusable: a letter that only looks whole is worse than one that is missing.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from mappers.v2_to_fhir.datatypes import texts
from mappers.v2_to_fhir.reading import Unusable, Value
from mappers.v2_to_fhir.scope import Json, Scope
from profiles import primitives

_TEXT: Final = "text/plain; charset=utf-8"

#: HL7 table 0291 and what senders write for it, in small letters.
_SUBTYPES: Final = {
    "pdf": "application/pdf", "rtf": "application/rtf", "xml": "application/xml", "json": "application/json",
    "x-hl7-cda-level-one": "application/xml", "cda": "application/xml", "dicom": "application/dicom",
    "octet-stream": "application/octet-stream", "postscript": "application/postscript", "zip": "application/zip",
    "html": "text/html", "plain": "text/plain", "text": "text/plain", "txt": "text/plain", "sgml": "text/sgml",
    "jpeg": "image/jpeg", "jpg": "image/jpeg", "png": "image/png", "gif": "image/gif", "tiff": "image/tiff",
    "tif": "image/tiff", "bmp": "image/bmp",
}  # fmt: skip
_TOP_LEVEL: Final = frozenset({"application", "audio", "image", "text", "video"})
#: HL7 table 0191 for text without a subtype.
_TEXT_TYPES: Final = frozenset({"text", "tx", "ft", "st"})
#: Of the kinds that a text can be sent of as it is (encoding A).
_READABLE = re.compile(r"text/.*|application/(?:.*\+)?(?:xml|json|rtf)")
_WEB = re.compile(r"https?://\S+", re.IGNORECASE)


def attachment(value: Value, _scope: Scope) -> Json | None:
    """An Attachment with OBX-3 as title. Repetitions of a text are its lines; ED and RP are one Attachment each."""
    kind = texts.token(value.beside(2)).upper()
    if kind == "ED":
        found = _encapsulated(value)
    elif kind == "RP":
        found = _pointer(value)
    else:
        text = texts.joined(texts.repetitions(value))
        found = {"contentType": _TEXT, "data": _base64(text.encode())} if text else None
    if found is None:
        return None
    about = value.beside(3)
    title = texts.words(about[2]) or texts.words(about[9]) or texts.words(about[1])
    return {**found, "title": title} if title else found


def _encapsulated(value: Value) -> Json | None:
    if not value[5]:
        return None
    content_type = _content_type(value[2], value[3])
    if content_type is None:
        raise Unusable("ED.2 and ED.3 do not say what kind of data it is")
    encoding = texts.token(value[4]).upper()
    if encoding == "BASE64":
        data = _decoded(value[5])
    elif encoding == "HEX":
        data = _unhexed(value[5])
    elif encoding in ("A", "") and _READABLE.fullmatch(content_type):
        data = texts.lines(value[5]).encode()
        content_type += "; charset=utf-8"
    else:
        raise Unusable("ED.4 does not say how its data are encoded")
    return {"contentType": content_type, "data": _base64(data)} if data else None


def _content_type(kind: Value, subtype: Value) -> str | None:
    """The MIME type of ED.2 and ED.3 (RP.3, RP.4): `application` and `pdf`, `TEXT` and `PDF`, `text/plain`, `PDF`."""
    main, sub = texts.token(kind).lower(), texts.token(subtype).lower()
    if "/" in main and not sub:
        found = main
    elif "/" in sub:
        found = sub
    elif main in _TOP_LEVEL and sub and (main != "text" or _SUBTYPES.get(sub, "text/").startswith("text/")):
        found = f"{main}/{sub}"
    elif not sub and main in _TEXT_TYPES:
        found = "text/plain"
    else:
        found = _SUBTYPES.get(sub or main, "")
    return found if found and primitives.MIME_TYPE(found) is None else None


def _decoded(value: Value) -> bytes:
    try:
        return binascii.a2b_base64("".join(_raw_text(value).split()), strict_mode=True)
    except ValueError:
        raise Unusable("its data are no base64") from None


def _unhexed(value: Value) -> bytes:
    try:
        return bytes.fromhex(_raw_text(value))
    except ValueError:
        raise Unusable("its data are not hexadecimal") from None


def _raw_text(value: Value) -> str:
    return value.whole if value.count > 1 else value.text


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _pointer(value: Value) -> Json | None:
    address = texts.words(value[1])
    if not address:
        return None
    if _WEB.fullmatch(address) is None or primitives.CHECKS["url"](address) is not None:
        raise Unusable("it points to something that has no http or https address")
    content_type = _content_type(value[3], value[4])
    return {"contentType": content_type, "url": address} if content_type else {"url": address}
