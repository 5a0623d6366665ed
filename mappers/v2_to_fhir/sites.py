"""Senders: whose message it is, and the rules, tables and conventions that hold for it.

A folder has a file `NAME.yaml` for each site. A file that is changed is read again; one that is broken is refused with
file, line and reason, and the last good state of that site goes on.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from mappers import er7
from mappers.v2_to_fhir import library, overlays, scope
from mappers.v2_to_fhir.library import Library, Lines
from mappers.v2_to_fhir.rules import Broken, Place

DEFAULT: Final = "default"
_KEYS: Final = (
    "description", "match", "charset", "charset_wins", "acknowledge", "timezone", "identifiers", "tables", "maps",
    "messages",
)  # fmt: skip
_MATCH: Final = ("application", "facility", "port", "certificate")

#: When a message is acknowledged positively: after its commit, or after it has been mapped.
After = Literal["commit", "mapping"]
#: Which acknowledgements: as the message asks for (MSH-15, MSH-16), or always those of one mode.
Mode = Literal["as-sent", "original", "enhanced"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message came from: MSH-3 and MSH-4 (namespace), the port, and the name in the TLS certificate."""

    application: str = ""
    facility: str = ""
    port: int | None = None
    certificate: str | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """One sender. `charset` (as in MSH-18) is for messages that name none; `charset_wins` over one that lies."""

    name: str
    library: Library
    matches: tuple[Mapping[str, str], ...] = ()
    charset: str | None = None
    charset_wins: bool = False
    mode: Mode = "as-sent"
    after: After = "commit"
    timezone: zoneinfo.ZoneInfo = field(default_factory=lambda: zoneinfo.ZoneInfo("Europe/Berlin"))
    identifiers: Mapping[str, str] = field(default_factory=dict)

    def fits(self, origin: Origin) -> int:
        """How many properties of the origin it names; 0 when one of them is another."""
        said = {
            "application": origin.application,
            "facility": origin.facility,
            "port": str(origin.port),
            "certificate": origin.certificate or "",
        }
        return max(
            (len(match) for match in self.matches if all(said[key] == value for key, value in match.items())),
            default=0,
        )

    def parse(self, data: bytes) -> er7.Message:
        """The message, read with this site's character set; er7.Malformed when it is none."""
        return er7.parse(data, self.charset, heeds_header=not self.charset_wins)

    def scope(self, message: er7.Message) -> scope.Scope:
        """What the conversions need to know of this sender."""
        return scope.Scope(
            message.text("MSH-3"), message.text("MSH-4"), self.library.tables, self.identifiers, self.timezone
        )


def read(path: Path) -> Site:
    """One site's file; Broken when it cannot be used."""
    document, file = library.read(path), path.name
    library.keys(document, file, _KEYS)
    acknowledge = library.mapping_at(document, "acknowledge", file)
    library.keys(acknowledge, file, ("mode", "after"))
    mode, after = acknowledge.get("mode", "as-sent"), acknowledge.get("after", "commit")
    if mode not in ("as-sent", "original", "enhanced") or after not in ("commit", "mapping"):
        text = "mode is as-sent, original or enhanced; after is commit or mapping"
        raise Broken(Place(file, document.at("acknowledge")), text)
    charset = document.get("charset")
    if charset is not None and er7.codec_named(str(charset)) is None:
        raise Broken(Place(file, document.at("charset")), f"there is no character set {charset}")
    return Site(
        path.stem,
        overlays.overlaid(library.bundled(), document, file),
        tuple(_match(entry, file, document) for entry in library.list_at(document, "match", file)),
        charset,
        library.flag(document, "charset_wins", file),
        mode,
        after,
        _timezone(document, file),
        {str(key): str(value) for key, value in library.mapping_at(document, "identifiers", file).items()},
    )


def _match(entry: object, file: str, document: Lines) -> dict[str, str]:
    if not isinstance(entry, Lines) or not entry:
        raise Broken(Place(file, document.at("match")), f"a match names one of {', '.join(_MATCH)}")
    library.keys(entry, file, _MATCH)
    found = {key: library.text_at(entry, key, file) for key in entry}
    if not found.get("port", "0").isdigit():
        raise Broken(Place(file, entry.at("port")), "port is a number")
    return found


def _timezone(document: Lines, file: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(str(document.get("timezone", "Europe/Berlin")))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise Broken(Place(file, document.at("timezone")), "there is no such time zone") from None


class Sites:
    """The sites of a folder (None: only the built-in one), each in its last good state."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._seen: dict[Path, tuple[int, int]] = {}
        self._sites: dict[str, Site] = {DEFAULT: Site(DEFAULT, library.bundled())}
        self.broken: dict[str, str] = {}

    def refresh(self) -> list[str]:
        """Read what has changed since the last time; the names of the sites that are new, changed, gone or broken."""
        if (
            self._folder is None or not self._folder.is_dir()
        ):  # a folder that is away for a moment takes no site with it
            return []
        changed: list[str] = []
        found = sorted(self._folder.glob("*.yaml"))
        for path in found:
            try:
                status = path.stat()
            except OSError:  # it is gone, or nobody can say what it is
                continue
            stamp = (status.st_mtime_ns, status.st_size)
            if self._seen.get(path) == stamp:
                continue
            self._seen[path] = stamp
            changed.append(path.stem)
            self.broken.pop(path.stem, None)
            try:
                self._sites = {**self._sites, path.stem: read(path)}
            except Broken as error:
                self.broken[path.stem] = str(error)
        for path in [path for path in self._seen if path not in found]:
            del self._seen[path]
            self.broken.pop(path.stem, None)
            self._sites = {name: site for name, site in self._sites.items() if name != path.stem}
            self._sites.setdefault(DEFAULT, Site(DEFAULT, library.bundled()))
            changed.append(path.stem)
        return changed

    def named(self, name: str) -> Site | None:
        """The site of this name."""
        return self._sites.get(name)

    @property
    def names(self) -> list[str]:
        """The names of all sites that can be used."""
        return sorted(self._sites)

    def of(self, origin: Origin) -> Site:
        """Whose message it is: the site that names most of the origin; `default` where none does."""
        best = max(self._sites.values(), key=lambda site: (site.fits(origin), site.name))
        return best if best.fits(origin) else self._sites[DEFAULT]
