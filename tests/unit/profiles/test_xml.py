"""`profiles.xml`: HL7's examples and made-up resources through XML and back, and what is refused."""

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiles import base, r4_differences, xml
from profiles.r4_differences import Element, definition
from tests.support import SHARED

EXAMPLES = SHARED / "data" / "fhir_r4_examples"
CORE = SHARED / "data" / "profiles" / "hl7.fhir.r4.core-4.0.1-subset"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared")

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
NS = 'xmlns="http://hl7.org/fhir"'
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">Befund</div>'
SECRET = "Geheimrath"


def exact(value: object) -> object:
    """A value in a form whose equality is that of JSON with digits: True is not 1, 1.0 not 1.00."""
    if isinstance(value, dict):
        return {name: exact(item) for name, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    return ("number", str(value)) if number else (type(value).__name__, value)


def there_and_back(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource through XML; what comes back is the same, digit for digit."""
    read = xml.decode(xml.encode(resource))
    assert exact(read) == exact(resource)
    return read


def content(resource: dict[str, Any]) -> str:
    """The XML of a resource without declaration and root element."""
    name = resource["resourceType"]
    text = xml.encode(resource).decode()
    assert text.startswith(f"{DECLARATION}<{name} {NS}>")
    assert text.endswith(f"</{name}>")
    return text[len(f"{DECLARATION}<{name} {NS}>") : -len(f"</{name}>")]


def refusal(body: str | bytes) -> str:
    """The words in which a body is refused."""
    with pytest.raises(xml.NotXml) as caught:
        xml.decode(body if isinstance(body, bytes) else body.encode())
    return str(caught.value)


def patient(inner: str, attributes: str = "") -> str:
    return f"<Patient {NS} {attributes}>{inner}</Patient>"


def _examples() -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in sorted(EXAMPLES.glob("*.json"))]


@needs_shared
@pytest.mark.parametrize("path", _examples())
def test_example(path: Path) -> None:
    resource = msgspec.json.Decoder(float_hook=Decimal).decode(path.read_bytes())
    read = there_and_back(resource)
    assert base.faults(read) == base.faults(resource)
    assert xml.encode(read) == xml.encode(resource)


def _snapshots() -> Iterator[dict[str, Any]]:
    for path in sorted(CORE.glob("StructureDefinition-*.json")):
        structure = json.loads(path.read_text("utf-8"))
        if structure["kind"] in {"resource", "complex-type"} and structure.get("derivation") != "constraint":
            yield structure


@needs_shared
def test_order_is_that_of_r4() -> None:
    """The elements of every type and backbone element stand in the order of R4's StructureDefinitions."""
    for structure in _snapshots():
        if structure["name"] == "SubstanceAmount":  # fhir.resources has it not
            continue
        labels: dict[str, list[str]] = {}
        for element in structure["snapshot"]["element"][1:]:
            parent, _, name = element["path"].removesuffix("[x]").rpartition(".")
            labels.setdefault(parent, []).append(name)
        models = {structure["name"]: structure["name"]}
        for path, expected in labels.items():
            owner, _, name = path.rpartition(".")
            model = models.setdefault(path, definition(models[owner]).elements[name].type if owner else path)
            places = {
                element.label: xml._table(model).places[alias] for alias, element in definition(model).elements.items()
            }
            assert sorted(places, key=places.__getitem__) == expected, path


def test_primitives() -> None:
    resource = {
        "resourceType": "Patient",
        "id": "p1",
        "active": True,
        "_active": {"id": "a1"},
        "name": [{"id": "n1", "family": 'Müller & "Söhne" <\'>\t\r\n', "given": ["Anna ", "  Lena"]}],
        "_birthDate": {"extension": [{"url": "http://example.org/fehlt", "valueCode": "unknown"}]},
        "deceasedBoolean": False,
        "multipleBirthInteger": -2,
    }
    assert content(there_and_back(resource)) == (
        '<id value="p1"/><active value="true" id="a1"/>'
        '<name id="n1"><family value="Müller &amp; &quot;Söhne&quot; &lt;\'&gt;&#9;&#13;&#10;"/>'
        '<given value="Anna "/><given value="  Lena"/></name>'
        '<birthDate><extension url="http://example.org/fehlt"><valueCode value="unknown"/></extension></birthDate>'
        '<deceasedBoolean value="false"/><multipleBirthInteger value="-2"/>'
    )


@pytest.mark.parametrize(
    ("values", "siblings"),
    [
        (["a", None, "c"], [None, {"id": "b"}, None]),
        (["a", "b"], [{"id": "a"}, {"extension": [{"url": "http://example.org/e", "valueBoolean": True}]}]),
        (["a", "b"], [{"id": "a"}, None]),
        (None, [{"id": "a"}, {"id": "b"}]),
        (["a"], None),
    ],
)
def test_null_padding(values: list[Any] | None, siblings: list[Any] | None) -> None:
    name = {key: item for key, item in (("given", values), ("_given", siblings)) if item is not None}
    there_and_back({"resourceType": "Patient", "name": [name]})


def test_arrays_that_are_not_padded_come_back_padded() -> None:
    """https://hl7.org/fhir/R4/json.html#primitive asks for equal lengths; nulls at the end carry nothing."""
    name = {"given": ["a", "b"], "_given": [{"id": "1"}]}
    read = xml.decode(xml.encode({"resourceType": "Patient", "name": [name]}))
    assert read["name"] == [{"given": ["a", "b"], "_given": [{"id": "1"}, None]}]


@pytest.mark.parametrize(
    "digits",
    ["1.00", "0", "-0", "100", "1E+3", "1.0E-245", "-0.000", "12345678901234567890.123456789012345678901234567890"],
)
def test_decimal_keeps_its_digits(digits: str) -> None:
    resource = {"resourceType": "Observation", "valueQuantity": {"value": Decimal(digits)}}
    assert str(there_and_back(resource)["valueQuantity"]["value"]) == digits
    assert f'<value value="{digits}"/>' in content(resource)


def test_decimal_is_always_a_decimal() -> None:
    for text, read in {"1e3": "1E+3", "72": "72", "1.10": "1.10"}.items():
        body = f'<Observation {NS}><valueQuantity><value value="{text}"/></valueQuantity></Observation>'
        value = xml.decode(body.encode())["valueQuantity"]["value"]
        assert type(value) is Decimal
        assert str(value) == read


@pytest.mark.parametrize(
    ("inner", "name", "text"),
    [
        ('<active value="ja"/>', "active", "ja"),
        ('<active value=" true"/>', "active", " true"),
        ('<multipleBirthInteger value="1.0"/>', "multipleBirthInteger", "1.0"),
        ('<multipleBirthInteger value="007"/>', "multipleBirthInteger", "007"),
        (f'<multipleBirthInteger value="{"9" * 5000}"/>', "multipleBirthInteger", "9" * 5000),
        ('<birthDate value=""/>', "birthDate", ""),
        ("<birthDate/>", "_birthDate", {}),
        ("<contact/>", "contact", [{}]),
        ('<id value="p1" id="x"/>', "_id", {"id": "x"}),
    ],
)
def test_wrong_value_is_for_the_base_check(inner: str, name: str, text: object) -> None:
    resource = xml.decode(patient(inner).encode())
    assert resource[name] == text
    assert base.faults(resource)


@pytest.mark.parametrize("digits", [".5", "5.", "01.0", "1,5", "NaN", "INF", "+1.0", "1e999999999999999999999"])
def test_wrong_decimal_is_for_the_base_check(digits: str) -> None:
    body = f'<Observation {NS}><valueQuantity><value value="{digits}"/></valueQuantity></Observation>'
    assert xml.decode(body.encode())["valueQuantity"]["value"] == digits


def test_resources_within_resources() -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {
                "fullUrl": "urn:uuid:0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
                "resource": {
                    "resourceType": "Encounter",
                    "contained": [
                        {"resourceType": "Practitioner", "id": "a"},
                        {"resourceType": "Location", "id": "b"},
                    ],
                    "status": "finished",
                },
            },
            {
                "resource": {
                    "resourceType": "Parameters",
                    "parameter": [{"name": "x", "resource": {"resourceType": "Basic", "id": "y"}}],
                }
            },
            {"response": {"status": "200", "outcome": {"resourceType": "OperationOutcome", "id": "z"}}},
        ],
    }
    text = content(there_and_back(bundle))
    assert '<contained><Practitioner><id value="a"/></Practitioner></contained><contained><Location>' in text
    assert '<resource><Basic><id value="y"/></Basic></resource>' in text
    scenario = {"resourceType": "ExampleScenario", "instance": [{"resourceId": "a", "resourceType": "Patient"}]}
    assert '<resourceType value="Patient"/>' in content(there_and_back(scenario))


