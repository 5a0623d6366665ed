"""The complete ICD-10-GM 2025 of BfArM, imported as CSV and as the official zip."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from terminology.icd10gm import edition, installed
from terminology.importers import completeness, content, files, metadata, recognising
from tests import support
from tests.unit.terminology.importers import published

CSV = support.SHARED / "data" / "icd10gm" / "icd10gm_2025_codes.csv"

pytestmark = pytest.mark.skipif(not CSV.exists(), reason="needs ../shared/data/icd10gm")


@pytest.fixture(scope="module")
def rows() -> list[list[str]]:
    """The 28 fields of each row."""
    with CSV.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


@pytest.fixture(scope="module")
def read() -> content.Content:
    return recognising.read(CSV)


def put(into: installed.Store, path: Path, found: content.Content) -> bool:
    source = edition.Source(found.name, found.form, found.version, files.digest(path), "2026-01-01T00:00:00+00:00")
    return into.write(found, source)


def test_the_csv_is_the_whole_year(read: content.Content, rows: list[list[str]]) -> None:
    assert (read.form, read.year, read.known) == ("metadata", 2025, content.METADATA_FIELDS)
    assert len(read.codes) == len(rows) == 16_817
    assert sum(code.is_terminal for code in read.codes.values()) == 14_309
    uses = [code.practice for code in read.codes.values()]
    assert {use: uses.count(use) for use in uses} == {"P": 13_872, "O": 939, "Z": 498, "V": 1_508}
    assert sum(code.sex != "" for code in read.codes.values()) == 1_144
    assert sum(code.age_error == "M" for code in read.codes.values()) == 82
    assert read.codes["E11.90"].title == (
        "Diabetes mellitus, Typ 2: Ohne Komplikationen: Nicht als entgleist bezeichnet"
    )


def test_the_official_zip_is_the_same(tmp_path: Path, read: content.Content, rows: list[list[str]]) -> None:
    headings = {fields[3]: fields[4] for fields in rows}
    folder, zipped = "Klassifikationsdateien", tmp_path / "meta.zip"
    published.zipped(
        zipped,
        {
            f"{folder}/icd10gm2025syst_kodes.txt": published.kodes(rows),
            f"{folder}/icd10gm2025syst_kapitel.txt": "".join(f"{chapter};Kapitel\r\n" for chapter in headings),
            f"{folder}/icd10gm2025syst_gruppen.txt": "".join(
                f"{first};{first};{chapter};Gruppe\r\n" for chapter, first in headings.items()
            ),
        },
    )
    found = recognising.read(zipped)
    assert found.codes == read.codes
    assert len(found.headings) == 44
    store = installed.Store(tmp_path / installed.FILE)
    assert put(store, CSV, read)
    first = store.load(2025)
    assert not put(store, CSV, read)
    assert put(store, zipped, found)
    assert not put(store, zipped, found)
    second = store.load(2025)
    assert first is not None and second is not None
    assert first.codes == second.codes == read.codes
    assert len(store.editions()) == 1


@pytest.mark.parametrize("missing", ["A00.0", "E11.90", "E11.9", "E11", "Z99.9"])
def test_a_missing_code_is_noticed(read: content.Content, missing: str) -> None:
    completeness.check(read)
    codes = {name: code for name, code in read.codes.items() if name != missing}
    assert len(codes) == len(read.codes) - 1
    with pytest.raises(content.NotImportable):
        completeness.check(replace(read, codes=codes))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.999])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, rows: list[list[str]], share: float) -> None:
    text = published.kodes(rows)
    cut = tmp_path / "icd10gm2025syst_kodes.txt"
    cut.write_text(text[: int(len(text) * share)], "utf-8")
    with pytest.raises(content.NotImportable):
        recognising.read(cut)
    cut.write_text(text[: text.rindex("\r\n", 0, int(len(text) * share)) + 2], "utf-8")
    with pytest.raises(content.NotImportable):
        recognising.read(cut)


def test_the_combined_codes_follow_the_rule_that_claml_is_read_by(rows: list[list[str]]) -> None:
    """What combining.py derives where ClaML says "not allowed": the metadata say the same of all 4,571 such codes."""
    combined = [fields for fields in rows if fields[2] == "S"]
    assert len(combined) == 4_571
    for fields in combined:
        mark = fields[5][-1]
        use = {"*": "O", "!": "Z"}.get(mark, "P")
        assert fields[12] == use, fields[6]
        assert fields[13] == (use if fields[1] == "T" else "V"), fields[6]
    assert len(metadata.HEADER) == metadata.FIELDS
