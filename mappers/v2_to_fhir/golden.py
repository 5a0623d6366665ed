"""A site's golden messages: what they have to become, kept beside them and compared line by line.

`sites/NAME/` holds pairs: `admission.hl7`, the message as it comes, and `admission.json`, what it becomes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mappers import er7
from mappers.v2_to_fhir import engine, sites

_ENCODER = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One golden message: the lines that differ, none when it becomes what is expected."""

    name: str
    differences: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Whether it becomes what is expected."""
        return not self.differences


def told(mapped: engine.Mapped) -> str:
    """What a message becomes, as JSON to be read and kept: resources, what was not mapped, and what could not be."""
    document = {
        "event": mapped.event,
        "resources": [{"draft": draft.reference, **draft.resource} for draft in mapped.drafts],
        "deleted": {draft.reference: sorted(draft.nulls) for draft in mapped.drafts if draft.nulls},
        "not mapped": [line.path for line in mapped.unmapped],
        "faults": [str(fault) for fault in mapped.faults],
    }
    encoded = _ENCODER.encode({name: value for name, value in document.items() if value})
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


def become(data: bytes, site: sites.Site) -> engine.Mapped:
    """What a message becomes at a site; er7.Malformed when it is no message."""
    message = site.parse(wire(data))
    return engine.map_message(message, site.library, site.scope(message))


def wire(data: bytes) -> bytes:
    """A message out of a file as it goes over a wire: an editor ends lines with LF."""
    return data if b"\r" in data else data.replace(b"\n", b"\r")


def compare(folder: Path, site: sites.Site, *, accept: bool = False) -> Iterator[Comparison]:
    """Every golden message of a folder against what it becomes now; `accept` takes that as expected from now on."""
    for path in sorted(folder.glob("*.hl7")):
        expected = path.with_suffix(".json")
        try:
            now = told(become(path.read_bytes(), site))
        except er7.Malformed as error:
            yield Comparison(path.stem, (f"is no message: {error}",))
            continue
        if accept:
            expected.write_text(now, "utf-8")
        before = expected.read_text("utf-8") if expected.exists() else ""
        difference = difflib.unified_diff(
            before.splitlines(), now.splitlines(), f"{path.stem}: expected", f"{path.stem}: now", lineterm=""
        )
        yield Comparison(path.stem, tuple(difference))
