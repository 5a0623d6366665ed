"""Sites: whose message it is, and files that change, break and vanish while the gateway runs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mappers import er7
from mappers.v2_to_fhir import library, rules, sites
from mappers.v2_to_fhir.sites import Origin


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for site files."""
    (tmp_path / "sites").mkdir()
    return tmp_path / "sites"


_stamps = iter(range(1_800_000_000, 1_900_000_000))


def write(path: Path, text: str) -> None:
    """A file with a time of its own, however fast the test is."""
    path.write_text(text, "utf-8")
    stamp = next(_stamps)
    os.utime(path, (stamp, stamp))


def opened(folder: Path | None, **files: str) -> sites.Sites:
    """The sites of a folder with these files."""
    for name, text in files.items():
        assert folder is not None
        write(folder / f"{name}.yaml", text)
    known = sites.Sites(folder)
    known.refresh()
    return known


# ---- whose message


def test_without_a_folder_every_message_is_by_the_bundled_rules() -> None:
    known = opened(None)
    assert (known.names, known.refresh()) == (["default"], [])
    assert known.of(Origin("KIS", "HAUS")).library is library.bundled()


def test_the_site_that_names_most_of_the_origin_has_the_message(folder: Path) -> None:
    known = opened(
        folder,
        kis="match: [{application: KIS}]",
        haus="match: [{application: KIS, facility: HAUS}]",
        tls="match: [{certificate: kis.haus.example}, {port: 2576, facility: HAUS}]",
    )
    origins = {
        Origin("KIS"): "kis", Origin("KIS", "HAUS"): "haus", Origin("LIS", "HAUS"): "default",
        Origin("KIS", "SUED"): "kis", Origin("LIS", "HAUS", 2576): "tls", Origin("", "", 1, "kis.haus.example"): "tls",
        Origin(): "default", Origin("kis"): "default",
    }  # fmt: skip
    assert {origin: known.of(origin).name for origin in origins} == origins


def test_a_file_called_default_is_for_all_others(folder: Path) -> None:
    known = opened(folder, default="charset: 8859/15", kis="match: [{application: KIS}]")
    assert (known.of(Origin("X")).charset, known.of(Origin("KIS")).charset) == ("8859/15", None)


def test_a_site_without_match_takes_no_message(folder: Path) -> None:
    assert opened(folder, kis="charset: 8859/1").of(Origin("KIS")).name == "default"


def test_a_site_says_its_charset_zone_systems_and_answers(folder: Path) -> None:
    site = opened(
        folder,
        kis="match: [{application: KIS}]\ncharset: 8859/1\ntimezone: UTC\nidentifiers: {KIS: 'urn:oid:1.2'}\n"
        "acknowledge: {mode: original, after: mapping}\n",
    ).of(Origin("KIS"))
    assert (site.charset, site.mode, site.after, site.timezone.key) == ("8859/1", "original", "mapping", "UTC")
    message = site.parse("MSH|^~\\&|KIS|HAUS\rPID|||||Müller".encode("latin-1"))
    assert message.text("PID-5") == "Müller"
    assert site.scope(message).assigner("KIS", "", "") == "urn:oid:1.2"
    utf8 = "MSH|^~\\&|KIS|HAUS||||||||||||||UNICODE UTF-8\rPID|||||Müller".encode()
    assert site.parse(utf8).text("PID-5") == "Müller"


def test_a_charset_can_win_over_a_header_that_lies(folder: Path) -> None:
    site = opened(folder, kis="match: [{application: KIS}]\ncharset: 8859/15\ncharset_wins: true").of(Origin("KIS"))
    data = "MSH|^~\\&|KIS|HAUS||||||||||||||8859/1\rPID|||||5 €".encode("iso8859-15")
    assert site.parse(data).text("PID-5") == "5 €"
    assert er7.parse(data).text("PID-5") != "5 €"


# ---- files that change


def test_a_changed_file_is_read_again_and_a_new_one_found(folder: Path) -> None:
    known = opened(folder, kis="charset: 8859/1")
    assert known.refresh() == []
    write(folder / "kis.yaml", "charset: 8859/15")
    write(folder / "lis.yaml", "match: [{application: LIS}]")
    assert known.refresh() == ["kis", "lis"]
    assert known.named("kis").charset == "8859/15"  # type: ignore[union-attr]
    assert known.of(Origin("LIS")).name == "lis"


