"""An encounter's history out of what messages said of it, in whatever order they came.

Each message gives one `Entry`; all entries of an encounter give its status, class, period and locations. An entry is
never worked into an earlier result: the history is always made anew from all of them, ordered by when their senders
made them. So a movement that arrives late, twice or after its own cancellation leaves the same history as one in time.

Sources: IHE PAM and HL7 Deutschland, Nachrichtenprofile 2.5 (ZBE-1 identifies a movement, ZBE-4 says what becomes of
it); HL7 v2.5 chapter 3 (the events); HL7 v2-to-FHIR, Event[EncounterStatus] and PatientClass[EncounterStatus]
(2025-10); ISiK Basismodul 4 (ISiK-enc-3: a planned encounter has no period).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mappers.v2_to_fhir.movement_entries import ADMISSIONS, NEVER, Entry, entry, instant
from mappers.v2_to_fhir.scope import Json
from profiles import primitives

__all__ = ["Entry", "entry", "history"]

_PRESENT: Final = ("admit", "register", "transfer", "class-change", "stay")

#: Encounter.status to the status of the location where the patient is last.
_LAST_LOCATION: Final = {
    "planned": "planned", "arrived": "active", "triaged": "active", "in-progress": "active", "onleave": "active",
    "finished": "completed", "cancelled": "completed", "entered-in-error": "completed",
}  # fmt: skip


def history(entries: Sequence[Entry], stored: Json | None) -> Json:
    """Status, class, classHistory, period and location of the encounter that all these entries are of.

    What it gives takes the place of these five elements; one that it does not give is taken away. `stored` is the
    Encounter as it is; what no entry ever said is kept from there.
    """
    return _History(entries, stored or {}).told()


@dataclass(slots=True)
class _State:
    """What is left of the messages, when each has had its say in the order in which they were made."""

    live: dict[str, Entry] = field(default_factory=dict)
    said: list[Entry] = field(default_factory=list)  # what changes no movement
    ended: Entry | None = None  # who says when the patient left (PV1-45)
    is_cancelled: bool = False  # an admission, or what was to become one
    is_back: bool = False  # a discharge was cancelled
    is_away: bool = False  # on leave of absence

    def take(self, entry: Entry, key: str) -> None:
        """One message's say."""
        if entry.action == "DELETE":
            self._delete(entry, key)
            return
        if entry.action == "REFERENCE":
            self.said.append(entry)
            if entry.kind in ("leave", "return"):
                self.is_away = entry.kind == "leave"
        else:
            before = self.live.get(key)
            if entry.kind == "discharge":
                self.is_away = False
                if before is not None and before.kind != "discharge":
                    key = "discharge"  # it ends the movement that it names, and does not take its place
            elif entry.kind == "stay" and before is not None:
                entry = dataclasses.replace(entry, kind=before.kind)
            self.live[key] = entry
            if entry.kind in ADMISSIONS and self.ended and _is_after(entry.start, self.ended.discharged):
                self.ended = None
        if entry.discharged and entry.kind != "preadmit":
            self.ended = entry

    def _delete(self, entry: Entry, key: str) -> None:
        """A cancellation takes away the movement that it names; where that is none of its kind, the one it means."""
        kinds = ADMISSIONS if entry.kind in ADMISSIONS else (entry.kind,)
        named = self.live.get(key)
        kind = entry.kind
        if named is not None and (entry.kind == "stay" or named.kind in (*kinds, "stay")):
            kind = named.kind
            del self.live[key]
        else:
            for name in self._meant(entry, kinds):
                del self.live[name]
        if kind == "discharge":
            self.ended, self.is_back = None, True
        if kind in (*ADMISSIONS, "preadmit"):
            self.is_cancelled = True
            self.ended = self.ended if self.live else None
        else:
            self.said.append(entry)

    def _meant(self, entry: Entry, kinds: tuple[str, ...]) -> list[str]:
        """All discharges; of the others the last one, but no other movement with an id where this one has an id."""
        same = [name for name, other in self.live.items() if other.kind in kinds]
        if entry.kind == "discharge":
            return same
        same = [name for name in same if not (entry.is_numbered and self.live[name].is_numbered)]
        return sorted(same, key=lambda name: (self.live[name].since, self.live[name].order))[-1:]


