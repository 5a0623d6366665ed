"""The FHIR package: concepts in one list or within each other, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology.icd10gm import edition
from terminology.importers import content, fhir_package, files, metadata
from tests.unit.terminology.importers import published


def read(system: object, version: str = f"{published.YEAR}.0.0") -> content.Content:
    package = fhir_package.Package()
    package.add(files.Member("package.json", json.dumps({"version": version}).encode()))
    package.add(files.Member("CodeSystem-icd10gm.json", json.dumps(system).encode()))
    assert package.is_one
    return package.content(published.YEAR)


@pytest.mark.parametrize("is_nested", [False, True])
def test_the_codes_are_those_of_the_metadata(is_nested: bool) -> None:
    found = read(published.code_system(is_nested=is_nested))
    expected = metadata.codes(published.kodes(), "k")
    assert set(found.codes) == set(expected) and found.known == set(content.FIELDS)
    for name, code in found.codes.items():
        for field in found.known - {"is_dagger"}:
            assert getattr(code, field) == getattr(expected[name], field), (name, field)
    assert {code for code, one in found.codes.items() if one.is_dagger} == {"E10.3", "E10.30", "E10.31"}
    assert content.Heading("block", "E10-E14", "Gruppe E10-E14", "04") in found.headings
    assert found.notes == {
        "E10": (
            edition.Note("inclusion", "Erfundener Zucker"),
            edition.Note("exclusion", "In der Schwangerschaft O00.-, J00-J06", ("O00", "J00-J06")),
        )
    }
    assert found.version == f"{published.YEAR}.0.0"


def test_what_it_does_not_say_is_not_known() -> None:
    concepts = [{"code": "J00", "display": "Schnupfen"}, {"code": "J00.0", "display": "Akuter Schnupfen"}]
    found = read({**published.code_system(), "concept": concepts})
    assert found.known == {"code", "title", "level", "parent", "is_terminal"}
    assert [(code.code, code.is_terminal) for code in found.codes.values()] == [("J00", False), ("J00.0", True)]


def test_the_years_are_those_of_package_and_code_system() -> None:
    package = fhir_package.Package()
    package.add(files.Member("package.json", b'{"version": "2030.0.0"}'))
    assert (package.years, package.is_one) == ((2030,), False)
    package.add(files.Member("CodeSystem-c.json", json.dumps(published.code_system()).encode()))
    assert (package.years, package.is_one) == ((published.YEAR, 2030), True)


def test_only_the_package_and_its_code_systems_are_read() -> None:
    package, data = fhir_package.Package(), json.dumps(published.code_system()).encode()
    for name in (".index.json", "ValueSet-x.json", "x.json"):
        package.add(files.Member(name, b"{" if name == "x.json" else data))
    assert not package.is_one
    package.add(files.Member("CodeSystem-x.json", b"\xef\xbb\xbf" + data))
    assert package.is_one


@pytest.mark.parametrize("name", ["package.json", "CodeSystem-x.json"])
def test_a_json_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    fhir_package.Package().add(files.Member(name, b"{} "))
    monkeypatch.setattr(fhir_package, "_MOST_BYTES", {"package.json": 2, "CodeSystem": 2})
    fhir_package.Package().add(files.Member(name, b"{}"))
    with pytest.raises(content.NotImportable, match="is larger than"):
        fhir_package.Package().add(files.Member(name, b"{} "))


@pytest.mark.parametrize("text", ["\\ud800", "\\udc00", "\\ud83d x"])
def test_half_a_character_is_refused(text: str) -> None:
    whole = json.dumps(change(concept=[{"code": "J00", "display": "Schnupfen ?"}]))
    fhir_package.Package().add(files.Member("CodeSystem-x.json", whole.replace("?", "\\ud83d\\ude00").encode()))
    with pytest.raises(content.NotImportable, match="is no whole JSON file"):
        fhir_package.Package().add(files.Member("CodeSystem-x.json", whole.replace("?", text).encode()))


def change(**changes: Any) -> dict[str, Any]:
    return {**published.code_system(), **changes}


@pytest.mark.parametrize(
    ("system", "told"),
    [
        (change(content="fragment"), "is not the complete CodeSystem"),
        (change(concept=[{"code": "J00"}]), "a concept without code or display"),
        (change(concept=[{"code": 7, "display": "x"}]), "a concept without code or display"),
        (change(concept=[{"code": "J00", "display": "x"}] * 2), "has J00 twice"),
        (
            change(concept=[{"code": "J00", "display": "x", "property": [{"code": "SexCode", "valueCode": "X"}]}]),
            "J00 has the value 'X' for SexCode",
        ),
    ],
)
def test_what_is_wrong_is_told(system: dict[str, Any], told: str) -> None:
    with pytest.raises(content.NotImportable, match=told):
        read(system)


@pytest.mark.parametrize("data", [b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 100_000])
def test_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(content.NotImportable, match="is no whole JSON file"):
        fhir_package.Package().add(files.Member("CodeSystem-c.json", data))


def test_a_second_year_in_the_package_is_refused() -> None:
    package, data = fhir_package.Package(), json.dumps(published.code_system()).encode()
    package.add(files.Member("CodeSystem-a.json", data))
    with pytest.raises(content.NotImportable, match="more than once"):
        package.add(files.Member("CodeSystem-b.json", data))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["code", "display", "property", "designation", "concept", "use", "value", "valueCode", "valueBoolean"]
            ),
            inner | st.sampled_from(["J00", "J00.0", "J00-J06", "X", "parent", "Para295", "inclusion"]),
        )
    ),
    max_leaves=20,
)


@given(_json, _json)
def test_any_concepts_are_read_or_refused(concepts: object, version: object) -> None:
    try:
        read(change(concept=concepts, version=version))
    except content.NotImportable as error:
        assert "\n" not in str(error)
