"""The base of everything that holds patient data: frozen, strict, and impossible to print by accident."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Clinical(BaseModel):
    """A frozen value that holds patient data.

    Its text form is the type's name alone, so that no log line, traceback or error message can carry its content.
    Whoever needs the content asks for a field by name.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, ser_json_bytes="base64", val_json_bytes="base64"
    )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: content withheld>"

    def __str__(self) -> str:
        return repr(self)

    def __format__(self, format_spec: str) -> str:
        return repr(self)


class StageRefused(Exception):
    """A stage cannot go on with this input, and no retry will change that. The reason is shown to the clinician.

    The reason is one of our own sentences; it never quotes the patient.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
