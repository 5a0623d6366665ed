"""The answer to a message that cannot be processed. HL7 v2.5 chapter 2.9, MSA and ERR segments."""

from __future__ import annotations

import datetime as dt
import uuid


def refuse(message: bytes, reason: str, now: dt.datetime) -> bytes:
    """AR (original mode) or CR (enhanced mode, MSH-15 or MSH-16 filled) with `reason`, an ASCII sentence of ours."""
    header = message.split(b"\r", 1)[0].split(b"\n", 1)[0].decode("latin-1")
    separator = header[3] if header.startswith("MSH") and len(header) > 3 else "|"
    fields = header.split(separator) if header.startswith("MSH") else ["MSH", "^~\\&"]
    field = dict(enumerate(fields, start=1))  # field[n] is MSH-n for n >= 2, MSH-1 being the separator itself
    code = "CR" if field.get(15) or field.get(16) else "AR"
    control_id = field.get(10, "")
    head = ["MSH", field.get(2, "^~\\&"), field.get(5, ""), field.get(6, ""), field.get(3, ""), field.get(4, ""),
            now.strftime("%Y%m%d%H%M%S"), "", "ACK", uuid.uuid4().hex[:20], field.get(11, "P"),
            field.get(12, "2.5")]  # fmt: skip
    segments = [
        separator.join(head),
        separator.join(["MSA", code, control_id]),
        separator.join(["ERR", "", "", "207^Application internal error^HL70357", "E", "", "", "", reason]),
    ]
    return "".join(f"{segment}\r" for segment in segments).encode("latin-1")
