"""The bundled consultations with their gold annotations. All of them are invented.

`docs/evaluation.md` explains the format, and how to add a case or a folder of one's own.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import importlib.resources
from decimal import Decimal
from pathlib import Path
from typing import Any

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict

from pipeline import consultation, results


class NotACase(Exception):
    """A file of the folder is no case. The text names the file and the key, and quotes nothing of it."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fact(_Part):
    """Something a good note says: every group of `all` has one of its words in one statement of the section."""

    section: tuple[results.Section, ...]
    all: tuple[tuple[str, ...], ...]
    polarity: results.Polarity

    @pydantic.field_validator("section", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @pydantic.field_validator("all", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        return tuple(tuple(str(word).lower() for word in group) for group in value)


class Codes(_Part):
    """Reference codes: each of `must` is a group of acceptable alternatives."""

    must: tuple[tuple[str, ...], ...] = ()
    may: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    certainty: dict[str, str] = {}
    side: dict[str, str] = {}


class ExpectedWarning(_Part):
    """A prescribing error hidden in the case."""

    kind: str
    drugs: tuple[str, ...]
    about: str = ""


class Warnings(_Part):
    """Warnings that must come, and drugs for which any warning is a false alarm."""

    must: tuple[ExpectedWarning, ...] = ()
    forbidden_drugs: tuple[str, ...] = ()


class Items(_Part):
    """Billing items that must, may and must not be proposed."""

    must: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    must_not: tuple[str, ...] = ()


class Gold(_Part):
    """Everything a case expects. `fabricated` are words that occur nowhere in the transcript."""

    facts: tuple[Fact, ...]
    fabricated: tuple[str, ...] = ()
    codes: Codes = Codes()
    warnings: Warnings = Warnings()
    billing: Items = Items()


class Case(_Part):
    """One consultation as a record system would send it, with its gold annotations."""

    name: str
    title: str
    about: str
    consultation: consultation.Consultation
    transcript: str
    gold: Gold

    @property
    def digest(self) -> str:
        """The first 12 hex digits of the SHA-256 of everything in the case: the same text and gold, the same digest."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


@functools.cache
def bundled() -> tuple[Case, ...]:
    """The cases in the package, by name."""
    folder = importlib.resources.files("pipeline.evaluation") / "cases"
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".yaml")), key=lambda entry: entry.name)
    return tuple(_case(entry.read_text("utf-8")) for entry in files)


def named(name: str) -> Case:
    """One bundled case; KeyError when there is none of this name."""
    for case in bundled():
        if case.name == name:
            return case
    raise KeyError(name)


def read(folder: Path) -> tuple[Case, ...]:
    """The cases of another folder, by file name. Raises NotACase for a file that is none, and for a doubled name."""
    found: dict[str, Case] = {}
    for path in sorted(folder.glob("*.yaml")):
        case = _read(path)
        if case.name in found:
            raise NotACase(f"{path.name}: another case has the name {case.name!r} already.")
        found[case.name] = case
    return tuple(found.values())


def _read(path: Path) -> Case:
    try:
        return _case(path.read_text("utf-8"))
    except pydantic.ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_url=False, include_input=False)[0]["loc"])
        raise NotACase(f"{path.name}: {where or 'a part of it'} is not as docs/evaluation.md describes it.") from None
    except KeyError as error:
        raise NotACase(f"{path.name}: the key {error.args[0]!r} is missing.") from None
    except yaml.YAMLError:
        raise NotACase(f"{path.name}: it is no YAML.") from None
    except (OSError, TypeError, AttributeError, ValueError, ArithmeticError):
        raise NotACase(f"{path.name}: it cannot be read as a case; docs/evaluation.md describes the format.") from None


def _case(text: str) -> Case:
    raw = yaml.safe_load(text)
    return Case(
        name=raw["name"],
        title=raw["title"],
        about=raw["about"],
        consultation=_consultation(raw),
        transcript=raw["transcript"],
        gold=Gold.model_validate(raw["gold"]),
    )


def _consultation(raw: dict[str, Any]) -> consultation.Consultation:
    record = raw["record"]
    return consultation.Consultation(
        patient=consultation.Patient(
            birth_date=raw["patient"].get("birth_date"),
            sex=raw["patient"]["gender"],
            pregnant=raw["patient"].get("pregnant"),
        ),
        encounter=consultation.Encounter(
            id=raw["name"],
            start=dt.datetime.fromisoformat(raw["encounter"]["start"]),
            end=dt.datetime.fromisoformat(raw["encounter"]["end"]),
            setting=raw["setting"],
            contact=raw["encounter"].get("contact", "in_person"),
            insurance=raw["insurance"],
        ),
        record=consultation.Record(
            medications=tuple(
                consultation.Medication(
                    id=f"MedicationStatement/{raw['name']}-{n}", text=item["drug"], dosage=item.get("dosage")
                )
                for n, item in enumerate(record["medications"], start=1)
            ),
            allergies=tuple(
                consultation.Allergy(
                    id=f"AllergyIntolerance/{raw['name']}-{n}", text=item["substance"], reaction=item.get("reaction")
                )
                for n, item in enumerate(record["allergies"], start=1)
            ),
            conditions=tuple(
                consultation.Condition(id=f"Condition/{raw['name']}-{n}", text=item["text"], code=item["code"])
                for n, item in enumerate(record["conditions"], start=1)
            ),
            observations=tuple(
                consultation.Observation(
                    id=f"Observation/{raw['name']}-{n}",
                    name=item["name"],
                    value=Decimal(str(item["value"])),
                    unit=item.get("unit"),
                    at=item.get("date"),
                )
                for n, item in enumerate(record["observations"], start=1)
            ),
        ),
        sources=(
            consultation.Source(
                id=f"DocumentReference/{raw['name']}",
                kind="transcript",
                content_type="text/plain",
                content=raw["transcript"].encode("utf-8"),
            ),
        ),
    )