# Narrative


@pytest.mark.parametrize(
    "div",
    [
        DIV,
        '<div xmlns="http://www.w3.org/1999/xhtml" xml:lang="de"> a<b>x</b> &amp;&#160;&lt;<br/>\n  <p></p>ß</div>',
        '<div xmlns="http://www.w3.org/1999/xhtml"><!-- c --><![CDATA[a < b]]><a title=\'"\' href="#x">/></a></div >',
        '<div xmlns="http://www.w3.org/1999/xhtml"><img src="#a" alt=""/></div>',
    ],
)
def test_narrative_keeps_its_source(div: str) -> None:
    there_and_back({"resourceType": "Patient", "text": {"status": "generated", "div": div}})


@pytest.mark.parametrize(
    ("root", "div", "expected"),
    [
        ("", '<div xmlns="http://www.w3.org/1999/xhtml"/>', '<div xmlns="http://www.w3.org/1999/xhtml"/>'),
        ('xmlns:f="http://example.org/f"', DIV, DIV),
        (
            'xmlns:f="http://example.org/?a&amp;b"',
            '<div xmlns="http://www.w3.org/1999/xhtml"><p f:x="1">a</p></div>',
            '<div xmlns:f="http://example.org/?a&amp;b" xmlns="http://www.w3.org/1999/xhtml"><p f:x="1">a</p></div>',
        ),
        (
            'xmlns:h="http://www.w3.org/1999/xhtml"',
            "<h:div><h:br/></h:div>",
            '<h:div xmlns="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><h:br/></h:div>',
        ),
    ],
)
def test_narrative_declares_its_namespaces(root: str, div: str, expected: str) -> None:
    read = xml.decode(patient(f'<text><status value="generated"/>{div}</text><active value="true"/>', root).encode())
    assert read["text"] == {"status": "generated", "div": expected}
    assert read["active"] is True