def test_a_broken_file_is_told_and_its_last_good_state_goes_on(folder: Path) -> None:
    known = opened(folder, kis="match: [{application: KIS}]\ncharset: 8859/1", lis="match: [{application: LIS}]")
    write(folder / "kis.yaml", "match: [{application: KIS}]\ncharset: 8859/99")
    write(folder / "lis.yaml", "match: [{application: LIS}]\ncharset: 8859/1")
    assert known.refresh() == ["kis", "lis"]
    assert known.broken == {"kis": "kis.yaml:2: there is no character set 8859/99"}
    assert known.of(Origin("KIS")).charset == known.of(Origin("LIS")).charset == "8859/1"
    assert known.refresh() == []
    write(folder / "kis.yaml", "match: [{application: KIS}]\ncharset: 8859/15")
    assert (known.refresh(), known.broken, known.of(Origin("KIS")).charset) == (["kis"], {}, "8859/15")


def test_a_removed_file_is_gone_and_default_is_as_it_ships(folder: Path) -> None:
    known = opened(folder, kis="match: [{application: KIS}]", default="charset: 8859/1")
    (folder / "kis.yaml").unlink()
    (folder / "default.yaml").unlink()
    assert sorted(known.refresh()) == ["default", "kis"]
    assert (known.names, known.of(Origin("KIS")).charset) == (["default"], None)


def test_a_folder_that_vanishes_takes_no_site_with_it(folder: Path) -> None:
    """A share that is not mounted for a moment: by the bundled rules the house's patients would be new ones."""
    known = opened(folder, kis="match: [{application: KIS}]\nidentifiers: {KIS: 'urn:oid:1.2'}")
    shutil.rmtree(folder)
    known.refresh()
    assert known.of(Origin("KIS")).name == "kis"


WRONG = [
    "identifiers: [a]", "identifiers: abc", "tables: [a]", "tables: {x: {source: a, rows: [a]}}",
    "tables: {language: [a]}",
    "tables: {language: {A: [b]}}", "tables: {language: }", "maps: [a]", "maps: {PID: [a]}", "maps: {PID: }",
    "maps: {PID: {Patient: abc}}", "maps: {PID: {Patient: }}", "maps: {PID: {left_out: [a]}}",
    "maps: {PID: {blocks: abc}}",
    "maps: {ZZZ: {source: a, text: abc}}", "maps: {ZZZ: {source: a, text: {field: ZZZ-5, same: ZZZ-2}}}",
    "maps: {ZZZ: {source: a, blocks: [{resource: Patient, draft: each, rules: {a: b}}]}}",
    "maps: {ZZZ: {source: a, blocks: [{resource: Patient, draft: each, required: abc}]}}",
    "timezone: ''", "timezone: Europe", "timezone: ../../etc/passwd", "timezone: [a]", "charset: [a]", "charset: ''",
    "match: abc", "match: {application: KIS}", "match: [{}]", "match: [{application: [a]}]", "match: [{name: KIS}]",
    "match: [{port: abc}]", "acknowledge: abc", "acknowledge: {mode: [a]}", "acknowledge: {mode: enhanced, when: now}",
    "acknowledge: {after: tomorrow}", "charset_wins: [a]", "messages: [a]",
    "messages: {X: {source: a, events: [ADT^A01], use: [a]}}",
    "messages: {X: {source: a, events: [ADT^A01], use: {OBX: [a]}}}",
    "messages: {X: {source: a, events: ADT^A01}}", "<<: {a: b}", "[]", "", "charsett: 8859/1",
]  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_whatever_is_wrong_is_refused_with_file_and_line(folder: Path, text: str) -> None:
    known = opened(folder, kis="match: [{application: KIS}]\ncharset: 8859/1")
    write(folder / "kis.yaml", f"{text}\n")
    known.refresh()
    assert known.broken["kis"].startswith("kis.yaml:1: ")
    assert known.of(Origin("KIS")).charset == "8859/1"


def test_the_example_that_ships_can_be_used() -> None:
    path = library.FOLDER / "sites" / "beispielklinik.yaml"
    assert sites.read(path).fits(Origin("LIS", "BKN")) == 2
    with pytest.raises(rules.Broken):
        sites.read(path.with_name("nix.yaml"))
