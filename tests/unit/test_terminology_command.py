"""`fhir-gateway terminology`, as an administrator types it, and its page."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from fhir_gateway import cli, errors, terminology_command
from terminology.icd10gm import catalogue, installed
from terminology.importers import completeness, content
from tests.unit import test_docs as documentation
from tests.unit.terminology.importers import published
from tests.unit.terminology.importers.published import small

__all__ = ["small"]
pytestmark = pytest.mark.usefixtures("small")

YEAR = 2026  # of the page
DAY = f"{YEAR}-03-31"
PAGE = documentation.ROOT / "docs" / "terminology.md"
COMMANDS = documentation.commands(PAGE)

Run = Callable[..., tuple[int, str]]


@pytest.fixture(autouse=True)
def starter_alone() -> Iterator[None]:
    """What a command chose is this process's choice: take it back."""
    yield
    catalogue.use(None)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command in a folder with the files of the page: its exit code, and what it prints or is refused with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(completeness, "SIZES", {})
    published.official(tmp_path / "icd10gm2026syst-meta.zip", YEAR)
    published.zipped(tmp_path / "icd10gm2026syst-claml.zip", {"a/claml.xml": published.claml(year=YEAR)})
    published.package(tmp_path / "bfarm.terminologien.icd10gm-2026.0.0.tgz", year=YEAR)
    published.zipped(tmp_path / "icd10gm2026alphaidse.zip", {"a/alpha.txt": published.alpha_se()})
    (tmp_path / "kodes.csv").write_text(published.with_header(), "utf-8")

    def command(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli.application, ["terminology", *words])
        if isinstance(done.exception, errors.GatewayError):
            return 2, done.exception.message
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    return command


@pytest.fixture
def filled(run: Run) -> Run:
    """With metadata, ClaML and Alpha-ID of one year."""
    for name in ("icd10gm2026syst-meta.zip", "icd10gm2026syst-claml.zip", "icd10gm2026alphaidse.zip"):
        code, told = run("import", name)
        assert code == 0, told
    return run


# --- the page ----------------------------------------------------------------------------------------------------


def test_the_page_has_its_commands() -> None:
    assert {words[1] for words in COMMANDS} == {"list", "show", "search", "validate", "import", "remove"}


@pytest.mark.parametrize("words", COMMANDS, ids=shlex.join)
def test_a_command_of_the_page_runs(filled: Run, words: list[str]) -> None:
    assert words[0] == "terminology"
    code, told = filled(*words[1:])
    assert code == 0, told
    assert told


def test_the_page_names_every_form_and_limit() -> None:
    text = PAGE.read_text("utf-8")
    (forms,) = documentation.tables_below(PAGE, "Importing")
    assert [row[0].strip("`") for row in forms] == [*content.PRECEDENCE, "alpha-id"]
    assert f"{terminology_command.files.MOST_BYTES // terminology_command.files.MEGABYTE} MB" in text
    assert f"`{installed.FILE}`" in text


# --- import and list ---------------------------------------------------------------------------------------------


def test_without_an_import_there_is_the_starter_catalogue(run: Run) -> None:
    code, told = run("list")
    assert code == 0
    assert [re.match(r"(\d{4})  starter catalogue  [\d,]+ terminal codes$", line) is not None
            for line in told.splitlines()] == [True, True]  # fmt: skip
    assert not Path("data").exists()


def test_what_was_imported_is_listed(filled: Run) -> None:
    code, told = filled("list")
    size, terminal = len(published.rows()), sum(fields[1] == "T" for fields in published.rows())
    assert code == 0
    _starter, year, *sources = told.splitlines()
    assert year == f"{YEAR}  imported  {size} codes, {terminal} terminal, 3 texts"
    assert [re.split(r"\s{2,}", line.strip())[:3] for line in sources] == [
        ["alpha-id", "alpha.txt", f"version {YEAR}"],
        ["claml", "claml.xml", f"version {YEAR} {YEAR - 1}-09-14"],
        ["metadata", f"icd10gm{YEAR}syst_kodes.txt", f"version {YEAR}"],
    ]
    assert all(re.search(r"imported \d{4}-\d\d-\d\d  sha256 [0-9a-f]{16}$", line) for line in sources)