def test_narrative_takes_the_default_namespace_around_it() -> None:
    body = (
        '<f:Patient xmlns:f="http://hl7.org/fhir" xmlns="http://www.w3.org/1999/xhtml">'
        '<f:text><f:status value="empty"/><div>Befund</div></f:text></f:Patient>'
    )
    assert xml.decode(body.encode())["text"] == {"status": "empty", "div": DIV}


# What is not FHIR XML


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<foo/>", "Patient holds foo, which has no place there in FHIR R4"),
        (
            "<name><given/><given><foo/></given></name>",
            "Patient.name[0].given[1] holds foo, which has no place there in FHIR R4",
        ),
        ('<x:active xmlns:x="urn:x" value="true"/>', "Patient holds something of another name or namespace, which has"),
        ('<active xmlns="" value="true"/>', "Patient holds active, which has no place there"),
        (
            f"<text>{DIV.replace('http://www.w3.org/1999/xhtml', 'http://hl7.org/fhir')}</text>",
            "Patient.text holds div, which has",
        ),
        ('<active value="true"/><active value="true"/>', "Patient has more than one active"),
        ('<active id="a"/><active value="true"/>', "Patient has more than one active"),
        (f"<text>{DIV}{DIV}</text>", "Patient.text has more than one div"),
        (f"<active>{SECRET}</active>", "Patient.active holds text"),
        (f'<active value="true"/>{SECRET}', "Patient holds text"),
        (f"<name><![CDATA[{SECRET}]]></name>", "Patient.name[0] holds text"),
        (f'<name value="{SECRET}"/>', "Patient.name[0] has the attribute value"),
        (f'<active values="{SECRET}"/>', "Patient.active has the attribute values"),
        ('<active x:value="true" xmlns:x="http://hl7.org/fhir"/>', "Patient.active has the attribute value"),
        ('<extension url="u" uri="u"/>', "Patient.extension[0] has the attribute uri"),
        ('<contained id="a"><Basic/></contained>', "Patient.contained[0] has the attribute id"),
        ('<contained><Basic id="a"/></contained>', "Patient.contained[0] has the attribute id"),
        ("<contained><Basic/><Basic/></contained>", "Patient.contained[0] must hold one resource and not more"),
        ("<contained><Basic/></contained><contained/>", "Patient.contained[1] must hold a resource"),
        ("<contained><basic/></contained>", "Patient.contained[0] must hold a resource of FHIR R4, in the namespace"),
        (
            "<contained><Evidence/></contained>",
            "Patient.contained[0] holds a resource of the type Evidence, which this",
        ),
    ],
)
def test_what_has_no_place_is_refused(inner: str, expected: str) -> None:
    words = refusal(patient(inner))
    assert words.startswith(expected)
    assert SECRET not in words


