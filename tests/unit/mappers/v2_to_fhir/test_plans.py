"""Rules made ready: they are the same rules, a message changes none of them, and each resource is its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mappers import er7
from mappers.v2_to_fhir import engine, golden, library, plans, rules, scope, sites

FOLDER = Path(engine.__file__).parent / "sites"
HEAD = "MSH|^~\\&|KIS|HAUS|GW||20261122101500||%s|1|P|2.5||||||UNICODE UTF-8\r"

#: Values of many kinds; a rule finds one that it can use in one of the messages.
VALUES = ("A^B&C^LN~D^E", "20260101101500", "1234", '""', "Y", "F^x^HL70001", "M54.5 G R^Rücken^I10-2026", "TX", "ED")


def containers(value: Any) -> Iterator[int]:
    """The ids of all that can be changed in a value."""
    items: Iterable[Any] = ()
    if dataclasses.is_dataclass(value):
        items = (getattr(value, part.name) for part in dataclasses.fields(value))
    elif isinstance(value, Mapping):
        items = value.values()
    elif isinstance(value, list | tuple):
        items = value
    if isinstance(value, list | dict):
        yield id(value)
    for item in items:
        yield from containers(item)


def full(event: str, bundled: library.Library, shift: int) -> bytes:
    """A message with every field that a rule of ours names."""
    fields: dict[str, int] = {}
    for found in bundled.segments.values():
        sources = [source for block in found.blocks for rule in block.rules for source in rule.sources]
        for source in [*sources, *found.left_out]:
            fields[source.segment] = max(fields.get(source.segment, 0), source.field)
    lines = [HEAD % event]
    for name in sorted(fields.keys() - {"MSH"}, key=lambda name: (name != "PID", name)):
        values = [VALUES[(number * 7 + shift) % len(VALUES)] for number in range(fields[name])]
        lines.append(f"{name}|{'|'.join(values)}\r")
    return "".join(lines).encode()


def mapped(data: bytes, found: library.Library) -> engine.Mapped:
    message = er7.parse(data)
    return engine.map_message(message, found, scope.Scope("KIS", "HAUS", found.tables))


def test_no_message_changes_the_rules_and_none_shares_anything_with_them() -> None:
    found = library.bundled()
    before, ours = repr(found), set(containers(found))
    for event in sorted(found.messages):
        for shift in range(len(VALUES)):
            data = full(event, found, shift)
            first, second = mapped(data, found), mapped(data, found)
            assert golden.told(first) == golden.told(second), event
            assert first.lines == second.lines, event
            assert ours.isdisjoint(each for draft in first.drafts for each in containers(draft.resource)), event
    assert repr(found) == before


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/*.hl7")), ids=lambda path: path.stem)
def test_a_golden_message_changes_no_rule_of_its_site(path: Path) -> None:
    site = sites.read(FOLDER / f"{path.parent.name}.yaml")
    before, ours = repr(site.library), set(containers(site.library))
    first, second = (golden.become(path.read_bytes(), site) for _time in range(2))
    assert golden.told(first) == golden.told(second)
    assert ours.isdisjoint(each for draft in first.drafts for each in containers(draft.resource))
    assert repr(site.library) == before


def test_a_resource_can_be_changed_without_changing_the_next() -> None:
    found = library.bundled()
    data = full("ADT^A01", found, 1)
    expected = golden.told(mapped(data, found))
    for draft in mapped(data, found).drafts:
        draft.resource.clear()
    assert golden.told(mapped(data, found)) == expected


# ---- plans


class Rules:
    """Maps of segments of a test's own."""

    def __init__(self, folder: Path, **segments: str) -> None:
        self.segments: dict[str, rules.SegmentMap] = {}
        for name, text in segments.items():
            path = folder / f"{name}.yaml"
            path.write_text(f"source: here\n{text}", "utf-8")
            self.segments[name] = library.segment_map(library.read(path), name, path.name, {})

    def mapped(self, *segments: str, use: Mapping[str, str] | None = None) -> engine.Mapped:
        events = rules.MessageMap("ADT", "here", frozenset({"ADT^A01"}), use or {}, ())
        data = HEAD % "ADT^A01" + "".join(f"{one}\r" for one in segments)
        return mapped(data.encode(), library.Library(self.segments, {"ADT^A01": events}, {}))

    def made(self, *segments: str, use: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        return [draft.resource for draft in self.mapped(*segments, use=use).drafts]


LANGUAGE = "blocks: [{resource: Patient, draft: each, rules: [{from: ZAA-1, to: language}]}]\n"


def test_a_plan_is_made_once_for_a_map(tmp_path: Path) -> None:
    one, other = Rules(tmp_path, ZAA=LANGUAGE), Rules(tmp_path, ZAA=LANGUAGE)
    assert plans.of(one.segments["ZAA"], "ZAA") is plans.of(one.segments["ZAA"], "ZAA")
    assert plans.of(one.segments["ZAA"], "ZAA") is not plans.of(other.segments["ZAA"], "ZAA")


def test_a_map_for_segments_of_another_name_reads_its_own_name(tmp_path: Path) -> None:
    own = Rules(tmp_path, ZAA=LANGUAGE)
    assert own.made("ZAA|de", "ZBB|en") == [{"resourceType": "Patient", "language": "de"}]
    assert own.made("ZAA|de", "ZBB|en", use={"ZBB": "ZAA"}) == [{"resourceType": "Patient", "language": "de"}] * 2


def test_a_text_whose_first_line_is_empty_is_read(tmp_path: Path) -> None:
    own = Rules(
        tmp_path,
        ZAA="text: {field: ZAA-2}\n"
        "blocks: [{resource: Patient, draft: each, rules: [{from: ZAA-2, to: language, as: text, when: ZAA-2}]}]\n",
    )
    assert own.made("ZAA|1", "ZAA|2|b", "ZAA|3|c") == [{"resourceType": "Patient", "language": "b\nc"}]
    assert own.made("ZAA|1", "ZAA|2") == []


def test_the_nearest_reason_why_a_value_is_left_out(tmp_path: Path) -> None:
    own = Rules(
        tmp_path, ZAA="left_out: {ZAA-1: all, ZAA-1.2: second, ZAA-1.2.2: small, ZAA-2.1: first, ZBB-1: other}\n"
    )
    found = own.mapped("ZAA|a^b&c^d|e^f", "ZBB|g")
    assert {line.path: line.left_out for line in found.lines if line.path[0] == "Z"} == {
        "ZAA-1.1": "all", "ZAA-1.2.1": "second", "ZAA-1.2.2": "small", "ZAA-1.3": "all", "ZAA-2.1": "first",
        "ZAA-2.2": None, "ZBB-1": None,
    }  # fmt: skip
    assert [line for line in found.lines if not line.is_mapped] == found.unmapped


def test_many_references_are_each_there_once(tmp_path: Path) -> None:
    own = Rules(
        tmp_path,
        ZAA="blocks: [{resource: MessageHeader, draft: each, rules: [{refer: '*', to: focus}]}]\n",
        ZBB="blocks:\n"
        "  - {resource: Patient, draft: each, rules: [{from: ZBB-1, to: language}]}\n"
        "  - {resource: Group, draft: join, rules: [{from: ZBB-2, to: name}]}\n",
        ZCC="blocks:\n"
        "  - {resource: List, draft: join, rules: [{refer: Patient, to: entry.item}]}\n"
        "  - {resource: MessageHeader, draft: current, rules: [{refer: Patient, to: focus}]}\n",
    )
    header, *others = own.made("ZAA|", *[f"ZBB|{number}" for number in range(100)], "ZCC|", "ZCC|")
    focus = [one["reference"] for one in header["focus"]]
    assert len(focus) == len(set(focus)) == len(others) == 102