class _History:
    """The history of one encounter."""

    def __init__(self, entries: Iterable[Entry], stored: Json) -> None:
        unique = {entry.order: entry for entry in entries}
        ordered = [unique[order] for order in sorted(unique)]
        self.entries = [entry for entry in ordered if entry.kind != "mention"] or ordered
        self.stored = stored
        self.state = _State()
        keys = _keys(self.entries)
        for said in self.entries:
            self.state.take(said, keys[said.key])
        is_present = any(entry.kind in (*_PRESENT, "discharge") for entry in self.state.live.values())
        self.moves = sorted(
            (entry for entry in self.state.live.values() if entry.kind != "preadmit" or not is_present),
            key=lambda entry: (entry.since, entry.order),
        )
        self.is_finished, end = self._end()
        self.end = end if self.is_finished else None
        self.start = self._start()
        self.status = self._status()

    def told(self) -> Json:
        """The elements."""
        current, before = self._classes()
        found = {
            "status": self.status,
            "class": current,
            "classHistory": before,
            "period": self._period(),
            "location": self._locations(),
        }
        return {name: value for name, value in found.items() if value}

    def _last(self, name: str, entries: Iterable[Entry]) -> Any:
        """What the latest message says."""
        said = [getattr(entry, name) for entry in sorted(entries, key=lambda entry: entry.order)]
        return next((value for value in reversed(said) if value), None)

    # ---- status and period

    def _end(self) -> tuple[bool, str | None]:
        discharges = [move for move in self.moves if move.kind == "discharge"]
        said = self.state.ended or next((move for move in reversed(discharges) if move.start), None)
        said = said or (discharges[-1] if discharges else None)
        if said is None:
            return False, None
        end = said.discharged or (said.start if said.kind == "discharge" else None)
        return not self._is_back_since(said, end or said.at), end

    def _is_back_since(self, said: Entry, left: str) -> bool:
        """Whether there is an admission after this discharge. An only one told of before it is a false time."""
        admissions = [move for move in self.moves if move.kind in ADMISSIONS]
        later = [move for move in admissions if _is_after(move.start, left)]
        return any(len(later) < len(admissions) or move.order > said.order for move in later)

    def _status(self) -> str:
        if self.is_finished:
            return "finished"
        kinds = {move.kind for move in self.moves}
        is_in = self.state.is_back or self.state.is_away or bool(kinds & {"admit", "transfer", "class-change", "stay"})
        if "register" in kinds and not is_in:
            if not self.start:
                return "arrived"
            is_in = True
        if not kinds and self.state.is_cancelled:
            return "cancelled"
        if is_in:
            return "onleave" if self.state.is_away else "in-progress"
        if "preadmit" in kinds:
            return "planned"
        known: str | None = self.stored.get("status")
        return known or self._status_by_class()

    def _status_by_class(self) -> str:
        code = (self._last("encounter_class", self.entries) or self.stored.get("class") or {}).get("code", "U")
        if code in ("PRENC", "P"):
            return "planned"
        return "unknown" if code == "U" else "in-progress"

    def _start(self) -> str | None:
        """PV1-44 as the latest message has it; of several admissions under one number the first."""
        admissions = [move for move in self.moves if move.kind in ADMISSIONS]
        starts = [move.admitted or move.start for move in admissions]
        if len(admissions) > 1 and any(starts):
            return min((start for start in starts if start), key=lambda start: instant(start) or NEVER)
        said = [entry for entry in (*self.moves, *self.state.said) if entry.kind != "preadmit"]
        found: str | None = self._last("admitted", said) or next(iter(starts), None)
        told = (entry for entry in self.entries if entry.kind != "preadmit")
        if found or any(entry.admitted or (entry.kind in ADMISSIONS and entry.start) for entry in told):
            return found
        return (self.stored.get("period") or {}).get("start")

    def _period(self) -> Json:
        if self.status in ("planned", "cancelled"):
            return {}
        end = self.end
        is_told = any(entry.discharged or entry.kind == "discharge" for entry in self.entries)
        if not is_told and self.status == "finished":
            end = (self.stored.get("period") or {}).get("end")
        return _period(self.start, end)

    # ---- class

    def _classes(self) -> tuple[Json | None, list[Json]]:
        """The class, and those that it was before. A message that is no movement corrects the last one."""
        phases: list[tuple[Json, str | None]] = []
        for move in self.moves:
            code = _known_class(move)
            if code and (not phases or not _same_code(phases[-1][0], code)):
                phases.append((code, move.start))
        classed = [entry for entry in (*self.moves, *self.state.said) if _known_class(entry) and not entry.historical]
        latest = max(classed, key=lambda entry: entry.order, default=None)
        if latest is not None and latest.action in ("REFERENCE", "DELETE"):
            since = phases.pop()[1] if phases else None
            if not phases or not _same_code(phases[-1][0], latest.encounter_class):
                phases.append((latest.encounter_class or {}, since))
        if not phases:
            return self._last("encounter_class", self.entries) or self.stored.get("class"), []
        before = [
            {"class": code, "period": period}
            for (code, start), (_next, end) in itertools.pairwise(phases)
            if (period := _period(start, end))
        ]
        return phases[-1][0], before

    # ---- locations

    def _locations(self) -> list[Json]:
        if self.status == "cancelled":
            return []
        stays = [
            (number, move)
            for number, move in enumerate(self.moves)
            if move.location and move.kind in (*_PRESENT, "preadmit")
        ]
        if not stays:
            return self._only_location()
        found = [_stay(move.location, "completed", move.start, self._left(number)) for number, move in stays]
        last = found[-1]
        status = _LAST_LOCATION.get(self.status)
        if status != "active" or "end" not in (last["period"] or {}):
            last["status"] = status
        return [*self._prior(stays[0][1]), *map(_without_none, found)]

    def _left(self, number: int) -> str | None:
        """When the patient left the location of a movement: as that says (ZBE-3), or when the next one begins."""
        move = self.moves[number]
        if move.end:
            return move.end
        for later in self.moves[number + 1 :]:
            if later.kind == "discharge":
                return later.discharged or later.start
            if later.location and later.kind != "preadmit":
                return None if later.kind in ADMISSIONS else later.start  # a visit may have ended long before the next
        return self.end

    def _only_location(self) -> list[Json]:
        """Where no movement says it: where the latest message has the patient."""
        said = [entry for entry in self.entries if entry.location]
        if not said:
            kept: list[Json] = self.stored.get("location", [])
            return kept
        status = _LAST_LOCATION.get(self.status)
        return [*self._prior(said[-1]), _without_none(_stay(said[-1].location, status, None, self.end))]

    def _prior(self, first: Entry) -> list[Json]:
        if not first.prior or first.prior == first.location or self.status == "planned":
            return []
        return [{"location": first.prior, "status": "completed"}]