@pytest.mark.parametrize(
    "body",
    [
        *("", "   ", "{}", "<", "<Patient/>", "<Patient xmlns='http://hl7.org/fhir/'/>", f"<patient {NS}/>"),
        *(f"<Resource {NS}/>", f"<Evidence {NS}/>", f"<Patient {NS}>", f"<Patient {NS}></Person>"),
        *(f"<x:Patient {NS}/>", patient("") * 2, patient("", "active='true'"), patient("<active value=true/>")),
        *(patient("&nbsp;"), patient("<active value='true' value='true'/>"), patient("<name id='&#0;'/>")),
        *(f"<?xml version='1.0' encoding='{name}'?>{patient('')}" for name in ("nix", "rot13", "unicode_escape")),
        patient("<name id='&#xFFFF;'/>"),
    ],
)
def test_no_fhir_xml(body: str) -> None:
    refusal(body)


def test_comments_and_the_like_are_left_out() -> None:
    body = (
        f'\ufeff<?xml version="1.0"?><!-- a --><?b c?><Patient {NS} xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"\n'
        'xsi:schemaLocation="http://hl7.org/fhir a.xsd">\n <!-- a --> <?b c?>\n<active value="true"><!-- a --></active>'
        '<name><given value="a"/></name><birthDate value="2000"/><name><given value="b"/></name></Patient>\n<!-- a -->'
    )
    names = [{"given": ["a"]}, {"given": ["b"]}]
    expected = {"resourceType": "Patient", "active": True, "name": names, "birthDate": "2000"}
    assert xml.decode(body.encode()) == expected


@pytest.mark.parametrize(
    "charset",
    [
        "UTF-8",
        "utf8",
        "ISO-8859-1",
        "ISO-8859-15",
        "windows-1252",
        "UTF-16",
        "UTF-16LE",
        "UTF-16BE",
        "UTF-32",
        "IBM850",
    ],
)
def test_charset_of_the_declaration(charset: str) -> None:
    body = f'<?xml version="1.0" encoding="{charset}"?><Patient {NS}><name><family value="Größe ÄÖÜ"/></name></Patient>'
    assert xml.decode(body.encode(charset))["name"] == [{"family": "Größe ÄÖÜ"}]


def test_wrong_charset() -> None:
    body = f'<Patient {NS}><name><family value="Größe"/></name></Patient>'
    assert "not well-formed" in refusal(body.encode("latin-1"))
    assert refusal(f'<?xml version="1.0" encoding="ASCII"?>{body}') == "the body is not in its charset, ascii"


# Attacks

