"""Rule files: read strictly, each fault with file, line and reason; and a site's words laid over them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mappers.v2_to_fhir import library, overlays, rules, scope
from mappers.v2_to_fhir.rules import Broken

TABLES = {"letters": scope.Table("letters", "here", None, {"A": "a", "NO": "b"})}


def document(tmp_path: Path, text: str, name: str = "PID.yaml") -> library.Lines:
    """A rule file, read."""
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return library.read(path)


def segment(tmp_path: Path, text: str) -> rules.SegmentMap:
    """A segment's rule file, checked."""
    return library.segment_map(document(tmp_path, text), "PID", "PID.yaml", TABLES)


def ruled(tmp_path: Path, rule: str) -> rules.Rule:
    """One rule of a Patient."""
    found = segment(
        tmp_path, f"source: here\nblocks:\n  - resource: Patient\n    draft: each\n    rules:\n      - {rule}\n"
    )
    return found.blocks[0].rules[0]


def broken(tmp_path: Path, text: str) -> str:
    """What is said of a segment's rule file that cannot be used."""
    with pytest.raises(Broken) as error:
        segment(tmp_path, text)
    return str(error.value)


# ---- as it ships


def test_the_bundled_rules_can_be_used() -> None:
    found = library.bundled()
    assert {"ADT^A01", "ADT^A40", "MDM^T02", "MDM^T11", "ORU^R01", "ORM^O01", "SIU^S26", "BAR^P12", "DFT^P03"} <= {
        *found.messages
    }
    assert found.segment(found.messages["MDM^T02"], "OBX") is found.segments["OBX_document"]
    assert found.segment(found.messages["ORU^R01"], "OBX") is found.segments["OBX"]
    assert found.message("ZZZ^Z01") is None


def test_every_file_and_table_says_where_it_is_from() -> None:
    found = library.bundled()
    for name, one in (*found.segments.items(), *found.messages.items(), *found.tables.items()):
        assert len(one.source) > 10, name
    for name, one in found.segments.items():
        assert all(len(reason) > 10 for reason in one.left_out.values()), name


def test_every_draft_that_is_referred_to_is_made_somewhere() -> None:
    blocks = [block for one in library.bundled().segments.values() for block in one.blocks]
    names = {block.name for block in blocks} | {rules.WHOLE}
    assert [str(rule.place) for block in blocks for rule in block.rules if rule.refer and rule.refer not in names] == []


# ---- YAML


def test_strings_stay_strings(tmp_path: Path) -> None:
    found = document(tmp_path, "NO: 010\nyes: 1.0\ndate: 2026-11-22\nnull_one: null\nempty:\n")
    assert dict(found) == {"NO": "010", "yes": "1.0", "date": "2026-11-22", "null_one": None, "empty": None}
    assert (found.at("yes"), found.at("nix")) == (2, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "PID.yaml:1: is not a mapping"),
        ("- a\n", "PID.yaml:1: is not a mapping"),
        ("a: 1\nb: 2\na: 3\n", "PID.yaml:3: a stands twice"),
        ("a: [1\nb: 2\n", "PID.yaml:2: "),
        ("a:\n\t- b\n", "PID.yaml:2: "),
        ("a: !!python/object:os.system b\n", "PID.yaml:1: could not determine a constructor"),
        ("a: &x [*x]\n", "PID.yaml:1: "),
        ("a: *x\n", "PID.yaml:1: "),
        ("a: '\x00'\n", "PID.yaml:1: cannot be read (ReaderError)"),
        ("a: " + "[" * 5_000, "PID.yaml:1: "),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(Broken) as error:
        document(tmp_path, text)
    assert str(error.value).startswith(expected)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(Broken, match=r"nix\.yaml:1: cannot be read \(FileNotFoundError\)"):
        library.read(tmp_path / "nix.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"a: \xff")
    with pytest.raises(Broken, match=r"bytes\.yaml:1: cannot be read \(UnicodeDecodeError\)"):
        library.read(tmp_path / "bytes.yaml")


# ---- faults of a segment

HEAD = "source: here\nblocks:\n  - resource: Patient\n    draft: each\n"
FAULTS = {
    "source: here\nblock: []\n": "PID.yaml:2: block is no key here; there are blocks, left_out, opens_group,",
    "blocks: []\n": "PID.yaml:1: source is missing",
    "source: here\nblocks: [Patient]\n": "PID.yaml:1: 'Patient' is not a mapping",
    "source: here\nblocks:\n  - draft: each\n": "PID.yaml:3: resource is missing",
    "source: here\nblocks:\n  - resource: Patient\n": "PID.yaml:3: draft is missing",
    "source: here\nblocks:\n  - draft: each\n    resource: Patent\n": "PID.yaml:4: Patent is no resource of R4",
    "source: here\nblocks:\n  - resource: Patient\n    draft: new\n": "PID.yaml:4: draft is each, join or",
    f"{HEAD}    when: PID-3 > 4\n": "PID.yaml:5: 'PID-3 > 4' is no condition such as PV1-2.1 = P|O",
    f"{HEAD}    when: PID3\n": "PID.yaml:5: 'PID3' is no path such as PID-5.1",
    f"{HEAD}    when: event\n": "PID.yaml:5: 'event': event is compared by = or !=",
    f"{HEAD}    when: PID-3 ~ [\n": "PID.yaml:5: 'PID-3 ~ [': unterminated character set",
    f"{HEAD}    identity: [identifer]\n": "PID.yaml:5: Patient has no element identifer: there is",
    "source: here\nleft_out:\n  PID-1: a\n  PID: b\n": "PID.yaml:4: 'PID' is no path such as PID-5.1",
    "source: here\ntext: {field: OBX-5}\n": "PID.yaml:2: a text is made of whole fields of PID",
    "source: here\ntext: {field: PID-5.1}\n": "PID.yaml:2: a text is made of whole fields of PID",
    "source: here\ntext: {same: [PID-5]}\n": "PID.yaml:2: field is missing",
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), FAULTS.items())
def test_a_fault_of_a_segment_is_told_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    assert broken(tmp_path, text).startswith(expected)


