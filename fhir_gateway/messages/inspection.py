"""Looking at messages from the command line, beside a running gateway or without one, and having them mapped again."""

from __future__ import annotations

from pathlib import Path

from fhir_gateway import app, errors, settings
from fhir_gateway.messages import outgoing, register
from fhir_gateway.store import database, resources
from mappers import conformance, er7
from mappers.v2_to_fhir import engine, golden, library, sites

_WIDTH = 60  # characters of a value that `explain` shows


class SiteNotFound(errors.GatewayError):
    """There is no site of this name. Its file NAME.yaml stands in the folder that `hl7v2.sites` or `--sites` names."""


def lines(config: settings.Settings, state: str | None, limit: int) -> list[str]:
    """One line a message: id, time, state, site, event, what was not mapped, reason."""
    if state is not None and state not in register.STATES:
        raise errors.ConfigurationError(f"There is no state {state}. The states are {', '.join(register.STATES)}.")
    with app.opened(config) as store:
        found = store.read_now(lambda connection: register.listed(connection, state, limit))
    return [
        "  ".join(
            (message.id, resources.instant(message.at), f"{message.state:<8}", message.site, f"{message.event:<8}",
             f"{message.not_mapped:>3} not mapped", message.reason or "")
        ).rstrip()
        for message in found
    ]  # fmt: skip


def text(config: settings.Settings, message_id: str) -> str:
    """One message: its state, where each of its values goes, and what hl7apy says of its structure."""
    known = _known(config.hl7v2.sites)
    with app.opened(config) as store:
        found = store.read_now(lambda connection: register.get(connection, message_id))
        body = store.read_now(lambda connection: register.body(connection, message_id))
    told = [
        f"message    {found.id}",
        f"state      {found.state}",
        f"site       {found.site}",
        f"event      {found.event}",
        f"received   {resources.instant(found.at)}",
    ]
    if found.encounter:
        told.append(f"encounter  Encounter/{found.encounter}")
    if found.reason:
        told.append(f"reason     {found.reason}")
    if found.state == "refused":
        return "\n".join(told)
    return "\n".join([*told, "", *_explained(body, known.of(found.origin))])


def replay(config: settings.Settings, message_ids: list[str], state: str | None) -> str:
    """Have messages mapped again, those that are named or all in a state. A running gateway does it at once."""
    if bool(message_ids) == bool(state) or state not in (None, "failed", "no-map", "mapped"):
        raise errors.ConfigurationError("Name messages, or one of --state failed, no-map and mapped.")

    def work(unit: database.Unit) -> int:
        wanted = message_ids or [m.id for m in register.listed(unit.connection, state, 1_000_000)]
        for message_id in reversed(wanted):
            register.queue_again(unit, message_id)
        return len(wanted)

    with app.opened(config) as store:
        count = store.submit(work).result()
    return f"{count} {'message is' if count == 1 else 'messages are'} mapped again."


def not_mapped(config: settings.Settings, site: str | None) -> list[str]:
    """What carried a value and was mapped by no rule: site, event, field, number of messages."""
    with app.opened(config) as store:
        found = store.read_now(lambda connection: register.totals(connection, site))
    return [f"{name:<16} {event:<8} {field:<16} {count:>8}" for name, event, field, count in found]


def outgoing_lines(config: settings.Settings, state: str | None, limit: int) -> list[str]:
    """One line an outgoing message: control id, time, destination, event, state, attempts, reason."""
    if state is not None and state not in outgoing.STATES:
        raise errors.ConfigurationError(f"There is no state {state}. The states are {', '.join(outgoing.STATES)}.")
    with app.opened(config) as store:
        found = store.read_now(lambda connection: outgoing.listed(connection, state, limit))
    return [
        "  ".join(
            (message.control, resources.instant(message.at), message.destination, f"{message.event:<8}",
             f"{message.state:<7}", f"{message.attempts} tries", message.reason or "")
        ).rstrip()
        for message in found
    ]  # fmt: skip


def send_again(config: settings.Settings, control: str) -> str:
    """Have a dead letter sent again."""
    with app.opened(config) as store:
        store.submit(lambda unit: outgoing.queue_again(unit, control)).result()
    return f"{control} is sent again."


def _known(folder: Path | None) -> sites.Sites:
    known = sites.Sites(folder)
    known.refresh()
    if known.broken:
        raise errors.ConfigurationError(f"{next(iter(known.broken.values()))}.")
    return known


def explain(file: Path, folder: Path | None, site: str | None) -> str:
    """Each value of the message in a file with where it goes, and what hl7apy says of its structure."""
    known = _known(folder)
    try:
        body = file.read_bytes()
    except OSError as error:
        raise errors.ConfigurationError(f"{file} cannot be read: {error.strerror}.") from None
    parts = er7.messages(golden.wire(body))
    try:
        return "\n\n".join("\n".join(_explained(part, _site(known, site, part))) for part in parts)
    except er7.Malformed as error:
        raise errors.ConfigurationError(f"This is no HL7 v2 message: {error}") from None


def _site(known: sites.Sites, name: str | None, body: bytes) -> sites.Site:
    if name is None:
        message = er7.parse(body)
        return known.of(sites.Origin(message.text("MSH-3"), message.text("MSH-4")))
    found = known.named(name)
    if found is None:
        raise SiteNotFound
    return found


def _explained(body: bytes, site: sites.Site) -> list[str]:
    message = site.parse(golden.wire(body))
    mapped = golden.become(body, site)
    told = [f"{mapped.event} by the maps of the site {site.name}" + ("" if mapped.has_map else ": there is no map")]
    told += [f"{line.path:<14} {_shown(line.raw):<{_WIDTH}} {_went(line)}" for line in mapped.lines]
    told.append(f"{len(mapped.lines)} values, {len(mapped.unmapped)} not mapped")
    told += [f"fault    {fault}{' (nothing is stored)' if fault.is_fatal else ''}" for fault in mapped.faults]
    told += [f"warning  {note}" for note in (*message.notes, *conformance.warnings(message))]
    return told


def _shown(raw: str) -> str:
    return raw if len(raw) <= _WIDTH else f"{raw[: _WIDTH - 1]}…"


def _went(line: engine.Line) -> str:
    if line.went:
        return ", ".join(line.went)
    return f"left out: {line.left_out}" if line.left_out is not None else "not mapped"


def test(folder: Path | None, site: str | None, *, accept: bool) -> tuple[str, bool]:
    """The golden messages of a site, or of all: what differs, and whether all is as expected."""
    known = _known(folder or library.FOLDER / "sites")
    place = folder or library.FOLDER / "sites"
    names = [site] if site is not None else [name for name in known.names if (place / name).is_dir()]
    told: list[str] = []
    count = wrong = 0
    for name in names:
        found = known.named(name)
        if found is None:
            raise SiteNotFound
        for comparison in golden.compare(place / name, found, accept=accept):
            count += 1
            wrong += not comparison.is_same
            told += comparison.differences
    told.append(f"{count} golden messages, {wrong} different")
    return "\n".join(told), wrong == 0