ENTITIES = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
MANY = 300_000
ATTACKS = {
    "external entity": f'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>{patient("<active/>")}',
    "external dtd": f'<!DOCTYPE Patient SYSTEM "http://127.0.0.1:9/x.dtd">{patient("")}',
    "billion laughs": f'<!DOCTYPE a [<!ENTITY l0 "lol">{ENTITIES}]>{patient("<name>&l11;</name>")}',
    "default attributes": f'<!DOCTYPE a [<!ATTLIST name id CDATA "{"x" * MANY}">]>{patient("<name/>" * MANY)}',
    "depth": "<a>" * MANY,
    "fhir depth": f"<Patient {NS}>" + '<extension url="x">' * MANY,
    "resource depth": f"<Bundle {NS}>" + "<entry><resource><Bundle>" * MANY,
    "narrative depth": f'<Patient {NS}><text><div xmlns="http://www.w3.org/1999/xhtml">' + "<p>" * MANY,
    "attributes": patient("", " ".join(f'a{n}=""' for n in range(MANY))),
    "open attributes": f"<Patient {NS} " + " ".join(f'a{n}=""' for n in range(2 * MANY)),
    "namespaces": patient("", " ".join(f'xmlns:a{n}="u"' for n in range(MANY))),
    "namespaces in depth": f"<Patient {NS}>" + "".join(f'<extension url="x" xmlns:a{n}="u">' for n in range(200)),
    "name": f"<Patient {NS}><{'x' * 10 * MANY}/></Patient>",
    "comment": f"<Patient {NS}><!--{'x' * 10 * MANY}",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack(attack: str) -> None:
    begun = time.monotonic()
    words = refusal(ATTACKS[attack])
    assert time.monotonic() - begun < 5
    assert len(words) < 200


def test_document_type_is_named() -> None:
    expected = "the body has a document type declaration, which FHIR XML must not have"
    assert refusal(f"<!DOCTYPE Patient>{patient('')}") == expected
    assert refusal(f"<!DOCTYPE Patient><Patient {NS}/>".encode("utf-16")) == expected


def test_long_value() -> None:
    """An attachment of 12 MB, more than libxml2 takes, a narrative of 2 MB, and quotes where the parser is fed anew."""
    div = DIV.replace("Befund", 'Befund \'"" ' * 200_000)
    attachment = {"data": "QUJD" * 3_000_000, "title": "'=\" " * 300_000}
    text = {"status": "empty", "div": div}
    there_and_back({"resourceType": "DocumentReference", "text": text, "content": [{"attachment": attachment}]})


@settings(deadline=None)
@given(st.binary(max_size=60), st.integers(0, 400), st.integers(0, 400))
def test_any_bytes(noise: bytes, start: int, end: int) -> None:
    """Whatever stands there: a resource or NotXml."""
    good = xml.encode(
        {"resourceType": "Patient", "text": {"div": DIV}, "name": [{"given": ["ä"], "_given": [{"id": "x"}]}]}
    )
    for body in (noise, good[:start] + noise + good[end:]):
        try:
            assert xml.decode(body)["resourceType"]
        except xml.NotXml:
            continue


# What has no XML


@pytest.mark.parametrize(
    ("resource", "at"),
    [
        ({}, "the resource"),
        ({"resourceType": "Evidence"}, "the resource"),
        ({"resourceType": ["Patient"]}, "the resource"),
        ({"foo": SECRET}, "Patient"),
        ({"_id": {"id": "a"}}, "Patient"),
        ({"active": SECRET}, "Patient.active"),
        ({"active": None}, "Patient.active"),
        ({"active": 1}, "Patient.active"),
        ({"multipleBirthInteger": True}, "Patient.multipleBirth"),
        ({"multipleBirthInteger": 10**5000}, "Patient.multipleBirth"),
        ({"birthDate": 1980}, "Patient.birthDate"),
        ({"birthDate": ["1980"]}, "Patient.birthDate"),
        ({"birthDate": "1980", "_birthDate": {}}, "Patient.birthDate"),
        ({"birthDate": "1980", "_birthDate": []}, "Patient.birthDate"),
        ({"_birthDate": {"value": "x"}}, "Patient.birthDate"),
        ({"name": {"family": "a"}}, "Patient.name"),
        ({"name": []}, "Patient.name"),
        ({"name": [None]}, "Patient.name[0]"),
        ({"name": [{}]}, "Patient.name[0]"),
        ({"name": [{"given": ["a", None]}]}, "Patient.name[0].given[1]"),
        ({"name": [{"given": ["a"], "_given": []}]}, "Patient.name[0].given"),
        ({"name": [{"resourceType": "HumanName"}]}, "Patient.name[0]"),
        ({"_name": [{"id": "a"}]}, "Patient"),
        ({"name": [{"family": f"{SECRET}\x00"}]}, "Patient.name[0].family"),
        ({"name": [{"family": "\x0b"}]}, "Patient.name[0].family"),
        ({"name": [{"family": "\ufffe"}]}, "Patient.name[0].family"),
        ({"name": [{"family": "\ud800"}]}, "Patient.name[0].family"),
        ({"name": [{"id": "\x00"}]}, "Patient.name[0].id"),
        ({"extension": [{"url": 1}]}, "Patient.extension[0].url"),
        ({"extension": [{"url": "u", "valueDecimal": Decimal("NaN")}]}, "Patient.extension[0].value"),
        ({"extension": [{"url": "u", "valueDecimal": float("inf")}]}, "Patient.extension[0].value"),
        ({"contained": [{"id": "a"}]}, "Patient.contained[0]"),
        ({"contained": ["a"]}, "Patient.contained[0]"),
        ({"text": {"div": f"<p>{SECRET}</p>"}}, "Patient.text.div"),
        ({"text": {"div": DIV + "</text>"}}, "Patient.text.div"),
        ({"text": {"div": DIV.replace("Befund", "&nbsp;")}}, "Patient.text.div"),
        ({"text": {"div": DIV, "_div": {"id": "a"}}}, "Patient.text"),
        ({"text": {"div": None}}, "Patient.text.div"),
        ({1: 2}, "Patient"),
    ],
)
def test_what_has_no_xml(resource: dict[Any, Any], at: str) -> None:
    full = {"resourceType": "Patient", **resource} if at != "the resource" else resource
    with pytest.raises(xml.NotInXml) as caught:
        xml.encode(full)
    words = str(caught.value)
    assert words.partition(" must ")[0] == at or words.startswith(f"{at} ")
    assert SECRET not in words


def test_too_deep_for_xml() -> None:
    inner: dict[str, Any] = {"url": "u"}
    for _ in range(2000):
        inner = {"url": "u", "extension": [inner]}
    with pytest.raises(xml.NotInXml):
        xml.encode({"resourceType": "Patient", "extension": [inner]})


# Made-up resources

TEXT = st.from_regex("[\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]{0,6}", fullmatch=True)
NUMBERS = st.integers(-(2**31), 2**31 - 1)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "decimal": st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True).map(
        Decimal
    ),
    "integer": NUMBERS,
    "positiveInt": NUMBERS,
    "unsignedInt": NUMBERS,
    "xhtml": st.just(DIV),
}
TYPES = ["Bundle", "Encounter", "Observation", "Parameters", "Patient", "Questionnaire", "StructureDefinition"]