RULES = {
    "{from: PID-5}": "to is missing",
    "{to: active}": "a rule has exactly one of from, value and refer",
    "{to: active, from: PID-5, value: true}": "a rule has exactly one of from, value and refer",
    "{to: active, form: PID-5}": "form is no key here; there are as, beside, default, essential, from, refer,",
    "{to: activ, from: PID-5}": "Patient has no element activ: there is no activ in Patient",
    "{to: name.famly, from: PID-5}": "Patient has no element name.famly: there is no famly in HumanName",
    "{to: 'name[]', from: PID-5}": "'name[]' is no element such as participant[attending]",
    "{to: 'gender[one]', from: PID-5}": "gender in Patient is no list",
    "{to: gender, from: PID-0}": "'PID-0' is no path such as PID-5.1",
    "{to: gender, from: [PID-8, pid-8]}": "'pid-8' is no path such as PID-5.1",
    "{to: gender, from: PID-8, as: colour}": "there is no datatype colour",
    "{to: gender, from: PID-8, table: nix}": "there is no table nix",
    "{to: gender, from: PID-8, as: code}": "code needs the option table",
    "{to: gender, from: PID-8, table: [letters]}": "",
    "{to: gender, from: PID-8, with: word}": "",
    "{to: gender, from: PID-8, beside: word}": "",
    "{to: gender, refer: [Patient]}": "",
    "{to: gender, from: []}": "",
}


@pytest.mark.parametrize(("rule", "expected"), RULES.items())
def test_a_fault_of_a_rule_is_told_with_its_line(tmp_path: Path, rule: str, expected: str) -> None:
    with pytest.raises(Broken) as error:
        ruled(tmp_path, rule)
    assert str(error.value).startswith(f"PID.yaml:6: {expected}")


def test_a_rule_says_all_that_it_may(tmp_path: Path) -> None:
    found = ruled(
        tmp_path,
        "{to: 'contact[kin].gender', from: [PID-8, NK1-15.1], table: letters, when: event = A01 and not PID-9,"
        " beside: {period: {start: '2026'}}, default: true, essential: true}",
    )
    assert (found.kind, found.options, found.default, found.essential) == ("code", {"table": "letters"}, True, True)
    assert [str(one) for one in found.sources] == ["PID-8", "NK1-15.1"]
    assert found.key == "PID-8|NK1-15.1 > contact[kin].gender"
    assert next((clause.subject, clause.negated) for clause in found.when) == ("event", False)