def _keys(entries: Sequence[Entry]) -> dict[str, str]:
    """Key to the one name of its movement: a movement may have an id in each of several systems."""
    names: dict[str, str] = {}

    def name(key: str) -> str:
        while names.setdefault(key, key) != key:
            key = names[key]
        return key

    for said in entries:
        for other in said.also:
            first, second = sorted((name(said.key), name(other)))
            names[second] = first
    return {entry.key: name(entry.key) for entry in entries}


def _stay(location: Json | None, status: str | None, start: str | None, end: str | None) -> Json:
    return {"location": location, "status": status, "period": _period(start, end) or None}


def _without_none(found: Json) -> Json:
    return {name: value for name, value in found.items() if value is not None}


def _known_class(entry: Entry) -> Json | None:
    """The class; None too for one that says that it is not known or not applicable (HL7 table 0004: U, N)."""
    return entry.encounter_class if (entry.encounter_class or {}).get("code") not in ("U", "N") else None


def _same_code(one: Json | None, other: Json | None) -> bool:
    keys = ("system", "code")
    return [(one or {}).get(key) for key in keys] == [(other or {}).get(key) for key in keys]


def _period(start: str | None, end: str | None) -> Json:
    """A Period; one that would end before it starts has no end (per-1)."""
    found = {"start": start} if start else {}
    if end and primitives.in_order(start, end):
        found["end"] = end
    return found


def _is_after(one: str | None, other: str | None) -> bool:
    first, second = instant(one), instant(other)
    return first is not None and second is not None and first > second
