"""Texts, URIs and annotations."""

import pytest

from mappers import er7
from mappers.v2_to_fhir import datatypes
from mappers.v2_to_fhir.reading import Reading, Unusable
from tests.unit.mappers.v2_to_fhir.values import HEADER, SCOPE, converted, left, of


@pytest.mark.parametrize(
    ("name", "raw", "expected"),
    [
        ("string", "Müßiggang", "Müßiggang"),
        ("string", "Müller^Erika", "Müller"),
        ("string", " Ärztin  ", "Ärztin"),
        ("string", "Müller \\T\\ Söhne", "Müller & Söhne"),
        ("string", '""', None),
        ("string", "   ", None),
        ("text", "Größe^und & Gewicht", "Größe^und & Gewicht"),
        ("text", "Zeile 1\\.br\\Zeile 2", "Zeile 1\nZeile 2"),
        ("text", "  eingerückt\\X0C\\neue Seite\\X07\\", "  eingerückt\nneue Seite"),
        ("text", "nur ein Text^^", "nur ein Text"),
        ("markdown", "Süße \\S\\ Säure", "Süße ^ Säure"),
        ("uri", "https://klinik.example/ä?x=1&y=2", "https://klinik.example/ä?x=1&y=2"),
        ("annotation", "Zeile 1~Zeile 2~~Zeile 4", {"text": "Zeile 1\nZeile 2\n\nZeile 4"}),
    ],
)
def test_text(name: str, raw: str, expected: object) -> None:
    assert converted(name, raw) == expected


@pytest.mark.parametrize(("name", "raw"), [("string", "a\\X01\\b"), ("uri", "https://klinik.example/a b")])
def test_unusable(name: str, raw: str) -> None:
    with pytest.raises(Unusable):
        converted(name, raw)


@pytest.mark.parametrize("name", ["string", "text", "annotation"])
def test_bytes_of_another_character_set_are_not_handed_on(name: str) -> None:
    message = er7.parse(f"{HEADER}\rNTE|1||M".encode() + b"\xfcller\r")
    with pytest.raises(Unusable, match="character set"):
        datatypes.TYPES[name](Reading(message).values(1, 3)[0], SCOPE)


def test_what_is_longer_than_fhir_allows_is_unusable() -> None:
    with pytest.raises(Unusable, match="1 MiB"):
        converted("text", "x" * (1024 * 1024 + 1))


def test_only_the_first_repetition_speaks_for_all() -> None:
    assert datatypes.TYPES["annotation"](of("NTE|1||a~b", 3, 1), SCOPE) is None
    assert datatypes.TYPES["annotation"](of('NTE|1||""~b', 3, 1), SCOPE) == {"text": "b"}


def test_a_string_leaves_its_other_components() -> None:
    assert left("string", "Müller^Erika&x") == ["ZZZ-1.2.1", "ZZZ-1.2.2"]
    assert left("text", "Müller^Erika&x") == []
