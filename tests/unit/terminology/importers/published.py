"""Invented catalogues in the exact formats of BfArM: the same small year as metadata, ClaML, FHIR package, Alpha-ID."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pytest

from terminology.importers import completeness, metadata

YEAR = 2031  # no size of it is known

#: Chapter, its block, and a category of it.
CHAPTERS = (
    ("01", "A00-A09", "A00"), ("02", "C00-C14", "C00"), ("03", "D50-D53", "D50"), ("04", "E10-E14", "E10"),
    ("05", "F00-F09", "F00"), ("06", "G00-G09", "G00"), ("07", "H30-H36", "H36"), ("08", "H60-H62", "H60"),
    ("09", "I00-I02", "I00"), ("10", "J00-J06", "J00"), ("11", "K00-K14", "K00"), ("12", "L00-L08", "L00"),
    ("13", "M00-M25", "M00"), ("14", "N00-N08", "N00"), ("15", "O00-O08", "O00"), ("16", "P00-P04", "P00"),
    ("17", "Q00-Q07", "Q00"), ("18", "R00-R09", "R00"), ("19", "S00-S09", "S00"), ("20", "V01-X59", "V01"),
    ("21", "Z00-Z13", "Z00"), ("22", "U00-U49", "U00"),
)  # fmt: skip
ROMAN = (
    "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI",
    "XII", "XIII", "XIV", "XV", "XVI", "XVII", "XVIII", "XIX", "XX", "XXI", "XXII",
)  # fmt: skip
#: Fourth and fifth characters of E10, combined as ClaML does; .0 has no "0" behind it.
FOURTH = ((".0", "Mit Koma", ""), (".3", "Mit Augenkomplikationen", "dagger"), (".9", "Ohne Komplikationen", ""))
FIFTH = (("0", "Nicht entgleist"), ("1", "Entgleist"))
#: What differs from "no rule" in a few categories, by field of the metadata (from 1).
SPECIAL = {
    "A00": {25: "J", 27: "J", 28: "J"},
    "N00": {20: "M", 21: "K"},
    "O00": {20: "W", 21: "K", 22: "j012", 23: "j055", 24: "K"},
    "P00": {22: "t000", 23: "j001", 24: "M"},
    "U00": {26: "N"},
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a catalogue of a few codes pass for a whole one."""
    monkeypatch.setattr(completeness, "LEAST", 10)
    monkeypatch.setattr(completeness, "LEAST_TEXTS", 2)


# --- metadata ----------------------------------------------------------------------------------------------------


def row(code: str, title: str, chapter: str, block: str, **changes: str) -> list[str]:
    """The 28 fields of a terminal primary code without rules; `changes`: f13="O"."""
    level = {3: "3", 5: "4", 6: "5"}[len(code)]
    fields = [level, "T", "X", chapter, block, code, code, code.replace(".", ""), title, title, "", "", "P", "P"]
    fields += ["1-001", "2-001", "3-001", "4-001", "001", "9", "9", "9999", "9999", "9", "N", "J", "N", "N"]
    for field, value in changes.items():
        fields[int(field[1:]) - 1] = value
    return fields


def rows() -> list[list[str]]:
    """The whole small year."""
    return [fields for chapter, block, category in CHAPTERS for fields in _category(chapter, block[:3], category)]


def _category(chapter: str, block: str, category: str) -> list[list[str]]:
    """A category of three characters, and what is below it."""
    name = f"Erfundene Krankheit {category}"
    special = {f"f{field}": value for field, value in SPECIAL.get(category, {}).items()}

    def made(code: str, title: str, **changes: str) -> list[str]:
        return row(code, title, chapter, block, **{**special, **changes})

    found = [made(category, name, f2="N", f6=f"{category}.-", f13="V", f14="V")]
    if category == "E10":
        for digit, title, _usage in FOURTH:
            code = category + digit
            found.append(made(code, f"{name}: {title}", f2="N", f3="S", f6=f"{code}-", f14="V"))
            found += [
                made(code + last, f"{name}: {title}: {more}", f3="S")
                for last, more in FIFTH
                if (digit, last) != (".0", "0")
            ]
    elif category == "H36":
        found.append(made("H36.0", "Erfundene Manifestation am Auge", f6="H36.0*", f13="O", f14="O"))
    elif category == "U00":
        found.append(made("U00.0", "Erfundener Erreger", f6="U00.0!", f13="Z", f14="Z"))
    else:
        found.append(made(f"{category}.0", f"{name}, akut"))
        found.append(made(f"{category}.9", f"{name}, nicht näher bezeichnet"))
    return found


