"""Following the rules: drafts and how they are filled, references, conditions, deletions, and what went where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappers import er7
from mappers.v2_to_fhir import engine, library, scope

Json = dict[str, Any]

HEAD = "MSH|^~\\&|KIS|HAUS|GW||20261122101500||ADT^A01|1|P|2.5||||||UNICODE UTF-8"
TABLES = {"sex": scope.Table("sex", "here", None, {"F": "female", "M": "male"})}


class Rules:
    """A library of a test's own: each keyword is the map of a segment, as YAML without its source."""

    def __init__(self, folder: Path, **segments: str) -> None:
        found = {}
        for name, text in segments.items():
            path = folder / f"{name}.yaml"
            path.write_text(f"source: here\n{text}", "utf-8")
            found[name] = library.segment_map(library.read(path), name, path.name, TABLES)
        message = library.Lines({"source": "here", "events": ["ADT^A01"], "use": library.Lines(), "required": []})
        events = library.message_map(message, "ADT", "ADT.yaml", found)
        self.library = library.Library(found, {"ADT^A01": events}, TABLES)

    def mapped(self, *segments: str, event: str = "ADT^A01") -> engine.Mapped:
        """These segments behind a header, mapped."""
        data = "".join(f"{one}\r" for one in (HEAD.replace("ADT^A01", event), *segments)).encode()
        message = er7.parse(data)
        return engine.map_message(message, self.library, scope.Scope("KIS", "HAUS", TABLES))

    def made(self, *segments: str) -> list[Json]:
        """What they become."""
        return [draft.resource for draft in self.mapped(*segments).drafts]


def blocks(*found: str) -> str:
    """Blocks of a segment's map."""
    return "blocks:\n" + "".join(f"  - {one}\n" for one in found)


def block(resource: str, draft: str, rules: str, more: str = "") -> str:
    """A block in one line."""
    return f"{{resource: {resource}, draft: {draft}, {more} rules: [{rules}]}}"


# ---- drafts


def test_each_segment_makes_a_draft_and_the_current_one_is_filled(tmp_path: Path) -> None:
    rules = Rules(
        tmp_path,
        ZAA=blocks(block("Patient", "each", "{from: ZAA-1, to: language}")),
        ZBB=blocks(block("Patient", "current", "{from: ZBB-1, to: birthDate, as: date}")),
    )
    assert rules.made("ZBB|2000", "ZAA|de", "ZBB|2001", "ZAA|en", "ZBB|2002") == [
        {"resourceType": "Patient", "language": "de", "birthDate": "2001"},
        {"resourceType": "Patient", "language": "en", "birthDate": "2002"},
    ]


def test_segments_that_join_fill_one_draft_each_kind_once(tmp_path: Path) -> None:
    rules = Rules(
        tmp_path,
        ZAA=blocks(block("ServiceRequest", "join", "{from: ZAA-1, to: priority}")),
        ZBB=blocks(block("ServiceRequest", "join", "{from: ZBB-1, to: implicitRules}")),
    )
    assert [
        (one.get("priority"), one.get("implicitRules"))
        for one in rules.made("ZAA|1", "ZBB|a", "ZBB|b", "ZAA|2", "ZAA|3")
    ] == [("1", "a"), ("2", "b"), ("3", None)]


def test_two_drafts_of_one_type_have_names_and_refer_to_each_other(tmp_path: Path) -> None:
    rules = Rules(
        tmp_path,
        ZAA=blocks(
            block(
                "Patient",
                "each",
                "{from: ZAA-1, to: language}, {refer: Old, to: 'link[{segment}].other', beside: {type: replaces}}",
            ),
            block(
                "Patient",
                "each",
                "{from: ZAA-2, to: language}, {refer: Patient, to: link.other, beside: {type: replaced-by}}",
                "name: Old,",
            ),
        ),
    )
    first, second = rules.made("ZAA|de|en")
    assert first["link"] == [{"type": "replaces", "other": {"reference": "draft:1"}}]
    assert second["link"] == [{"type": "replaced-by", "other": {"reference": "draft:0"}}]


