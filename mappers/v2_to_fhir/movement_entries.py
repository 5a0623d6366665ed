"""What one message says of an encounter's whereabouts, as it is kept and put in order. `movements` tells more."""

from __future__ import annotations

import dataclasses
import datetime
import json
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from mappers.v2_to_fhir.scope import Json

#: What becomes of a movement (ZBE-4; IHE calls DELETE CANCEL).
Action = Literal["INSERT", "UPDATE", "DELETE", "REFERENCE"]

#: What a movement is. `stay` is one whose event nobody named; from `leave` on they are none, only statements, `mention`
#: is that of a message which is no ADT.
Kind = Literal[
    "preadmit", "admit", "register", "transfer", "class-change", "discharge", "stay",
    "leave", "return", "update", "mention",
]  # fmt: skip

_CANCELS: Final = {
    "cancel-admit": "admit",
    "cancel-preadmit": "preadmit",
    "cancel-transfer": "transfer",
    "cancel-discharge": "discharge",
}
ADMISSIONS: Final = ("admit", "register")
_STATEMENTS: Final = ("update", "mention", "leave", "return")
_RANKS: Final = {"INSERT": 0, "UPDATE": 1, "REFERENCE": 2, "DELETE": 3}  # of messages of the same second

_BERLIN: Final = zoneinfo.ZoneInfo("Europe/Berlin")  # where a time without an offset was
NEVER: Final = datetime.datetime.min.replace(tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """What one message said of an encounter's whereabouts. Times are FHIR dateTimes.

    `key` names the movement: its id (ZBE-1), or `admit`, `discharge`, `preadmit`, `transfer@START` where the sender has
    none; `also` are its further ids. `at` is when the sender made the message, `recorded` when he recorded the event.
    """

    key: str
    at: str
    kind: Kind
    action: Action
    also: tuple[str, ...] = ()
    recorded: str | None = None
    start: str | None = None
    end: str | None = None
    historical: bool = False
    encounter_class: Json | None = None
    location: Json | None = None
    prior: Json | None = None
    admitted: str | None = None
    discharged: str | None = None

    @property
    def as_json(self) -> Json:
        """What `from_json` reads back."""
        found = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return {name: list(value) if name == "also" else value for name, value in found.items() if value}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Entry:
        """The entry of `as_json`."""
        return cls(**{**found, "also": tuple(found.get("also", ()))})

    @property
    def is_numbered(self) -> bool:
        """Whether the key is an id that the sender gave (ZBE-1)."""
        return "|" in self.key

    @property
    def since(self) -> datetime.datetime:
        """Where it stands among the movements: its start, or when the message was made."""
        return instant(self.start) or instant(self.at) or NEVER

    @property
    def order(self) -> tuple[datetime.datetime, datetime.datetime, int, str]:
        """Where its message stands among the messages."""
        text = json.dumps(self.as_json, sort_keys=True)
        return instant(self.at) or NEVER, instant(self.recorded) or NEVER, _RANKS[self.action], text


def entry(movement: Mapping[str, Any], message_at: str) -> Entry:
    """The entry of a `Movement` draft. `message_at` is when the sender made the message (a FHIR dateTime)."""
    kind: str = movement.get("kind", "update")
    action: str | None = movement.get("action")
    ids = [_name(identifier) for identifier in movement.get("id", ())]
    if kind in _CANCELS:
        if action == "REFERENCE":
            ids = []  # the event cancels, whatever movement the message refers to besides
        kind, action = _CANCELS[kind], "DELETE"
    elif kind == "discharge" and action == "REFERENCE":
        ids, action = [], "INSERT"  # the movement stays as it is, but the patient has left
    elif kind == "update" and action in ("INSERT", "UPDATE", "DELETE"):
        original = movement.get("original", "update")
        kind = _CANCELS.get(original, original)
        kind = "stay" if kind in _STATEMENTS else kind
    if kind in ("leave", "return", "mention"):
        action = "REFERENCE"
    start = _usable(movement.get("start"))
    found = Entry(
        key="",
        at=message_at,
        kind=kind,  # type: ignore[arg-type]
        action=action or ("REFERENCE" if kind in _STATEMENTS else "INSERT"),  # type: ignore[arg-type]
        recorded=_usable(movement.get("at")),
        start=start,
        end=_usable(movement.get("end")),
        historical=movement.get("historical") is True,
        encounter_class=movement.get("class"),
        location=movement.get("location"),
        prior=movement.get("prior"),
        admitted=_usable(movement.get("admitted")),
        discharged=_usable(movement.get("discharged")),
    )
    key, *also = ids or [_synthetic(kind, start or message_at)]
    return dataclasses.replace(found, key=key, also=tuple(also))


def _name(identifier: Mapping[str, Any]) -> str:
    return f"{identifier.get('value', '')}|{identifier.get('system', '')}"


def _synthetic(kind: str, start: str) -> str:
    if kind in ADMISSIONS:
        return "admit"  # A11 cancels an A01 and an A04 alike
    return kind if kind in ("preadmit", "discharge") else f"{kind}@{start}"


def _usable(value: Any) -> str | None:
    return value if isinstance(value, str) and instant(value) is not None else None


def instant(value: str | None) -> datetime.datetime | None:
    """The instant of a FHIR dateTime (the first one of a year, a month or a day); None for what is none."""
    if not value:
        return None
    try:
        if "T" in value:
            found = datetime.datetime.fromisoformat(value[:17] + value[17:19].replace("60", "59") + value[19:])
        else:
            found = datetime.datetime.fromisoformat(f"{value}-01-01"[:10] if len(value) < 10 else value)
        found = found if found.tzinfo else found.replace(tzinfo=_BERLIN)
        return found.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return None