def test_an_import_tells_what_it_did_and_the_second_time_nothing(run: Run) -> None:
    code, told = run("import", "icd10gm2026syst-meta.zip")
    assert code == 0
    assert told.startswith(
        f"ICD-10-GM {YEAR} from icd10gm2026syst-meta.zip (metadata): {len(published.rows())} codes, "
    )
    assert (
        "\nCompleteness could not be checked against a known number of codes, terminal codes, terminal primary codes "
        f"of {YEAR}.\n" in told
    )
    assert "\nThe file does not say: is_dagger.\nThe file has no inclusions, exclusions and hints.\n" in told
    assert "does not say" not in run("import", "icd10gm2026syst-claml.zip")[1]
    before = Path("data", installed.FILE).read_bytes()
    code, told = run("import", "icd10gm2026syst-meta.zip")
    assert code == 0
    assert re.fullmatch(r"Already imported on \d{4}-\d\d-\d\d as metadata of 2026; nothing was changed\.\n", told)
    assert Path("data", installed.FILE).read_bytes() == before


def test_an_index_of_an_older_format_is_made_again(run: Run) -> None:
    run("import", "icd10gm2026syst-meta.zip")
    path = Path("data", installed.FILE)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE search SET format = format - 1")
    assert re.search(r"\n0\.\d\d  \w+ +E10", run("search", "Erfundene Krankheit E10", "--date", DAY)[1])
    code, told = run("import", "icd10gm2026syst-meta.zip")
    assert code == 0
    assert re.fullmatch(
        r"Already imported on \S+ as metadata of 2026; the search index of 2026 was made again\.\n", told
    )
    before = path.read_bytes()
    assert "nothing was changed" in run("import", "icd10gm2026syst-meta.zip")[1]
    assert path.read_bytes() == before


def test_an_import_tells_which_codes_differ(run: Run) -> None:
    run("import", "icd10gm2026syst-meta.zip")
    rows = [fields for fields in published.rows() if fields[6] != "A00.9"]
    Path("less.csv").write_text(published.with_header(rows), "utf-8")
    code, told = run("import", "less.csv", "--year", str(YEAR))
    assert code == 0
    assert "\n1 codes are in this file or in what was there before, not in both, the first is A00.9.\n" in told
    assert run("validate", "A00.9", "--date", DAY)[0] == 1


def test_a_year_that_was_named_wrongly_can_be_corrected(run: Run) -> None:
    Path("meine kodes.csv").write_bytes(Path("kodes.csv").read_bytes())
    assert run("import", "meine kodes.csv")[1].startswith("meine kodes.csv does not say its year")
    assert run("import", "meine kodes.csv", "--year", "2027")[0] == 0
    code, told = run("import", "meine kodes.csv", "--year", "2026")
    assert code == 2
    assert told == (
        "meine kodes.csv has the very codes and titles of ICD-10-GM 2027, so it is not that of 2026: "
        "correct the --year, or take out 2027 first (fhir-gateway terminology remove 2027)."
    )
    code, told = run("remove", "2027")
    assert code == 0
    assert told == (
        "Removed of 2027: meine kodes.csv (metadata).\nA running gateway goes without it after its next start.\n"
    )
    assert run("import", "meine kodes.csv", "--year", "2026")[0] == 0
    assert "2026  imported" in run("list")[1] and "2027" not in run("list")[1]


def test_a_file_whose_name_says_another_year_is_not_taken_for_imported(run: Run) -> None:
    assert run("import", "kodes.csv", "--year", "2027")[0] == 0
    Path("icd10gm2026.csv").write_bytes(Path("kodes.csv").read_bytes())
    code, told = run("import", "icd10gm2026.csv")
    assert code == 2 and "take out 2027 first" in told
    assert "Already imported" in run("import", "kodes.csv", "--year", "2027")[1]