def test_a_reference_to_nobody_and_to_oneself_is_none(tmp_path: Path) -> None:
    rules = Rules(
        tmp_path,
        ZAA=blocks(
            block(
                "Patient",
                "each",
                "{from: ZAA-1, to: language}, {refer: Patient, to: link.other},"
                " {refer: Group, to: managingOrganization}",
            )
        ),
    )
    assert rules.made("ZAA|de") == [{"resourceType": "Patient", "language": "de"}]


def test_a_draft_without_anything_is_none_and_nobody_refers_to_all_but_what_is_there(tmp_path: Path) -> None:
    rules = Rules(
        tmp_path,
        ZAA=blocks(
            block("MessageHeader", "each", "{refer: '*', to: focus}"),
            block("Patient", "each", "{from: ZAA-9, to: language}"),
            block("Group", "each", "{from: ZAA-1, to: name}"),
        ),
    )  # fmt: skip
    header, group = rules.made("ZAA|x")
    assert (header["focus"], group["name"]) == ([{"reference": "draft:2"}], "x")


def test_another_patient_begins_anew(tmp_path: Path) -> None:
    rules = Rules(
        tmp_path,
        ZAA="opens_group: true\n" + blocks(block("Patient", "each", "{from: ZAA-1, to: language}")),
        ZBB=blocks(block("Encounter", "join", "{from: ZAA-1, to: language}, {refer: Patient, to: subject}")),
    )
    found = [one for one in rules.made("ZAA|de", "ZBB|1", "ZAA|en", "ZBB|1") if one["resourceType"] == "Encounter"]
    assert [(one["language"], one["subject"]["reference"]) for one in found] == [("de", "draft:0"), ("en", "draft:2")]


# ---- targets


def test_several_rules_fill_an_item_with_a_label_and_others_have_their_own(tmp_path: Path) -> None:
    rules = Rules(
        tmp_path,
        ZAA=blocks(
            block(
                "Patient", "join",
                "{from: ZAA-1, to: 'contact[kin].gender', table: sex}, {from: ZAA-2, to: 'contact[kin].name.family'},"
                "{from: ZAA-3, to: contact.name.family}, {from: ZAA-4, to: 'contact[{segment}].name.text'}",
            )
        ),
    )  # fmt: skip
    (patient,) = rules.made("ZAA|F|Kind|A~B|C")
    assert patient["contact"] == [
        {"gender": "female", "name": {"family": "Kind"}}, {"name": {"family": "A"}}, {"name": {"family": "B"}},
        {"name": {"text": "C"}},
    ]  # fmt: skip


def test_lists_append_equal_items_once_and_constants_stand_beside(tmp_path: Path) -> None:
    rules = Rules(
        tmp_path,
        ZAA=blocks(
            block(
                "Patient",
                "each",
                "{from: ZAA-1, to: name.given, beside: {use: official}}, {from: ZAA-2, to: identifier, as: Identifier}",
            )
        ),
    )
    (patient,) = rules.made("ZAA|Eva|1^^^K~2^^^K~1^^^K")
    assert patient["name"] == [{"use": "official", "given": ["Eva"]}]
    assert [one["value"] for one in patient["identifier"]] == ["1", "2"]


def test_the_first_source_with_a_value_counts(tmp_path: Path) -> None:
    rules = Rules(tmp_path, ZAA=blocks(block("Patient", "each", "{from: [ZAA-1.2, ZBB-1, MSH-3], to: language}")))
    assert [rules.made(*one)[0]["language"] for one in (("ZAA|a^b", "ZBB|c"), ("ZAA|a", "ZBB|c"), ("ZAA|a",))] == [
        "b",
        "c",
        "KIS",
    ]


def test_a_place_that_is_taken_is_told(tmp_path: Path) -> None:
    rules = Rules(
        tmp_path, ZAA=blocks(block("Patient", "each", "{from: ZAA-1, to: language}, {from: ZAA-2, to: language}"))
    )
    found = rules.mapped("ZAA|de|en")
    assert found.drafts[0].resource["language"] == "de"
    assert [str(fault) for fault in found.faults] == ["ZAA-2: Patient.language has a value already"]
    assert [line.path for line in found.unmapped if line.path[0] == "Z"] == ["ZAA-2"]
    assert rules.mapped("ZAA|de|de").faults == []