@st.composite
def objects(draw: st.DrawFn, name: str, depth: int) -> dict[str, Any]:
    """A resource or a data type of any elements with any values, never empty."""
    elements = list(definition(name).elements.values())
    value: dict[str, Any] = {"resourceType": name} if name in r4_differences.RESOURCE_TYPES else {"id": draw(TEXT)}
    usable = [element for element in elements if depth or (element.check is not None and not element.many)]
    for element in draw(st.lists(st.sampled_from(usable), max_size=5, unique_by=lambda element: element.name)):
        extensible = f"_{element.name}" in definition(name).siblings and depth > 0
        items = [
            draw(members(element, depth - 1, extensible)) for _ in range(draw(st.integers(1, 3)) if element.many else 1)
        ]
        for key, found in (
            (element.name, [item[0] for item in items]),
            (f"_{element.name}", [item[1] for item in items]),
        ):
            if any(item is not None for item in found):
                value[key] = found if element.many else found[0]
    return value


@st.composite
def members(draw: st.DrawFn, element: Element, depth: int, extensible: bool) -> tuple[object, object]:
    """A value and what stands under the name with underscore; at least one of them."""
    if element.check is None:
        name = draw(st.sampled_from(TYPES)) if element.type == "Resource" else element.type
        return draw(objects(name, depth)), None
    extended = draw(st.none() | objects("Element", depth)) if extensible else None
    given_value = VALUES.get(element.type, TEXT)
    return draw(given_value if extended is None else st.none() | given_value), extended


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.sampled_from(TYPES).flatmap(lambda name: objects(name, 3)))
def test_any_resource(resource: dict[str, Any]) -> None:
    there_and_back(resource)
