"""Texts: ST, TX, FT and what is read as one. HL7 v2.5 chapter 2.A; FHIR R4 string, markdown, uri.

The other conversions read through `words`, `token` and `lines` too, so that no text gets through that FHIR cannot hold.
"""

from __future__ import annotations

import re

from mappers.v2_to_fhir.reading import Unusable, Value
from mappers.v2_to_fhir.scope import Json, Scope
from profiles import primitives

_UNDECODED = re.compile("[\ud800-\udfff]")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_LINE_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


def words(value: Value) -> str:
    """What a part says that the standard does not divide further, without blanks around it; "" where there is nothing.

    A delimiter that the sender forgot to escape ("Müller & Partner") stays in the text.
    Unusable with control characters, with bytes that are not of the message's character set, and beyond 1 MiB.
    """
    if not value:
        return ""
    text = _decoded(_whole(value).strip())
    if _CONTROLS.search(text):
        raise Unusable("there are control characters in it")
    return _fitting(text)


def token(value: Value) -> str:
    """The same for a code: on one line, with single blanks."""
    return " ".join(words(value).split())


def lines(value: Value) -> str:
    """The whole of a text with its line breaks as "\\n"; control characters without a meaning in text are left out.

    Unusable with bytes that are not of the message's character set.
    """
    if not value:
        return ""
    text = _CONTROLS.sub("", _LINE_BREAKS.sub("\n", _whole(value)))
    return _decoded(text.rstrip().lstrip("\n"))


def repetitions(value: Value) -> list[Value]:
    """All repetitions of the field; none where `value` is not the first of them: that one speaks for all."""
    found = [repetition for repetition in value.all_beside(value.at[1]) if not repetition.is_null]
    return found if found and found[0].at == value.at else []


def joined(values: list[Value]) -> str:
    """Repetitions as the lines of one text; an empty repetition is an empty line."""
    text, number = "", 1
    for value in values:
        text += "\n" * (value.at[2] - number) + lines(value)
        number = value.at[2]
    return text.strip("\n")


def _whole(value: Value) -> str:
    if _is_divided(value):
        return value.whole
    return value[1].whole if _is_divided(value[1]) else value.text


def _is_divided(value: Value) -> bool:
    return any(value[number] for number in range(2, value.count + 1))


def _decoded(text: str) -> str:
    if _UNDECODED.search(text):
        raise Unusable("there are bytes in it that are not of the message's character set")
    return text


def _fitting(text: str) -> str:
    if len(text) > primitives.MAX_STRING:
        raise Unusable("it is longer than FHIR allows (1 MiB)")
    return text


# ---- conversions


def string(value: Value, _scope: Scope) -> str | None:
    """The first component (of a component: the first subcomponent)."""
    return words(value[1]) or None


def text(value: Value, _scope: Scope) -> str | None:
    """The whole repetition with its line breaks; also for `markdown`."""
    return _fitting(lines(value)) or None


def annotation(value: Value, _scope: Scope) -> Json | None:
    """All repetitions as one Annotation: NTE-3 repeats for every line."""
    said = _fitting(joined(repetitions(value)))
    return {"text": said} if said else None


def uri(value: Value, _scope: Scope) -> str | None:
    """A URI as it stands. Unusable with white space in it."""
    found = words(value)
    if found and primitives.CHECKS["uri"](found) is not None:
        raise Unusable("it is no URI")
    return found or None