def test_a_data_folder_that_may_not_be_entered_is_one_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    look = Path.stat

    def refuse(path: Path, **named: bool) -> os.stat_result:
        if path.name == installed.FILE:
            raise PermissionError(13, "Permission denied")
        return look(path, **named)

    monkeypatch.setattr(Path, "stat", refuse)
    for words in (["list"], ["show", "E10"], ["validate", "E10"], ["search", "x"], ["remove", "2026"]):
        code, told = run(*words)
        assert code == 2 and "(Permission denied): give the user" in told and "\n" not in told, told


def test_a_file_name_that_is_no_text_is_kept_and_listed(run: Run) -> None:
    Path(os.fsdecode("größe_icd10gm2026.csv".encode("iso-8859-1"))).write_bytes(Path("kodes.csv").read_bytes())
    (name,) = (one.name for one in Path().iterdir() if one.name.endswith("gm2026.csv"))
    code, told = run("import", name)
    assert code == 0 and "gr??e_icd10gm2026.csv" in told, told
    assert "gr??e_icd10gm2026.csv" in run("list")[1]


def test_what_is_refused_changes_nothing(filled: Run) -> None:
    before = Path("data", installed.FILE).read_bytes()
    text = published.with_header()
    Path("cut.csv").write_text(text[: len(text) // 2], "utf-8")
    refused = {
        ("cut.csv", "--year", "2026"): r"^Line \d+ of cut\.csv has \d+ of 28 fields: the file is cut off",
        ("kodes.csv",): r"^kodes\.csv does not say its year",
        ("icd10gm2026syst-meta.zip", "--year", "2025"): "is for 2025 and 2026 at once",
        ("nothing.zip",): r"^nothing\.zip cannot be read: No such file",
        ("data",): "cannot be read",
    }
    for words, told in refused.items():
        code, said = filled("import", *words)
        assert code == 2 and re.search(told, said) and "\n" not in said, said
    assert Path("data", installed.FILE).read_bytes() == before


def test_on_a_terminal_the_progress_is_drawn(run: Run) -> None:
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=True, width=100)
    for name in ("icd10gm2026syst-meta.zip", "bfarm.terminologien.icd10gm-2026.0.0.tgz", "icd10gm2026alphaidse.zip"):
        assert list(terminology_command.take(Path("data"), Path(name), None, console))
    size = len(published.rows())
    assert f"{size}/{size}" in drawn.getvalue() and "reading texts" in drawn.getvalue()
    assert "splitting words" in drawn.getvalue()


def test_alpha_id_needs_its_year(run: Run) -> None:
    code, told = run("import", "icd10gm2026alphaidse.zip")
    assert (code, told) == (
        2, "There is no ICD-10-GM 2026 that the texts could be checked with: import its metadata first."
    )  # fmt: skip


def test_the_data_folder_is_that_of_the_gateway(run: Run) -> None:
    Path("gateway.toml").write_text('[server]\ndata = "elsewhere"\n', "utf-8")
    assert run("import", "icd10gm2026syst-meta.zip", "--config", "gateway.toml")[0] == 0
    assert Path("elsewhere", installed.FILE).exists()
    assert run("show", "E10.3", "--date", DAY, "--data", "elsewhere")[0] == 0
    assert run("show", "E10.3", "--date", DAY, "--data", "other")[0] == 2


# --- show --------------------------------------------------------------------------------------------------------


def test_a_code_is_shown_with_its_place_and_notes(filled: Run) -> None:
    code, told = filled("show", "e103", "--date", DAY)
    name = "Erfundene Krankheit E10"
    assert code == 0
    assert told.splitlines() == [
        f"E10.3†  {name}: Mit Augenkomplikationen",
        f"ICD-10-GM {YEAR}, importiert: alpha.txt, claml.xml, icd10gm{YEAR}syst_kodes.txt",
        "Kapitel 04  Kapitel 04",
        "Gruppe E10-E14  Gruppe E10-E14",
        f"über E10.3: E10  {name}",
        "nicht endständig: kodiert wird mit einem Kode darunter",
        "§ 295 SGB V (Praxis): zur Primärverschlüsselung zugelassen",
        "§ 301 SGB V (Krankenhaus): nicht zur Verschlüsselung zugelassen",
        "Inkl. (E10): Erfundener Zucker",
        "Exkl. (E10): In der Schwangerschaft O00.-",
        "Exkl. (E10): Grippe J00-J06 und Z99.9",
        "Hinweis (E10): Benutze H36.0*.",
        "Darunter:",
        f"  E10.30†  {name}: Mit Augenkomplikationen: Nicht entgleist",
        f"  E10.31†  {name}: Mit Augenkomplikationen: Entgleist",
    ]


def test_every_rule_is_shown(filled: Run) -> None:
    birth, cholera, germ = (filled("show", code, "--date", DAY)[1] for code in ("O00.0", "A00.0", "U00.0!"))
    assert "Geschlecht: weiblich (sonst Kann-Fehler)\nAlter: ab 12 Jahren, unter 55 Jahren (sonst Kann-Fehler)" in birth
    assert "in Mitteleuropa sehr selten\nIfSG: Arztmeldepflicht\nIfSG: Laborausschlussziffer 32006" in cholera
    assert germ.startswith("U00.0!  ") and "nicht mit Inhalt belegt" in germ
    assert "nur als Ausrufezeichenschlüsselnummer" in germ


def test_the_starter_catalogue_says_that_it_is_one(run: Run) -> None:
    code, told = run("show", "E11.90", "--date", "2025-03-31")
    assert code == 0
    assert "\nICD-10-GM 2025, Startkatalog (Auswahl)\n" in told


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["validate", "E11.90"], 0, r"^E11\.90 ist zulässig \(ICD-10-GM 2026, Startkatalog \(Auswahl\), Praxis\): "),
        (["validate", "E11.9"], 1, r"^E11\.9 ist nicht zulässig .* endständig: E11\."),
        (["validate", "E11.905"], 1, r"^E11\.905 ist nicht zulässig .* keine Form"),
        (["validate", "X99.9"], 3, r"^X99\.9: im Startkatalog 2026 \(Auswahl\) nicht enthalten; nicht geprüft\.$"),
        (["show", "X99.9"], 3, r"^X99\.9: im Startkatalog 2026 \(Auswahl\) nicht enthalten; nicht geprüft\.$"),
        (["show", "E11.9"], 2, "holds no 'E11.9'"),
        (["search", "Xylophonqwertz"], 3, r"^'Xylophonqwertz': im Startkatalog 2026 .* nicht enthalten; nicht geprüft"),
        (["search", "Husten"], 0, r"^ICD-10-GM 2026, Startkatalog \(Auswahl\)\n1\.00  exact      R05"),
    ],
)
def test_the_starter_catalogue_does_not_judge_what_it_lacks(run: Run, words: list[str], status: int, told: str) -> None:
    code, said = run(*words, "--date", DAY)
    assert code == status, said
    assert re.search(told, said.strip()), said


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[1] in ("show", "search", "validate", "list")])
def test_a_command_of_the_page_runs_without_an_import_too(run: Run, words: list[str]) -> None:
    code, told = run(*words[1:])
    assert code == 0, told


