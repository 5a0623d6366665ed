"""Receiving HL7 v2: keep the bytes, then answer. The same for MLLP and HTTP.

A message is answered positively when it is durably kept; whether its content can be mapped is found out afterwards, and
a message that cannot be mapped waits with its reason (a record system stops its interface when content is answered AE).
A site may ask for the answer after the mapping (`acknowledge: {after: mapping}`), and a sender for both (MSH-16).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fhir_gateway import ids, metrics
from fhir_gateway.messages import register
from fhir_gateway.mllp import acknowledgement
from fhir_gateway.mllp.acknowledgement import Error, Wishes
from fhir_gateway.store import database, inbox, resources
from mappers import er7
from mappers.v2_to_fhir import sites

CONTENT_TYPE = "x-application/hl7-v2+er7"

#: An answer that is known, or one that is known later; None when there is nothing to be said after all.
Answer = bytes | Callable[[], Awaitable[bytes | None]]


class Outcomes(Protocol):
    """Whoever maps the messages."""

    def wake(self) -> None:
        """There is a new message."""

    async def outcome(self, message_id: str) -> tuple[register.State, str | None] | None:
        """State and reason once a message has been mapped; None when that takes too long."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """A message as far as its answer is concerned."""

    data: bytes
    message: er7.Message
    site: sites.Site
    origin: sites.Origin
    wishes: Wishes
    sha256: str


class Reception:
    """Takes messages for one gateway."""

    def __init__(
        self, store: database.Database, known: sites.Sites, mapper: Outcomes, counted: metrics.Metrics
    ) -> None:
        self._store = store
        self.sites = known
        self._mapper = mapper
        self._metrics = counted

    async def receive(
        self, data: bytes, *, channel: str, port: int | None = None, certificate: str | None = None
    ) -> list[Answer]:
        """Keep every message in `data` (one, or a batch) and give their answers in order. StoreUnavailable: none is
        kept for certain, and none may be answered positively."""
        messages = er7.messages(data)
        if not messages:
            return await self._refuse(data, None, channel, port, certificate, Error("100", "The batch has no message."))
        found = await asyncio.gather(*(self._one(message, channel, port, certificate) for message in messages))
        return [answer for answers in found for answer in answers]

    async def _one(self, data: bytes, channel: str, port: int | None, certificate: str | None) -> list[Answer]:
        try:
            message = er7.parse(data)
            origin = _origin(message, port, certificate)
            site = self.sites.of(origin)
            if site.charset is not None:
                message = site.parse(data)
        except er7.Malformed as error:
            return await self._refuse(data, None, channel, port, certificate, Error("100", str(error)))
        for path in ("MSH-9", "MSH-10"):
            if not message.text(path):
                return await self._refuse(
                    data, message, channel, port, certificate, Error("101", f"{path} is empty.", path)
                )
        taken = _Taken(
            data, message, site, origin, acknowledgement.wishes(message, site.mode), hashlib.sha256(data).hexdigest()
        )
        return await self._keep(taken, channel)

    async def _keep(self, taken: _Taken, channel: str) -> list[Answer]:
        message_id, now = ids.new(), dt.datetime.now(dt.UTC)
        good = acknowledgement.build(taken.message, "CA" if taken.wishes.is_enhanced else "AA", now)
        is_answer = taken.message.text("MSH-9.1") in ("ACK", "NAK")
        head = taken.message.segments[0]
        identity = register.identity(*(head.field(number).raw for number in (3, 4, 10)))

        def work(unit: database.Unit) -> tuple[register.Kept | None, int]:
            earlier = register.add(
                unit, message_id,
                identity=identity, state="no-map" if is_answer else "received", site=taken.site.name,
                event=taken.message.structure, sha256=taken.sha256, answer=good, origin=taken.origin,
            )  # fmt: skip
            if earlier is None:
                inbox.keep(unit, _kept(taken.data, channel), status=202, key=message_id)
            return earlier, unit.now

        earlier, at = await self._store.write(work)
        if is_answer:  # an answer is never answered: two systems would go on for ever
            return []
        if earlier is None:
            self._metrics.messages.labels(taken.site.name, "received").inc()
            self._mapper.wake()
            return self._answers(taken, message_id, good, at)
        if earlier.sha256 != taken.sha256:
            text = "Another message with this control id has been received from this sender."
            return await self._refuse(
                taken.data, taken.message, channel, taken.origin.port, taken.origin.certificate,
                Error("205", text, "MSH-10"),
            )  # fmt: skip
        self._metrics.messages.labels(taken.site.name, "repeated").inc()
        return self._answers(taken, earlier.id, earlier.answer, earlier.at)

    def _answers(self, taken: _Taken, message_id: str, good: bytes, at: int) -> list[Answer]:
        wishes = taken.wishes
        if not wishes.is_enhanced and taken.site.after == "mapping":
            return [self._after_mapping(taken, message_id, at)]
        answers: list[Answer] = [good] if wishes.wants_commit(is_good=True) else []
        if wishes.may_want_application:
            answers.append(self._after_mapping(taken, message_id, at))
        return answers

    def _after_mapping(self, taken: _Taken, message_id: str, at: int) -> Callable[[], Awaitable[bytes | None]]:
        """The answer after the mapping. It is made from what is stored, so that a resend gets the same one."""

        async def answer() -> bytes | None:
            outcome = await self._mapper.outcome(message_id)
            if outcome is None:
                return None
            state, reason = outcome
            is_good = state == "mapped"
            if taken.wishes.is_enhanced and not taken.wishes.wants_application(is_good=is_good):
                return None
            faults = [] if is_good else [_error(state, reason)]
            control = message_id.replace("-", "")[-20:]
            made = resources.moment(at)
            return acknowledgement.build(taken.message, "AA" if is_good else "AE", made, faults, control=control)

        return answer

    async def _refuse(
        self,
        data: bytes,
        message: er7.Message | None,
        channel: str,
        port: int | None,
        certificate: str | None,
        error: Error,
    ) -> list[Answer]:
        """Keep the bytes with the reason, and answer AR or CR."""
        origin = _origin(message, port, certificate)
        site = self.sites.of(origin)
        wishes = acknowledgement.wishes(message, site.mode)
        answer = acknowledgement.build(message, "CR" if wishes.is_enhanced else "AR", dt.datetime.now(dt.UTC), [error])
        message_id = ids.new()

        def work(unit: database.Unit) -> None:
            register.add(
                unit, message_id,
                identity=None, state="refused", site=site.name, event=message.structure if message else "",
                sha256=hashlib.sha256(data).hexdigest(), answer=answer, origin=origin, reason=error.text,
            )  # fmt: skip
            inbox.keep(unit, _kept(data, channel), status=422, key=message_id)

        await self._store.write(work)
        self._metrics.messages.labels(site.name, "refused").inc()
        if wishes.wants_commit(is_good=False):
            return [answer]
        if not wishes.wants_application(is_good=False):
            return []
        return [acknowledgement.build(message, "AR", dt.datetime.now(dt.UTC), [error])]


def _origin(message: er7.Message | None, port: int | None, certificate: str | None) -> sites.Origin:
    if message is None:
        return sites.Origin(port=port, certificate=certificate)
    return sites.Origin(
        register.readable(message.text("MSH-3")), register.readable(message.text("MSH-4")), port, certificate
    )


def _kept(data: bytes, channel: str) -> inbox.Message:
    return inbox.Message(channel, "HL7 v2", CONTENT_TYPE, data)


def _error(state: register.State, reason: str | None) -> Error:
    """The reason as an ERR segment; a reason that begins with a place of the message says where."""
    if state == "no-map":
        return Error("200", reason or "There is no map for this message.", "MSH-9")
    place, colon, text = (reason or "The message could not be mapped.").partition(": ")
    is_place = bool(colon) and len(place) < 16 and place[3:4] == "-"
    return Error("207", text if is_place else (reason or ""), place if is_place else "")


async def known(answers: Sequence[Answer]) -> list[bytes]:
    """All answers, also those that had to be waited for."""
    found = [answer if isinstance(answer, bytes) else await answer() for answer in answers]
    return [answer for answer in found if answer is not None]
