"""MSH, PID, PV1 and ZBE: the hospital finds its own identifiers, delimiters and character set again."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappers import er7
from mappers.fhir_to_v2 import bar, header, mdm
from tests.unit.mappers.fhir_to_v2 import helpers
from tests.unit.mappers.fhir_to_v2.helpers import ADMISSION, AT, ROUTE

TAKEN = {"PID": (2, 3, 4, 5, 7, 8, 18), "PV1": (2, 3, 19, 44, 50)}


def sent(visit: header.Visit, title: str = "Grippe", route: header.Route = ROUTE) -> er7.Message:
    """A message with this title of a diagnosis."""
    condition = helpers.made("erysipelas", "Condition")[0]
    condition["code"]["coding"][0]["display"] = title
    return bar.message(route, visit, [condition], control_id="G1", at=AT)


def taken(message: er7.Message) -> list[bytes]:
    fields = [
        (segment, number) for name, numbers in TAKEN.items() for segment in message.all(name) for number in numbers
    ]
    return [segment.field(number).raw.encode(message.codec, "surrogateescape") for segment, number in fields]


def test_msh_says_who_when_what_and_how() -> None:
    message = helpers.read(sent(helpers.visit()))
    assert message.segments[0].raw == (
        "MSH|^~\\&|FHIR-GATEWAY|HAUS|KIS|ADT|20260610093100+0200||BAR^P12^BAR_P12|G1|P|2.5^DEU&&HL70399|||AL|NE|DEU|8859/1"
    )
    assert message.segments[1].raw == "EVN||20260610093100+0200"


@pytest.mark.parametrize("delimiters", ["|^~\\&", "$%!?@", "|&~\\^", "+-.:;", "|^~\\&#"])
def test_what_was_received_comes_back_byte_for_byte_with_its_delimiters(delimiters: str) -> None:
    received = ADMISSION.translate(str.maketrans("|^~\\&", delimiters[:5]))
    received = received[:8] + delimiters[5:] + received[8:]
    visit = helpers.visit(received)
    assert visit.received is not None
    message = helpers.read(sent(visit, "A|B^C~D\\E&F $%!?@ +-.:;#"))
    assert message.delimiters == visit.received.delimiters
    assert taken(message) == taken(visit.received)
    assert taken(message)[1] != b""
    assert message.text("DG1-3.2").startswith("A|B^C~D\\E&F $%!?@ +-.:;#")


@given(st.lists(st.text(st.characters(codec="latin-1", exclude_categories=["Cc"], exclude_characters="|")), min_size=7))
def test_any_received_patient_comes_back_byte_for_byte(values: list[str]) -> None:
    received = helpers.visit(ADMISSION.split("PID")[0] + "PID|" + "|".join(["", *values]) + "\rPV1|1|O\r")
    assert received.received is not None
    message = helpers.read(sent(received))
    both = zip(taken(received.received), taken(message), strict=True)
    assert [(was, comes) for was, comes in both if was and was != comes] == []


@pytest.mark.parametrize(
    ("declared", "codec", "title", "expected"),
    [
        ("8859/1", "latin-1", "Ödem ≥ 2 cm „links“", "Ödem >= 2 cm \"links\""),
        ("8859/15", "iso8859-15", "Ödem 5 €", "Ödem 5 €"),
        ("UNICODE UTF-8", "utf-8", "Ödem ≥ 2 cm „links“", "Ödem ≥ 2 cm „links“"),
    ],
)  # fmt: skip
def test_the_character_set_is_the_one_received(declared: str, codec: str, title: str, expected: str) -> None:
    message = helpers.read(sent(helpers.visit(ADMISSION.replace("8859/1", declared), codec), title))
    assert message.text("MSH-18") == declared
    assert message.text("DG1-3.2").startswith(expected)
    assert message.text("PID-5.1.1") == "Schäfer"
    assert "Schäfer".encode(codec) in message.encode()


@pytest.mark.parametrize("title", ["10⁵ Keime", "Σ", "😀"])
def test_without_a_stand_in_the_whole_message_is_utf_8_and_says_so(title: str) -> None:
    message = helpers.read(sent(helpers.visit(), f"„{title}“"))
    assert message.text("MSH-18") == "UNICODE UTF-8"
    assert message.text("DG1-3.2").startswith(f"„{title}“")
    assert message.text("PID-5.1.1") == "Schäfer"


@pytest.mark.parametrize(
    ("declared", "codec", "expected"),
    [("", "latin-1", "8859/1"), ("", "utf-8", "UNICODE UTF-8"), ("LATIN1-FOO", "latin-1", "8859/1"),
     ("UTF-8", "utf-8", "UTF-8"), ("ASCII", "latin-1", "8859/1")],
)  # fmt: skip
def test_msh_18_is_the_truth_whatever_was_declared(declared: str, codec: str, expected: str) -> None:
    message = helpers.read(sent(helpers.visit(ADMISSION.replace("8859/1", declared), codec)))
    assert message.text("MSH-18") == expected
    assert message.text("PID-5.1.1") == "Schäfer"


def test_an_ascii_sender_gets_ascii_but_no_changed_dose() -> None:
    received = ADMISSION.replace("8859/1", "").replace("ä", "ae").replace("ü", "ue")
    assert helpers.read(sent(helpers.visit(received), "Größe")).text("DG1-3.2").startswith("Groesse")
    message = helpers.read(sent(helpers.visit(received), "Größe 5 µg"))
    assert (message.text("MSH-18"), message.text("DG1-3.2")[:10]) == ("UNICODE UTF-8", "Größe 5 µg")


def test_bytes_in_escapes_keep_their_meaning_in_another_character_set() -> None:
    visit = helpers.visit(ADMISSION.replace("Schäfer&von", "Sch\\XE4\\fer&von").replace("Ernst^", 'Ernst^""'))
    assert b"Sch\\XE4\\fer" in sent(visit).encode()
    message = helpers.read(sent(visit, "Σ"))
    assert message.text("PID-5.1.1") == "Schäfer"
    assert message.segments[2].field(5).repetition(1).component(3).raw == '""'  # delete it: still an order


def test_bytes_that_are_no_characters_come_back_or_are_seen_to_be_missing() -> None:
    visit = helpers.visit(ADMISSION.replace("8859/1", "WINDOWS-1252").replace("Ernst", "Er\x81nst"))
    assert b"Er\x81nst" in sent(visit).encode()
    assert helpers.read(sent(visit, "Σ")).text("PID-5.2") == "Er\ufffdnst"


@pytest.mark.parametrize("encoding", ["^", "^~", "^~\\"])
def test_a_sender_without_all_delimiters_gets_the_standard_ones(encoding: str) -> None:
    received = ADMISSION.replace("^~\\&", encoding, 1).replace("~A123456780^^^GKV^NI", "").replace("&von&Schäfer", "")
    message = helpers.read(sent(helpers.visit(received.replace("~Müller^^^^^^M", "")), "A~B&C\\D"))
    assert message.delimiters == er7.STANDARD
    assert (message.text("PID-3.1"), message.text("PID-5.1"), message.text("PID-5.2")) == ("654318", "Schäfer", "Ernst")
    assert message.text("DG1-3.2").startswith("A~B&C\\D")


def test_a_line_feed_in_a_received_field() -> None:
    message = helpers.read(sent(helpers.visit(ADMISSION.replace("Ernst", "Er\nnst"))))
    assert message.segments[2].raw.count("\n") == 0
    assert message.text("PID-5.2") == "Er\nnst"


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_nothing_is_sent_in_utf_16(codec: str) -> None:
    message = helpers.read(sent(helpers.visit("\ufeff" + ADMISSION, codec)))
    assert (message.text("MSH-18"), message.text("PID-5.1.1")) == ("UNICODE UTF-8", "Schäfer")


def test_a_visit_known_by_fhir_alone() -> None:
    message = helpers.read(sent(helpers.visit(None)))
    assert message.segments[0].raw.endswith("|AL|NE|DEU|UNICODE UTF-8")
    assert [segment.raw for segment in message.segments[2:4]] == [
        "PID|1||4711^^^&1.2.276.0.76.3&ISO^MR||Muster^Kim^Änne Jo^^Dr.^^L||19580301|F",
        "PV1|1|I|||||||||||||||||F-9^^^HAUS&https://haus.example/fall&URI^VN",
    ]


def test_what_was_not_received_comes_from_fhir() -> None:
    visit = helpers.visit(ADMISSION.split("PV1")[0])
    message = helpers.read(sent(visit))
    assert (message.text("PID-3.1"), message.text("PV1-2"), message.text("PV1-19.1")) == ("654318", "I", "F-9")


def test_a_patient_without_identifiers_and_name() -> None:
    bare = header.Visit({"resourceType": "Patient", "id": "p1"}, {"resourceType": "Encounter", "id": "e1"})
    message = helpers.read(sent(bare))
    assert [segment.raw for segment in message.segments[2:4]] == [
        "PID|1||p1^^^FHIR-GATEWAY^PI||^^^^^^U",
        "PV1|1|U|||||||||||||||||e1^^^FHIR-GATEWAY^VN",
    ]
    by_subject = dataclasses.replace(bare, patient=None, encounter={"subject": {"reference": "Patient/p9"}})
    assert helpers.read(sent(by_subject)).text("PID-3.1") == "p9"
    logical = {"subject": {"identifier": {"system": "urn:oid:1.2", "value": "P-5"}}}
    by_identifier = helpers.read(sent(dataclasses.replace(bare, patient=None, encounter=logical)))
    assert by_identifier.segments[2].field(3).raw == "P-5^^^&1.2&ISO"


def test_nobody() -> None:
    with pytest.raises(header.Nobody):
        sent(header.Visit(None, {"resourceType": "Encounter"}))


def test_the_movement_is_referred_to_but_not_one_that_was_taken_back() -> None:
    message = helpers.read(sent(helpers.visit()))
    assert helpers.names(message) == ["MSH", "EVN", "PID", "PV1", "ZBE", "DG1"]
    assert message.segments[4].raw == "ZBE|567678^KIS|202606100900||REFERENCE"
    for received in (ADMISSION.replace("INSERT", "DELETE"), ADMISSION.split("ZBE")[0]):
        assert "ZBE" not in helpers.names(sent(helpers.visit(received)))


def test_the_route_is_configuration() -> None:
    route = header.Route("A|B", "C", "D", "E", processing="T", country="", accept="", answer="", timezone="UTC")
    assert sent(helpers.visit(), route=route).segments[0].raw == (
        "MSH|^~\\&|A\\F\\B|C|D|E|20260610073100+0000||BAR^P12^BAR_P12|G1|T|2.5||||||8859/1"
    )


@given(st.text(min_size=1), st.text(), st.text())
def test_no_text_makes_a_segment(title: str, statement: str, control_id: str) -> None:
    composition = helpers.made("erysipelas", "Composition")[0]
    composition["section"][0]["title"] = title
    composition["title"] = statement
    message = mdm.message(ROUTE, helpers.visit(), composition, event="T02", control_id=control_id, at=AT)
    received = er7.parse(message.encode())
    assert helpers.names(received) == ["MSH", "EVN", "PID", "PV1", "TXA", "OBX", "OBX", "OBX", "OBX"]
