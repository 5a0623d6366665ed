"""Every error this service raises on purpose. An exception's docstring is its message and says what to do."""

from __future__ import annotations


def place(error: BaseException) -> str:
    """File and line of the innermost frame: where to look, and no content."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}" if trace else ""


class GatewayError(Exception):
    """The gateway could not do what it was asked."""

    def __init__(self, message: str | None = None) -> None:
        self.message = message or " ".join((type(self).__doc__ or "").split())
        super().__init__(self.message)


class ConfigurationError(GatewayError):
    """The configuration cannot be used. Correct it and start again; nothing was started."""


class AlreadyRunning(GatewayError):
    """Another gateway process holds this data folder or database. End it, or give this one its own."""


class StoreUnavailable(GatewayError):
    """The store could not commit. Nothing of this request was kept; send it again."""


class VersionConflict(GatewayError):
    """Somebody else changed the resource meanwhile. Read it again and repeat the change."""


class RunNotFound(GatewayError):
    """There is no run with this id. `fhir-gateway runs list` shows the known ones."""