def kodes(given: Iterable[Sequence[str]] | None = None) -> str:
    """The file _kodes.txt of BfArM: semicolons, no header."""
    return "".join(f"{';'.join(fields)}\r\n" for fields in (rows() if given is None else given))


def with_header(given: Iterable[Sequence[str]] | None = None) -> str:
    """The same with a header and commas."""
    lines = [",".join(metadata.HEADER)]
    for fields in rows() if given is None else given:
        lines.append(",".join(f'"{field}"' if "," in field else field for field in fields))
    return "\n".join(lines) + "\n"


def kapitel() -> str:
    """The file _kapitel.txt."""
    return "".join(f"{chapter};Kapitel {chapter}\r\n" for chapter, _block, _category in CHAPTERS)


def gruppen() -> str:
    """The file _gruppen.txt."""
    return "".join(f"{block[:3]};{block[4:]};{chapter};Gruppe {block}\r\n" for chapter, block, _category in CHAPTERS)


def zipped(path: Path, members: dict[str, str | bytes]) -> Path:
    """A zip of these files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def official(path: Path, year: int = YEAR, codes: str | None = None) -> Path:
    """The zip of the metadata as BfArM packs it."""
    folder = "Klassifikationsdateien"
    return zipped(
        path,
        {
            f"{folder}/icd10gm{year}syst_gruppen.txt": gruppen(),
            f"{folder}/icd10gm{year}syst_kapitel.txt": kapitel(),
            f"{folder}/icd10gm{year}syst_kodes.txt": kodes() if codes is None else codes,
            f"{folder}/morbl_{year}.txt": "001;Erfundene Zeile\r\n",
            f"icd10gm{year}syst_metadaten_liesmich.txt": "Liesmich: erfunden\r\n",
        },
    )


# --- ClaML -------------------------------------------------------------------------------------------------------

_META = {
    13: "Para295", 14: "Para301", 20: "SexCode", 21: "SexReject", 22: "AgeLow", 23: "AgeHigh", 24: "AgeReject",
    25: "RareDisease", 26: "Content", 27: "Infectious", 28: "EBMLabor",
}  # fmt: skip

NOTES = """<Rubric kind="inclusion"><Label xml:lang="de" xml:space="default">Erfundener Zucker</Label></Rubric>
<Rubric kind="exclusion"><Label xml:lang="de" xml:space="default"><Fragment type="item">In der Schwangerschaft
</Fragment><Reference code="O00">O00.-</Reference></Label></Rubric>
<Rubric kind="exclusion"><Label xml:lang="de">Grippe <Reference>J00-J06</Reference> und
<Reference>Z99.9</Reference></Label></Rubric>
<Rubric kind="coding-hint"><Label xml:lang="de">Benutze <Reference usage="aster">H36.0</Reference>.</Label></Rubric>
<Rubric kind="modifierlink"><Label xml:lang="de">Siehe am Anfang der Gruppe</Label></Rubric>"""


def rubric(title: str, kind: str = "preferred") -> str:
    """A rubric with a plain label."""
    return f'<Rubric kind="{kind}"><Label xml:lang="de" xml:space="default">{escape(title)}</Label></Rubric>'


def claml(*, head: str = '<!DOCTYPE ClaML SYSTEM "ClaML.dtd">', body: str | None = None, year: int = YEAR) -> bytes:
    """The Systematisches Verzeichnis as XML."""
    title = f'<Title name="ICD-10-GM" version="{year}" date="{year - 1}-09-14">ICD-10-GM Version {year}</Title>'
    whole = "".join(_modifiers()) + "".join(_classes()) if body is None else body
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}\n<ClaML version="2.0.0">{title}{whole}</ClaML>'.encode()


def _modifiers() -> list[str]:
    found = []
    for modifier, digits in (("S04E10_4", FOURTH), ("S04E10_5", [(code, title, "") for code, title in FIFTH])):
        found.append(f'<Modifier code="{modifier}">{"".join(f"<SubClass code={quoteattr(d[0])}/>" for d in digits)}')
        found.append(f"{rubric('Erfundene Subklassifikation', 'text')}</Modifier>")
        for digit, title, usage in digits:
            mark = f' usage="{usage}"' if usage else ""
            meta = '<Meta name="excludeOnPrecedingModifier" value="S04E10_4 .0"/>' if digit == "0" else ""
            found.append(f'<ModifierClass modifier="{modifier}" code="{digit}"{mark}>{meta}')
            found.append(f'<SuperClass code="{modifier}"/>{rubric(title)}</ModifierClass>')
    return found


def _classes() -> list[str]:
    found = []
    for roman, (chapter, block, _category) in zip(ROMAN, CHAPTERS, strict=True):
        note = rubric("Erfundenes Exklusivum des Kapitels", "exclusion") if chapter == "01" else ""
        found.append(f'<Class code="{roman}" kind="chapter"><SubClass code="{block}"/>{rubric(f"Kapitel {chapter}")}')
        found.append(f'{note}</Class><Class code="{block}" kind="block"><SuperClass code="{roman}"/>')
        found.append(f"{rubric(f'Gruppe {block}')}</Class>")
    blocks = {chapter: block for chapter, block, _category in CHAPTERS}
    for fields in rows():
        code, is_category = fields[6], len(fields[6]) == 3
        if fields[2] == "S":
            continue
        usage = {"O": ' usage="aster"', "Z": ' usage="optional"'}.get(fields[12], "")
        meta = "".join(f'<Meta name="{name}" value="{fields[field - 1]}"/>' for field, name in _META.items())
        above = blocks[fields[3]] if is_category else code[:3]
        modified = '<ModifiedBy code="S04E10_4"/><ModifiedBy code="S04E10_5" all="true"/>' if code == "E10" else ""
        more = NOTES if code == "E10" else ""
        found.append(f'<Class code="{code}" kind="category"{usage}>{meta}<SuperClass code="{above}"/>{modified}')
        found.append(f"{rubric(fields[8])}{more}</Class>")
    return found


# --- FHIR package ------------------------------------------------------------------------------------------------


def code_system(*, is_nested: bool = False, year: int = YEAR) -> dict[str, Any]:
    """The CodeSystem with its concepts in one list, or within each other."""
    concepts: dict[str, dict[str, Any]] = {}
    above: dict[str, str] = {}
    for roman, (chapter, block, _category) in zip(ROMAN, CHAPTERS, strict=True):
        concepts[roman] = {"code": roman, "display": f"Kapitel {chapter}", "property": []}
        concepts[block] = {"code": block, "display": f"Gruppe {block}", "property": []}
        above[block] = roman
    blocks = {chapter: block for chapter, block, _category in CHAPTERS}
    daggers = [digit for digit, _title, usage in FOURTH if usage]
    for fields in rows():
        code = fields[6]
        mark = (
            "dagger"
            if code[3:5] in daggers and code.startswith("E10")
            else {"O": "aster", "Z": "optional"}.get(fields[12], "")
        )
        properties = [{"code": name, "valueCode": fields[field - 1]} for field, name in _META.items()]
        properties += [{"code": "usage", "valueCode": mark}] if mark else []
        concepts[code] = {"code": code, "display": fields[8], "property": properties}
        above[code] = blocks[fields[3]] if len(code) == 3 else code[:-1].rstrip(".")
    concepts["E10"]["property"].append({"code": "inclusion", "valueString": "Erfundener Zucker"})
    concepts["E10"]["designation"] = [{"use": {"code": "exclusion"}, "value": "In der Schwangerschaft O00.-, J00-J06"}]
    for code, outer in above.items():
        if is_nested:
            concepts[outer].setdefault("concept", []).append(concepts[code])
        else:
            concepts[code]["property"].append({"code": "parent", "valueCode": outer})
    return {
        "resourceType": "CodeSystem", "url": "http://fhir.de/CodeSystem/bfarm/icd-10-gm", "version": str(year),
        "content": "complete", "concept": [c for code, c in concepts.items() if not is_nested or code not in above],
    }  # fmt: skip


def package(path: Path, *, is_nested: bool = False, year: int = YEAR, extra: Sequence[tarfile.TarInfo] = ()) -> Path:
    """The package as the terminology server sends it."""
    members = {
        "package/package.json": {"name": "bfarm.terminologien.icd10gm", "version": f"{year}.0.0"},
        "package/.index.json": {"index-version": 1, "files": []},
        f"package/CodeSystem-icd10gm-{year}.json": code_system(is_nested=is_nested, year=year),
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, value in members.items():
            data = json.dumps(value).encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in extra:
            archive.addfile(info)
    return path


# --- Alpha-ID ----------------------------------------------------------------------------------------------------

ALPHA = (  # of Alpha-ID-SE
    "1|I100|E10.90|||||Erfundene Zuckerkrankheit",
    "1|I101|E10.30+|H36.0*|||99999|Erfundenes Zuckerauge",
    "1|I102|A00.0||U00.0!|J00.9||Erfundene Cholera mit Schnupfen",
)


def alpha_se() -> str:
    """The Alpha-ID-SE: eight fields."""
    return "".join(f"{line}\n" for line in (*ALPHA, "0|I103||||||Erfundener alter Text"))


def alpha() -> str:
    """The Alpha-ID: seven fields."""
    return "1|I100|E10.90||||Erfundene Zuckerkrankheit für Ältere\n1|I101|E10.30+|H36.0*|||Erfundenes Zuckerauge\n"
