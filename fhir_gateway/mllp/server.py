"""The MLLP listener: keep the bytes, then answer."""

from __future__ import annotations

import asyncio
import datetime as dt
import os

import structlog

from fhir_gateway import errors
from fhir_gateway.mllp import acknowledgement, framing
from fhir_gateway.store import database, inbox

MAX_MESSAGE = 32 * 1_048_576  # bytes
NOT_MAPPED = "This version receives and keeps HL7 v2 messages but does not map them yet"

log = structlog.get_logger()


async def start(host: str, port: int, store: database.Database) -> asyncio.Server:
    """Listen; ConfigurationError when the port cannot be had."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _converse(reader, writer, store)
        except (ConnectionError, framing.FrameTooLarge, errors.StoreUnavailable) as error:
            log.warning("mllp connection ended", error=type(error).__name__)
        finally:
            writer.close()

    try:
        return await asyncio.start_server(serve, host, port, limit=MAX_MESSAGE + 16)
    except OSError as error:
        raise errors.ConfigurationError(
            f"The MLLP port {port} cannot be opened: {os.strerror(error.errno or 0)}."
        ) from None


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, store: database.Database) -> None:
    while (message := await framing.read_frame(reader, MAX_MESSAGE)) is not None:
        kept = inbox.Message("mllp", "MLLP", "x-application/hl7-v2+er7", message)
        await store.write(lambda unit, kept=kept: inbox.keep(unit, kept, status=501))  # type: ignore[misc]
        writer.write(framing.frame(acknowledgement.refuse(message, NOT_MAPPED, dt.datetime.now(dt.UTC))))
        await writer.drain()