# --- search and validate -----------------------------------------------------------------------------------------


def test_a_text_is_searched_in_titles_and_in_alpha_id(filled: Run) -> None:
    code, told = filled("search", "Erfundenes Zuckerauge", "--date", DAY, "--limit", "1")
    assert code == 0
    assert re.fullmatch(
        r"ICD-10-GM 2026, importiert: .*\n"
        r"\d\.\d\d  exact      E10\.30†\s+Erfundene Krankheit E10: .*  \(Erfundenes Zuckerauge\)\n",
        told,
    )
    assert "E10.31†" in filled("search", "E10.31", "--date", DAY)[1]
    assert filled("search", "Xylophonqwertz", "--date", DAY) == (
        0, "ICD-10-GM 2026, importiert: nichts gefunden zu 'Xylophonqwertz'.\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "expected", "told"),
    [
        (["E10.90"], 0, r"^E10\.90 ist zulässig \(ICD-10-GM 2026, importiert, Praxis\): Erfundene Krankheit E10: "),
        (["e10.90"], 0, r"^E10\.90 ist zulässig"),
        (["E1090"], 0, r"^E10\.90 ist zulässig"),
        (["E10.9-"], 1, r"^E10\.9 ist nicht zulässig .* endständig: E10\.90, E10\.91\.$"),
        (["E10.9", "--setting", "hospital"], 1, r"Krankenhaus\): E10\.9 ist 2026 unterteilt"),
        (["E10.905"], 1, "keine Form der ICD-10-GM"),
        (["K99.9"], 1, "führt K99.9 nicht"),
        (["H36.0*"], 0, r"^H36\.0\* ist zulässig .*\nHinweis: .* brauchen einen Primärkode\.$"),
        (["O00.0", "--sex", "M"], 0, r"\nHinweis: Der Kode gilt für das andere Geschlecht\."),
        (["O00.0", "--sex", "W", "--age", "30"], 0, r"Erfundene Krankheit O00, akut$"),
        (["O00.0", "--age", "55"], 0, r"\nHinweis: Der Kode gilt nicht für dieses Alter\."),
        (["P00.0", "--age", "0d"], 0, r"^P00\.0 ist zulässig"),
        (["P00.0", "--age", "364d"], 0, r"^P00\.0 ist zulässig"),
        (["P00.0", "--age", "365d"], 1, r"^P00\.0 ist nicht zulässig .* nicht für dieses Alter"),
        (["P00.0", "--age", "1"], 1, "nicht für dieses Alter"),
        (["P00.0", "--age", "0"], 0, r"^P00\.0 ist zulässig"),
        (["A00.0"], 0, "(?s)sehr seltene.*Infektionsschutzgesetz"),
    ],
)
def test_a_code_is_judged(filled: Run, words: list[str], expected: int, told: str) -> None:
    code, said = filled("validate", *words, "--date", DAY)
    assert code == expected, said
    assert re.search(told, said.strip()), said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["show", "X99", "--date", DAY], "ICD-10-GM 2026 holds no 'X99': look for it with search."),
        (["validate", ""], "The code is empty: give one, e.g. E11.90."),
        (["validate", " - "], "The code is empty: give one, e.g. E11.90."),
        (["show", ""], "The code is empty: give one, e.g. E11.90."),
        (["search", " "], "The text is empty: give words or a code to look for."),
        (["remove", "2029"], "No ICD-10-GM 2029 was imported: `fhir-gateway terminology list` shows the years."),
        (["show", "E10", "--date", "31.3.2026"], "--date takes a day as YYYY-MM-DD, e.g. 2026-03-31."),
        (
            ["validate", "E10", "--age", "drei"],
            "--age takes completed years, e.g. 35, or days of life with a d, e.g. 10d.",
        ),
    ],
)
def test_bad_input_is_one_sentence(filled: Run, words: list[str], told: str) -> None:
    assert filled(*words) == (2, told)