def test_a_default_gives_way_to_what_the_message_says(tmp_path: Path) -> None:
    rules = Rules(
        tmp_path,
        ZAA=blocks(block("Patient", "join", "{value: de, to: language, default: true}, {from: ZAA-1, to: language}")),
        ZBB=blocks(block("Patient", "join", "{from: ZBB-1, to: language}")),
    )
    assert rules.mapped("ZAA|").drafts[0].defaults == {"language"}
    for segments in (("ZAA|en",), ("ZAA|", "ZBB|en"), ("ZBB|en", "ZAA|")):
        (draft,) = rules.mapped(*segments).drafts
        assert (draft.resource["language"], draft.defaults) == ("en", set()), segments


def test_an_essential_value_that_is_unusable_is_fatal(tmp_path: Path) -> None:
    text = "{from: ZAA-1, to: birthDate, as: date%s}"
    for more, is_fatal in (("", False), (", essential: true", True)):
        found = Rules(tmp_path, ZAA=blocks(block("Patient", "each", text % more))).mapped("ZAA|gestern")
        assert [fault.is_fatal for fault in found.faults] == [is_fatal]
        assert (found.fatal is not None) is is_fatal
        assert "gestern" not in str(found.faults[0])


# ---- conditions

CONDITIONS = {
    "ZAA-1": {"x": True, "": False, '""': False},
    "not ZAA-1": {"x": False, "": True, '""': True},
    "ZAA-1 = a|b": {"a": True, "b": True, "c": False, "": False},
    "ZAA-1 != a": {"a": False, "b": True, "": True},
    "ZAA-1 ~ ^[0-9]+$": {"12": True, "1a": False, "": False},
    "not ZAA-1 ~ ^[0-9]+$": {"12": False, "1a": True, "": True},
    "ZAA-1.2 = b and not ZAA-2": {"a^b": True, "b": False},
    "ZAA-2|ZAA-1 = x": {"x": True, "y": False},
    "event = A01|A04 and type = ADT": {"x": True},
    "event != A01": {"x": False},
    "after = ZBB": {"x": True},
    "before = ZCC": {"x": True},
    "draft = Group": {"x": True},
    "draft != Group": {"x": False},
    "draft = Device": {"x": False},
}


@pytest.mark.parametrize("text", CONDITIONS)
def test_a_condition_holds_or_not(tmp_path: Path, text: str) -> None:
    rules = Rules(
        tmp_path,
        ZAA=blocks(block("Patient", "each", f"{{value: de, to: language, when: '{text}'}}")),
        ZBB=blocks(block("Group", "each", "{from: ZBB-1, to: name}")),
    )
    holds = {
        value: any("language" in one for one in rules.made("ZBB|g", "NTE|1", f"ZAA|{value}", "NTE|2", "ZCC|1"))
        for value in CONDITIONS[text]
    }
    assert holds == CONDITIONS[text]


# ---- deleting


def test_two_quotation_marks_delete_the_element(tmp_path: Path) -> None:
    rules = Rules(
        tmp_path,
        ZAA=blocks(
            block(
                "Patient",
                "each",
                "{from: ZAA-1, to: language}, {from: ZAA-2, to: name.family}, {value: , to: photo, when: ZAA-3}",
            )
        ),
    )
    found = rules.mapped('ZAA|""|""|x')
    (draft,) = [*found.drafts] or [None]
    assert draft is None or draft.nulls == {"language", "photo"}
    assert [line.went for line in found.lines if line.path in ("ZAA-1", "ZAA-2")] == [
        ("Patient.language (deleted)",), (),
    ]  # fmt: skip


# ---- what went where


