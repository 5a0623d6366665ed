"""ClaML: the hierarchy, the combined codes, notes and marks, and hostile XML."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology.icd10gm import edition
from terminology.importers import claml, combining, content, metadata
from tests.unit.terminology.importers import published


def read(data: bytes) -> content.Content:
    return combining.read(claml.parse(data, "claml.xml"), published.YEAR, "claml.xml")


@pytest.fixture(scope="module")
def whole() -> content.Content:
    return read(published.claml())


def test_the_codes_are_those_of_the_metadata(whole: content.Content) -> None:
    expected = metadata.codes(published.kodes(), "k")
    daggers = {code for code, found in whole.codes.items() if found.is_dagger}
    assert daggers == {"E10.3", "E10.30", "E10.31"}
    assert set(whole.codes) == set(expected)
    for name, code in whole.codes.items():
        for field in whole.known - {"is_dagger"}:
            assert getattr(code, field) == getattr(expected[name], field), (name, field)
    assert whole.known == set(content.FIELDS)


def test_a_code_that_a_modifier_excludes_is_not_made(whole: content.Content) -> None:
    assert "E10.01" in whole.codes and "E10.00" not in whole.codes


def test_version_headings_and_notes(whole: content.Content) -> None:
    assert whole.version == f"{published.YEAR} {published.YEAR - 1}-09-14"
    assert content.Heading("chapter", "04", "Kapitel 04") in whole.headings
    assert content.Heading("block", "E10-E14", "Gruppe E10-E14", "04") in whole.headings
    assert whole.notes["E10"] == (
        edition.Note("inclusion", "Erfundener Zucker"),
        edition.Note("exclusion", "In der Schwangerschaft O00.-", ("O00",)),
        edition.Note("exclusion", "Grippe J00-J06 und Z99.9", ("J00-J06",)),
        edition.Note("hint", "Benutze H36.0*.", ("H36.0",)),
    )
    assert whole.notes["01"][0].text == "Erfundenes Exklusivum des Kapitels"
    assert set(whole.notes) == {"E10", "01"}


def test_only_valid_digits_are_combined() -> None:
    body = (
        published.claml()
        .decode()
        .replace(
            '<ModifiedBy code="S04E10_4"/>',
            '<ModifiedBy code="S04E10_4" all="false"><ValidModifierClass code=".9"/></ModifiedBy>',
        )
    )
    codes = read(body.encode()).codes
    assert [code for code in codes if code.startswith("E10")] == ["E10", "E10.9", "E10.90", "E10.91"]


def test_a_fifth_character_goes_behind_a_class_of_four() -> None:
    text = published.claml().decode()
    text = text.replace('<ModifiedBy code="S04E10_4"/><ModifiedBy code="S04E10_5" all="true"/>', "")
    place = '<Class code="J00.9" kind="category">'
    start = text.index(place) + len(place)
    codes = read(f'{text[:start]}<ModifiedBy code="S04E10_5"/>{text[start:]}'.encode()).codes
    assert codes["J00.91"].title == "Erfundene Krankheit J00, nicht näher bezeichnet: Entgleist"
    assert codes["J00.91"].parent == "J00.9" and codes["J00.91"].is_terminal and not codes["J00.9"].is_terminal


def test_a_combined_star_code_stays_one() -> None:
    text = published.claml().decode()
    text = text.replace('<ModifiedBy code="S04E10_4"/><ModifiedBy code="S04E10_5" all="true"/>', "")
    place = '<Class code="H36.0" kind="category" usage="aster">'
    place += '<Meta name="Para295" value="O"/><Meta name="Para301" value="O"/>'
    assert place in text
    starred = place.replace('value="O"', 'value="V"') + '<ModifiedBy code="S04E10_5"/>'
    codes = read(text.replace(place, starred).encode()).codes
    assert (codes["H36.01"].practice, codes["H36.01"].hospital, codes["H36.01"].mark) == ("O", "O", "*")


def test_the_long_title_and_references_in_titles() -> None:
    long = '<Rubric kind="preferredLong"><Label xml:lang="de">Lang</Label></Rubric>'
    short = '<Rubric kind="preferred"><Label xml:lang="en">Cold</Label><Label xml:lang="de">Kurz '
    short += '<Reference usage="aster">G01</Reference></Label></Rubric>'
    (entry,) = claml.parse(published.claml(body=f'<Class code="J00">{short}</Class>'), "x").classes.values()
    assert entry.title == "Kurz"
    (entry,) = claml.parse(published.claml(body=f'<Class code="J00">{short}{long}</Class>'), "x").classes.values()
    assert entry.title == "Lang"


ENTITIES = {
    "bomb": '<!DOCTYPE ClaML [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>',
    "external": '<!DOCTYPE ClaML [<!ENTITY b SYSTEM "file:///etc/passwd">]>',
    "parameter": '<!DOCTYPE ClaML [<!ENTITY % b SYSTEM "http://192.0.2.1/x.dtd"> %b;]>',
}


@pytest.mark.parametrize("head", ENTITIES.values(), ids=ENTITIES)
def test_entities_are_refused(head: str) -> None:
    with pytest.raises(content.NotImportable, match="declares the entity"):
        claml.parse(published.claml(head=head, body=f"<Class code='J00'>{published.rubric('x')}</Class>"), "x")


def test_an_entity_of_the_dtd_is_refused_and_the_dtd_is_not_fetched() -> None:
    dtd = '<!DOCTYPE ClaML SYSTEM "http://192.0.2.1/ClaML.dtd">'
    label = '<Rubric kind="preferred"><Label>Grippe&unknown;</Label></Rubric>'
    with pytest.raises(content.NotImportable, match="declares the entity 'unknown'"):
        claml.parse(published.claml(head=dtd, body=f"<Class code='J00'>{label}</Class>"), "x")
    assert claml.parse(published.claml(head=dtd), "x").year == published.YEAR


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("</ClaML>", "", "is no whole XML file"),
        ('<Class code="J00" kind', '<Class code="J0" kind', "'J0', which is no code"),
        ('<Class code="J00.0" kind', '<Class code="J00.9" kind', "has the class 'J00.9' twice"),
        ('<Class code="J00.0" kind', '<Class code="" kind', "a class without a code"),
        ('<SuperClass code="J00-J06"/>', "", "J00 without '', the class above it"),
        ('<SuperClass code="J00-J06"/>', '<SuperClass code="J99"/>', "J00 without 'J99', the class above it"),
        ('<ModifiedBy code="S04E10_4"/>', '<ModifiedBy code="S99"/>', "no digits of the modifier 'S99'"),
        ('<ModifiedBy code="S04E10_4"/>', "", "puts '0' of 'S04E10_5' behind E10, which makes no code"),
        ("Erfundene Krankheit J00, akut", "", "no title for J00.0"),
        ('"Para295" value="O"', '"Para295" value="?"', "H36.0 has the value '.' for Para295"),
        ('"AgeLow" value="j012"', '"AgeLow" value="12"', "has the value '12' for AgeLow"),
        ('encoding="UTF-8"', 'encoding="EBCDIC-XX"', "is no whole XML file|character set"),
        ("<ClaML", "<Claml", "no whole XML file|is no ClaML file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(old: str, new: str, told: str) -> None:
    text = published.claml().decode()
    assert old in text
    with pytest.raises(content.NotImportable, match=told):
        read(text.replace(old, new, 1).encode())


def test_a_deep_file_and_an_empty_one_are_refused() -> None:
    with pytest.raises(content.NotImportable, match="nested too deep"):
        claml.parse(published.claml(body="<a>" * 500 + "</a>" * 500), "x")
    with pytest.raises(content.NotImportable, match="has no class"):
        claml.parse(published.claml(body=""), "x")


@given(st.binary() | st.text(alphabet="<>/=\"' &;ClaMLRubricode").map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read(data)
    except content.NotImportable as error:
        assert "\n" not in str(error)


@given(st.integers(0, len(published.claml())), st.integers(0, 60), st.binary(max_size=6))
def test_a_changed_file_is_read_or_refused(start: int, length: int, put: bytes) -> None:
    data = published.claml()
    try:
        codes = read(data[:start] + put + data[start + length :]).codes
    except content.NotImportable:
        return
    assert all(content.CODE.fullmatch(code) for code in codes)
