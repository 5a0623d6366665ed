"""Whether a file holds the whole of a year's ICD-10-GM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from terminology.icd10gm import edition
from terminology.importers import content


@dataclass(frozen=True, slots=True)
class Size:
    """How much a year holds, None where it is not known. `primary`: terminal codes that may stand alone (§ 295)."""

    codes: int | None
    terminal: int | None
    primary: int | None
    source: str


SIZES: Mapping[int, Size] = {
    2025: Size(16_817, 14_309, 12_984, "BfArM, icd10gm2025syst_kodes.txt, rows counted"),
    2026: Size(None, None, 13_041, "BfArM, icd10gm2026syst_kodes.txt, rows with field 2 T and field 13 P counted"),
}
#: Well below every year's size, for the years that are not in the table.
LEAST = 12_000
#: Well below every year's number of valid texts of the Alpha-ID.
LEAST_TEXTS = 70_000
CHAPTERS = 22

_COUNTS = ("codes", "terminal codes", "terminal primary codes")
_AGAIN = "fetch the file again from BfArM"


def unchecked(year: int) -> tuple[str, ...]:
    """The counts of codes that no known number of the year can be compared with."""
    size = SIZES.get(year)
    known = (size.codes, size.terminal, size.primary) if size is not None else (None, None, None)
    return tuple(what for what, number in zip(_COUNTS, known, strict=True) if number is None)


def check(found: content.Content) -> None:
    """Raise NotImportable with one sentence where codes or texts are missing, or codes do not hang together."""
    if found.form == "alpha-id":
        if len(found.phrases) < LEAST_TEXTS:
            raise content.NotImportable(
                f"{found.name} has {len(found.phrases):,} texts, no Alpha-ID has fewer than {LEAST_TEXTS:,}: {_AGAIN}."
            )
        return
    codes = found.codes
    if not {"practice", "hospital"} <= found.known:
        raise content.NotImportable(
            f"{found.name} does not say of every code where it may stand (§ 295, § 301): import the metadata instead."
        )
    for name, code in codes.items():
        if code.parent is not None and code.parent not in codes:
            raise content.NotImportable(f"{name} is there without {code.parent}, the code above it: {_AGAIN}.")
    _check_terminal(codes)
    chapters = {code.chapter for code in codes.values()}
    if len(chapters) != CHAPTERS:
        raise content.NotImportable(
            f"ICD-10-GM has {CHAPTERS} chapters, {found.name} has codes of {len(chapters)}: {_AGAIN}."
        )
    _check_size(found)


def _check_terminal(codes: Mapping[str, edition.Code]) -> None:
    parents = {code.parent for code in codes.values()}
    for name, code in codes.items():
        if code.is_terminal and name in parents:
            raise content.NotImportable(f"{name} is said to be terminal and has codes below it: {_AGAIN}.")
        if not code.is_terminal and name not in parents:
            raise content.NotImportable(f"The codes below {name} are missing: {_AGAIN}.")


def _check_size(found: content.Content) -> None:
    size = SIZES.get(found.year)
    terminal = [code for code in found.codes.values() if code.is_terminal]
    counted = {
        _COUNTS[0]: (len(found.codes), size and size.codes),
        _COUNTS[1]: (len(terminal), size and size.terminal),
        _COUNTS[2]: (sum(code.practice == "P" for code in terminal), size and size.primary),
    }
    for what, (number, expected) in counted.items():
        if expected is not None and number != expected:
            raise content.NotImportable(
                f"ICD-10-GM {found.year} has {expected:,} {what}, {found.name} has {number:,}: {_AGAIN}."
            )
    if len(found.codes) < LEAST:
        raise content.NotImportable(
            f"{found.name} has {len(found.codes):,} codes, no ICD-10-GM has fewer than {LEAST:,}: {_AGAIN}."
        )