def test_every_value_is_told_with_where_it_went(tmp_path: Path) -> None:
    rules = Rules(
        tmp_path,
        MSH="left_out: {MSH-1: how it is written, MSH-2: how it is written, MSH-9: chose the rules}",
        ZAA=blocks(
            block(
                "Patient",
                "each",
                "{from: ZAA-1, to: identifier, as: Identifier}, {from: ZAA-2, to: gender, table: sex}",
            )
        )
        + "left_out: {ZAA-3: number of the segment, ZAA-4.2: says nothing}",
    )
    found = rules.mapped("ZAA|1^^^K^PI^^^^^X~2|F|1|a^b", "ZZZ|q^&r~s")
    told = {line.path: line.went or line.left_out for line in found.lines if line.path.startswith("Z")}
    assert told == {
        "ZAA-1.1": ("Patient.identifier",), "ZAA-1.4": ("Patient.identifier",), "ZAA-1.5": ("Patient.identifier",),
        "ZAA-1.10": None, "ZAA-1[2]": ("Patient.identifier",), "ZAA-2": ("Patient.gender",),
        "ZAA-3": "number of the segment", "ZAA-4.1": None, "ZAA-4.2": "says nothing",
        "ZZZ-1.1": None, "ZZZ-1.2.2": None, "ZZZ-1[2]": None,
    }  # fmt: skip
    assert {line.left_out for line in found.lines if line.path == "MSH-9.1"} == {"chose the rules"}
    assert [line.path for line in found.unmapped if line.path.startswith("ZAA")] == ["ZAA-1.10", "ZAA-4.1"]


def test_a_value_that_could_not_be_used_is_not_mapped(tmp_path: Path) -> None:
    rules = Rules(tmp_path, ZAA=blocks(block("Patient", "each", "{from: ZAA-1, to: birthDate, as: date}")))
    found = rules.mapped("ZAA|31.12.1999")
    assert ([line.path for line in found.unmapped if line.path[0] == "Z"], len(found.faults)) == (["ZAA-1"], 1)


def test_a_message_without_map_is_all_not_mapped(tmp_path: Path) -> None:
    found = Rules(tmp_path).mapped("ZAA|1", event="ZZZ^Z01")
    assert (found.has_map, found.drafts, found.event) == (False, [], "ZZZ^Z01")
    assert all(not line.is_mapped for line in found.lines)


def test_bytes_of_another_charset_store_nothing(tmp_path: Path) -> None:
    message = er7.parse(f"{HEAD}\rZAA|Müller\r".encode("latin-1"))
    rules = Rules(tmp_path, ZAA=blocks(block("Patient", "each", "{from: ZAA-1, to: language}")))
    found = engine.map_message(message, rules.library, scope.Scope("KIS", "HAUS", TABLES))
    assert (found.drafts, found.fatal is not None) == ([], True)
    assert str(found.fatal).startswith("MSH-18: ")


@pytest.mark.parametrize(
    ("at", "expected"), [("20261122101500", "2026-11-22T10:15:00+01:00"), ("nie", None), ("", None)]
)
def test_when_a_message_was_made(tmp_path: Path, at: str, expected: str | None) -> None:
    message = er7.parse(f"{HEAD.replace('20261122101500', at)}\r".encode())
    assert engine.map_message(message, Rules(tmp_path).library, scope.Scope("", "", {})).at == expected


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text(alphabet='ABC019|^~&\\"XFSZ. äß\n', max_size=60), max_size=6),
    st.sampled_from(["ADT^A01", "ADT^A40", "MDM^T02", "ORU^R01", "SIU^S12", "DFT^P03", "BAR^P12"]),
)
def test_no_message_breaks_the_bundled_rules_and_no_value_is_lost(texts: list[str], event: str) -> None:
    names = ["PID", "PV1", "DG1", "OBX", "TXA", "MRG"]
    segments = [f"{name}|{text}" for name, text in zip(names, texts, strict=False)]
    message = er7.parse("\r".join([HEAD.replace("ADT^A01", event), *segments]).encode())
    found = engine.map_message(message, library.bundled(), scope.Scope("KIS", "HAUS", library.bundled().tables))
    assert [line.raw for line in found.lines] == [raw for _leaf, raw in message.leaves()]
    again = engine.map_message(message, library.bundled(), scope.Scope("KIS", "HAUS", library.bundled().tables))
    assert [draft.resource for draft in again.drafts] == [draft.resource for draft in found.drafts]