@pytest.mark.parametrize("words", [["show"], ["validate", "E10", "--sex", "D"], ["search", "x", "--limit", "0"]])
def test_bad_options_end_with_2(run: Run, words: list[str]) -> None:
    assert run(*words)[0] == 2


def test_a_damaged_store_is_told(filled: Run) -> None:
    Path("data", installed.FILE).write_bytes(b"kaputt" * 1000)
    for words in (["list"], ["show", "E10"], ["validate", "E10"], ["search", "x"], ["remove", "2026"]):
        code, told = filled(*words)
        assert code == 2 and "cannot be used" in told and "\n" not in told


def test_nothing_is_imported_into_a_damaged_store(filled: Run) -> None:
    Path("data", installed.FILE).write_bytes(b"kaputt" * 1000)
    code, told = filled("import", "kodes.csv", "--year", "2026")
    assert code == 2 and "cannot be used" in told and "\n" not in told
    assert Path("data", installed.FILE).read_bytes() == b"kaputt" * 1000


def test_a_later_day_takes_the_newest_year(filled: Run) -> None:
    code, told = filled("validate", "E10.90", "--date", "2027-01-01")
    assert code == 0 and "(ICD-10-GM 2026, importiert, Praxis)" in told


def test_today_is_the_day_where_none_is_given() -> None:
    assert terminology_command.day_of(None) >= terminology_command.day_of("2026-01-01")