@pytest.mark.parametrize(("written", "meant"), [("true", True), ("false", False), ("'yes'", "yes"), ("010", "010")])
def test_a_constant_is_what_json_means_by_it(tmp_path: Path, written: str, meant: object) -> None:
    assert ruled(tmp_path, f"{{to: active, value: {written}}}").value == meant


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A: [x]\n", "t.yaml:1: the table A is not a mapping"),
        ("A: {rows: {a: b}}\n", "t.yaml:1: source is missing"),
        ("A: {source: s}\n", "t.yaml:1: rows is missing"),
        ("A: {source: s, rows: [a]}\n", "t.yaml:1: the rows of A are not a mapping"),
        ("A: {source: s, rows: {a: b}, sytem: x}\n", "t.yaml:1: sytem is no key here; there are rows, source, system"),
        ("A: {source: s, rows: {a: [b]}}\n", "t.yaml:1: "),
    ],
)
def test_a_fault_of_a_table_is_told(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(Broken) as error:
        library.read_tables(document(tmp_path, text, "t.yaml"), "t.yaml")
    assert str(error.value).startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("source: s\n", "m.yaml:1: events is missing"),
        ("source: s\nevents: [ADT^A01]\nuse: {OBX: nix}\n", "m.yaml:3: there is no map nix"),
        ("source: s\nevents: ADT^A01\n", "m.yaml:2: "),
        ("source: s\nevents: [ADT^A01]\nuse: [OBX]\n", "m.yaml:3: "),
        ("source: s\nevents: [ADT^A01]\nrequired: Patient\n", "m.yaml:3: "),
    ],
)
def test_a_fault_of_a_message_is_told(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(Broken) as error:
        library.message_map(document(tmp_path, text, "m.yaml"), "m", "m.yaml", library.bundled().segments)
    assert str(error.value).startswith(expected)


# ---- a site's overlay


def overlaid(tmp_path: Path, text: str) -> library.Library:
    """The bundled rules with a site's over them."""
    return overlays.overlaid(library.bundled(), document(tmp_path, text, "s.yaml"), "s.yaml")


def patient_rules(found: library.Library) -> dict[str, rules.Rule]:
    """The rules for the Patient in PID, by where from and where to."""
    block = next(block for block in found.segments["PID"].blocks if block.name == "Patient")
    return {rule.key: rule for rule in block.rules}


def test_a_rule_with_the_same_source_and_target_takes_the_place_of_ours(tmp_path: Path) -> None:
    found = overlaid(tmp_path, "maps: {PID: {Patient: [{from: PID-8, to: gender, table: letters}]}}\n"
                               "tables: {letters: {source: here, rows: {A: male}}}\n")  # fmt: skip
    ours, theirs = patient_rules(library.bundled()), patient_rules(found)
    assert theirs["PID-8 > gender"].options == {"table": "letters"}
    assert (theirs["PID-8 > gender"].place.file, list(theirs)) == ("s.yaml", list(ours))
    assert ours["PID-8 > gender"].options != {"table": "letters"}


def test_a_rule_is_dropped_and_another_added(tmp_path: Path) -> None:
    found = overlaid(
        tmp_path,
        "maps:\n  PID:\n    Patient:\n      - {from: PID-19, to: identifier, as: Identifier, drop: true}\n"
        "      - {from: PID-21, to: language}\n    left_out: {PID-19: not sent by this house}\n",
    )
    theirs = patient_rules(found)
    assert ("PID-19 > identifier" in theirs, "PID-21 > language" in theirs) == (False, True)
    assert found.segments["PID"].left_out[rules.source("PID-19")] == "not sent by this house"
    assert rules.source("PID-1") in found.segments["PID"].left_out


def test_a_block_and_a_segment_of_ones_own(tmp_path: Path) -> None:
    found = overlaid(
        tmp_path,
        "maps:\n  PID:\n    blocks: [{resource: Account, draft: each, rules: [{from: PID-18.1, to: name}]}]\n"
        "  ZPI:\n    source: here\n"
        "    blocks: [{resource: Patient, draft: current, rules: [{from: ZPI-1, to: language}]}]\n",
    )
    accounts = [block for block in found.segments["PID"].blocks if block.name == "Account"]
    assert [[rule.key for rule in block.rules] for block in accounts] == [["PID-18.1 > name"]]
    assert found.segments["ZPI"].segment == "ZPI"
    assert "ZPI" not in library.bundled().segments


def test_rows_are_laid_over_a_table(tmp_path: Path) -> None:
    found = overlaid(tmp_path, "tables: {administrative-gender: {W: female}}\n").tables["administrative-gender"]
    assert (found.row("W"), found.row("m")) == ("female", library.bundled().tables["administrative-gender"].row("M"))


def test_messages_of_a_site_take_the_place_of_ours(tmp_path: Path) -> None:
    found = overlaid(tmp_path, "messages: {ZDT: {source: here, events: [ADT^Z01, ADT^A08], use: {OBX: null}}}\n")
    assert found.messages["ADT^Z01"] is found.messages["ADT^A08"]
    assert found.segment(found.messages["ADT^Z01"], "OBX") is None
    assert found.messages["ADT^A01"] is library.bundled().messages["ADT^A01"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("maps:\n  PID:\n    Patent: []\n", "s.yaml:3: PID has no block Patent; it has Patient, Account."),
        ("maps:\n  PID:\n    Patient:\n      - {from: PID-77, to: language, drop: true}\n",
         "s.yaml:4: Patient has no rule PID-77 > language to drop"),
        ("maps:\n  PID:\n    Patient:\n      - {from: PID-8, to: sex}\n", "s.yaml:4: Patient has no element sex"),
        ("maps:\n  PID:\n    Patient:\n      - word\n", "s.yaml:"),
        ("maps:\n  PID:\n    Patient: {from: PID-8, to: gender}\n", "s.yaml:"),
        ("maps:\n  PID:\n    Patient:\n", "s.yaml:"),
        ("maps:\n  PID:\n", "s.yaml:"),
        ("tables:\n  nix: {A: b}\n", "s.yaml:2: there is no table nix; a new one needs source and rows"),
        ("maps:\n  ZPI:\n    blocks: []\n", "s.yaml:3: source is missing"),
    ],
)  # fmt: skip
def test_a_fault_of_an_overlay_is_told_with_the_sites_file(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(Broken) as error:
        overlaid(tmp_path, text)
    assert str(error.value).startswith(expected)
