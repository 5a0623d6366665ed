"""The file of a measurement: JSON lines, one after the other as they come, so that a broken run can go on."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Annotated

import pydantic

from pipeline.evaluation import records

Line = Annotated[records.Header | records.Candidate | records.Record, pydantic.Field(discriminator="kind")]
_LINE: pydantic.TypeAdapter[Line] = pydantic.TypeAdapter(Line)


class NotUsable(Exception):
    """A file cannot be used as asked. The text is one sentence for the person at the command line."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A file that was read: its first line, the models as they last introduced themselves, and the records."""

    name: str
    header: records.Header
    candidates: dict[str, records.Candidate]
    records: tuple[records.Record, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models in the order in which they were measured."""
        return tuple(dict.fromkeys((*(r.model for r in self.records), *self.candidates)))


def read(path: Path) -> Measured:
    """The file of a measurement. A last line that was broken off is left out. Raises NotUsable."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise NotUsable(f"{path} cannot be read: {error.strerror}.") from None
    whole = lines[:-1]  # what follows the last line feed was broken off
    try:
        parsed = [_LINE.validate_json(line) for line in whole]
    except pydantic.ValidationError:
        raise NotUsable(f"{path} is not a file of measurements that this version of the gateway can read.") from None
    if not parsed or not isinstance(parsed[0], records.Header) or parsed[0].format != records.FORMAT:
        raise NotUsable(f"{path} is not a file of measurements that this version of the gateway can read.")
    once = {record.key: record for record in parsed if isinstance(record, records.Record)}
    candidates = {line.name: line for line in parsed if isinstance(line, records.Candidate)}
    return Measured(path.stem, parsed[0], candidates, tuple(once.values()))


class Writer:
    """Writes lines to the end of a file, each at once. Only the owner can read it: it may hold what patients said."""

    def __init__(self, path: Path, file: IO[bytes], done: Measured | None) -> None:
        self.path = path
        self._file = file
        self.done = {record.key for record in done.records if record.is_done} if done else set()
        self.candidates = dict(done.candidates) if done else {}

    @classmethod
    def begin(cls, path: Path, header: records.Header) -> Writer:
        """A new file. Raises NotUsable when there is one already."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise NotUsable(f"{path} exists; go on with it by --resume, or name another file by --out.") from None
        except OSError as error:
            raise NotUsable(f"{path} cannot be written: {error.strerror}.") from None
        writer = cls(path, os.fdopen(descriptor, "wb"), None)
        writer.write(header)
        return writer

    @classmethod
    def resume(cls, path: Path, header: records.Header) -> Writer:
        """A file that goes on after its last whole line. Raises NotUsable when it was begun with something else."""
        done = read(path)
        part = done.header.difference(header)
        if part is not None:
            raise NotUsable(f"{path} was begun with other {_PARTS.get(part, part)}; measure into a new file.")
        try:
            file = path.open("r+b")
        except OSError as error:
            raise NotUsable(f"{path} cannot be written: {error.strerror}.") from None
        file.seek(path.read_bytes().rfind(b"\n") + 1)
        file.truncate()
        return cls(path, file, done)

    def write(self, line: Line) -> None:
        """One line, handed to the operating system before this returns. Raises NotUsable where it takes no more."""
        try:
            self._file.write(line.model_dump_json(exclude_none=True).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._full(error) from None

    def _full(self, error: OSError) -> NotUsable:
        return NotUsable(
            f"{self.path} cannot be written on: {error.strerror}; make room and go on with it by --resume."
        )

    def introduce(self, candidate: records.Candidate) -> None:
        """Write who a model is. Raises NotUsable when it is another than the one that the file was begun with."""
        known = self.candidates.get(candidate.name)
        if known is not None and candidate.identity is None:
            candidate = candidate.model_copy(update={"identity": known.identity})
        if known == candidate:
            return
        if known is not None and known.identity not in (None, candidate.identity):
            raise NotUsable(f"{self.path} was begun with another model {candidate.name}; measure into a new file.")
        self.candidates[candidate.name] = candidate
        self.write(candidate)

    def add(self, made: Iterable[records.Record]) -> None:
        """Write records."""
        for record in made:
            self.write(record)
            self.done.add(record.key)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()  # it tries once more to write what could not be written
        except OSError as fault:
            if error is None:
                raise self._full(fault) from None


_PARTS = {
    "gateway": "gateway version",
    "rules": "rules",
    "tables": "tables",
    "prompts": "prompts",
    "cases": "cases",
    "models": "models",
    "judge": "judge",
    "readability": "summary.readability",
    "plan": "stages, repeats or concurrency",
    "has_texts": "choice of --keep-texts",
    "machine": "machine",
}
