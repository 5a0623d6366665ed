"""`terminology.tables` and the data itself: every row parses, names its source and points at things that exist."""

import csv
import datetime as dt
import io
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from terminology import labs, tables
from terminology.billing import catalogue as billing
from terminology.drugs import catalogue as drugs
from terminology.drugs import rules as drug_rules
from terminology.icd10gm import edition, starter

REPOSITORY = Path(__file__).resolve().parents[3]
DATA = REPOSITORY / "terminology" / "data"
SHARED = REPOSITORY.parent / "shared" / "data"
NAMES = sorted(str(path.relative_to(DATA).with_suffix("")) for path in DATA.rglob("*.csv"))

#: The columns that must not repeat together, where it is not the first column alone.
KEYS = {
    "billing/ebm": ("code", "age_min_years", "age_max_years", "valid_from"),
    "billing/rules": ("schedule", "code", "rule", "value"),
    "icd10gm/by_value": ("base_code", "analyte", "low"),
    "icd10gm/codes": ("code", "valid_from"),
    "icd10gm/combinations": ("code", "beside"),
    "icd10gm/contradictions": ("code", "beside"),
    "icd10gm/lab_findings": ("analyte", "flag"),
    "icd10gm/vaccinations": ("kind", "pattern", "antigens"),
    "icd10gm/visit_reasons": ("reason", "cue", "code", "note_has", "record_has"),
    "icd10gm/treated_by": ("atc", "codes"),
    "icd10gm/old_after": ("acute_prefix", "days_from"),
    "icd10gm/partners": ("code", "partner"),
    "icd10gm/refinements": ("base_code", "cue"),
    "icd10gm/symptom_of": ("symptom_prefix", "diagnosis_prefix"),
}
#: Columns whose cells are always regular expressions; further ones are named by `is_regex` = J.
PATTERNS = {
    "billing/services": ("cue",),
    "billing/not_done": ("pattern",),
    "german/performatives": ("pattern",),
    "icd10gm/refinements": ("cue",),
    "icd10gm/visit_reasons": ("cue",),
}
ICD_PREFIX = re.compile(r"[A-Z](?:\d(?:\d(?:\.\d{0,2})?)?)?")


def parts(text: str) -> list[str]:
    """The parts of a cell that lists several."""
    return [part for part in text.split("|") if part]


def shared(name: str) -> list[dict[str, str]]:
    """The rows of a table that a fresh clone does not have."""
    path = SHARED / name
    if not path.is_file():
        pytest.skip("needs ../shared")
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))


def plain(title: str) -> str:
    """A title whose spaces are all alike."""
    return " ".join(title.replace("\xa0", " ").split())


@pytest.mark.parametrize("name", NAMES)
def test_every_table_parses(name: str) -> None:
    raw = (DATA / f"{name}.csv").read_bytes()
    assert b"\r" not in raw and not raw.startswith(b"\xef\xbb\xbf") and raw.endswith(b"\n")
    found = list(csv.reader(io.StringIO(raw.decode("utf-8"), newline="")))
    assert len(found) > 1
    assert {len(row) for row in found} == {len(found[0])}
    assert len(set(found[0])) == len(found[0])
    rows = tables.rows(name)
    assert len(rows) == len(found) - 1
    assert [list(row.values()) for row in rows] == found[1:]
    if name not in ("german/fillers", *PATTERNS):
        assert all(cell == cell.strip() for row in rows for cell in row.values())


@pytest.mark.parametrize("name", NAMES)
def test_every_row_names_its_source(name: str) -> None:
    assert all(row["source"].strip() for row in tables.rows(name))


@pytest.mark.parametrize("name", NAMES)
def test_no_key_twice(name: str) -> None:
    key = KEYS.get(name, (next(iter(tables.rows(name)[0])),))
    counts = Counter(tuple(row[column].lower() for column in key) for row in tables.rows(name))
    assert [key for key, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("name", NAMES)
def test_regular_expressions_compile(name: str) -> None:
    rows = tables.rows(name)
    patterns = [row[column] for column in PATTERNS.get(name, ()) for row in rows]
    patterns += [next(iter(row.values())) for row in rows if row.get("is_regex") == "J"]
    for pattern in patterns:
        compiled = re.compile(pattern, re.IGNORECASE)
        assert compiled.fullmatch("") is None, f"matches the empty text: {pattern}"


@pytest.mark.parametrize("name", [name for name in NAMES if "is_regex" in tables.rows(name)[0]])
def test_is_regex_says_yes_or_no(name: str) -> None:
    assert {row["is_regex"] for row in tables.rows(name)} <= {"J", "N"}


@pytest.mark.parametrize("name", [name for name in NAMES if "status" in tables.rows(name)[0]])
def test_status_is_one_of_two(name: str) -> None:
    assert {row["status"] for row in tables.rows(name)} <= {"verified", "unverified"}


def test_performatives_refer_to_their_own_groups() -> None:
    for row in tables.rows("german/performatives"):
        groups = {int(number) for number in re.findall(r"\\(\d)", row["replacement"])}
        assert max(groups, default=0) <= re.compile(row["pattern"]).groups


def test_digest_is_stable_and_short() -> None:
    first = tables.digest()
    tables.digest.cache_clear()
    assert tables.digest() == first
    assert re.fullmatch(r"[0-9a-f]{16}", first)


def test_an_unknown_table_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        tables.rows("german/nothing")


# Drugs


def test_ingredients_have_atc_or_say_none_and_known_classes() -> None:
    classes = {row["class"] for row in tables.rows("drugs/classes")}
    for row in tables.rows("drugs/ingredients"):
        assert set(parts(row["classes"])) <= classes, row["ingredient"]
        assert re.fullmatch(r"(?:[A-Z]\d{2}(?:[A-Z]{1,2}(?:\d{2})?)?)?", row["atc"]), row["ingredient"]
        assert row["route_default"], row["ingredient"]


def test_brands_resolve_to_ingredients() -> None:
    known = drugs.ingredients()
    unknown = [row["brand"] for row in tables.rows("drugs/brands") if set(parts(row["ingredients"])) - known.keys()]
    assert unknown == []
    assert all(parts(row["ingredients"]) for row in tables.rows("drugs/brands"))


def test_a_name_means_one_drug_only() -> None:
    meanings: dict[str, set[str]] = {}
    for row in tables.rows("drugs/ingredients"):
        for name in (row["ingredient"], *parts(row["names"])):
            meanings.setdefault(name.lower(), set()).add(row["ingredient"])
    for row in tables.rows("drugs/brands"):
        meanings.setdefault(row["brand"].lower(), set()).add(row["ingredients"])
    assert {name: found for name, found in meanings.items() if len(found) > 1} == {}


def names_of_rules() -> Iterator[tuple[str, str]]:
    """Every name of a drug or a class in the rules, with the rule's id."""
    for rule in drug_rules.all_rules():
        for name in (*rule.drug, *(name for group in rule.with_drugs for name in group)):
            yield rule.id, name
        yield from ((rule.id, name) for name in rule.unless if not ICD_PREFIX.fullmatch(name))


def test_drugs_and_classes_of_rules_resolve() -> None:
    known = drugs.ingredients()
    used = {key for ingredient in known.values() for key in ingredient.classes}
    for rule, name in names_of_rules():
        if name.startswith("class:"):
            assert name[6:] in used, f"{rule}: nobody is in {name}"
        else:
            assert name in known, f"{rule}: {name}"


def test_every_rule_can_be_read_and_explains_itself() -> None:
    found = drug_rules.all_rules()
    assert len(found) == len(tables.rows("drugs/rules"))
    for rule in found:
        assert rule.drug and rule.explanation and rule.management and rule.source, rule.id
        assert rule.dose_over is None or rule.dose_over > 0
        assert (
            not rule.state
            or rule.state in ("pregnant", "female", "male")
            or re.fullmatch(r"(?:female|male)&\d+-\d+", rule.state)
        ), rule.id
        asks = (rule.with_drugs, rule.conditions, rule.labs, rule.ages, rule.state, rule.dose_over)
        assert any(asks) or rule.kind in ("omission", "duplicate"), f"{rule.id} fires for everybody"


def test_conditions_of_rules_are_codes_or_known_allergies() -> None:
    for rule in drug_rules.all_rules():
        for wanted in (*rule.conditions, *(name for name in rule.unless if ICD_PREFIX.fullmatch(name))):
            if not wanted.startswith("allergy:"):
                assert ICD_PREFIX.fullmatch(wanted), f"{rule.id}: {wanted}"


def test_allergies_of_rules_have_names() -> None:
    wanted = {
        (rule.id, name) for rule in drug_rules.all_rules() for name in rule.conditions if name.startswith("allergy:")
    }
    assert wanted
    assert sorted(rule for rule, name in wanted if not drug_rules.allergy_names(name.removeprefix("allergy:"))) == []


def test_laboratory_keys_and_ranges() -> None:
    for analyte in labs.analytes().values():
        assert analyte.name
        for low, high in ((analyte.low, analyte.high), (analyte.low_female, analyte.high_female)):
            assert low is None or high is None or low < high, analyte.key
        assert re.fullmatch(r"(?:\d{1,5}-\d)?", analyte.loinc), analyte.key
    names = Counter(name for row in tables.rows("labs") for name in parts(row["names"]))
    assert [name for name, count in names.items() if count > 1] == []


# ICD-10-GM


def test_codes_are_terminal_in_form() -> None:
    for row in tables.rows("icd10gm/codes"):
        assert re.fullmatch(r"[A-Z]\d{2}(?:\.\d{1,2})?", row["code"])
        assert {row["p295"], row["p301"]} <= {"P", "O", "Z", "V"} and row["sex"] in ("", "W", "M")
        assert (row["sex_error"] == "K") == bool(row["sex"]) and row["age_error"] in ("", "K", "M")
        assert {row[name] for name in ("rare", "used", "ifsg_notifiable", "ifsg_lab", "chronic")} <= {"J", "N"}
        assert int(row["valid_from"]) in starter.YEARS
        assert not row["valid_to"] or int(row["valid_from"]) <= int(row["valid_to"])
        assert bool(row["age_error"]) == bool(edition.age(row["age_from"]) or edition.age(row["age_to"])), row["code"]


@pytest.fixture(scope="module")
def known() -> dict[str, edition.Code]:
    """The starter's codes of all years."""
    return {name: code for year in starter.YEARS for name, code in starter.load(year).codes.items()}


def test_the_starter_is_as_large_as_it_says(known: dict[str, edition.Code]) -> None:
    assert min(len(starter.load(year).codes) for year in starter.YEARS) >= 1_500
    terms = tables.rows("icd10gm/terms")
    assert len(terms) >= 8_000
    assert {row["in_text"] for row in terms} == {"J", "N", "B"}
    assert {row["kind"] for row in terms} <= {"diagnosis", "symptom", "status", "abbreviation", "lay"}
    assert [row["term"] for row in terms if row["term"] != row["term"].lower()] == []


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("icd10gm/terms", ("code",)),
        ("icd10gm/refinements", ("base_code", "code")),
        ("icd10gm/partners", ("code", "partner")),
        ("icd10gm/by_value", ("base_code", "code")),
        ("icd10gm/old_after", ("code",)),
    ],
)
def test_codes_that_tables_name_exist(name: str, columns: tuple[str, ...], known: dict[str, edition.Code]) -> None:
    assert [row for row in tables.rows(name) if any(row[column] not in known for column in columns)] == []


def test_partners_are_star_or_exclamation_codes_or_primary_of_one(known: dict[str, edition.Code]) -> None:
    for row in tables.rows("icd10gm/partners"):
        assert row["required"] in ("J", "N")
        assert known[row["code"]].mark or known[row["partner"]].mark, row


@pytest.mark.parametrize(
    ("name", "column"),
    [("icd10gm/sided", "prefix"), ("icd10gm/symptom_of", "symptom_prefix"), ("icd10gm/symptom_of", "diagnosis_prefix")],
)
def test_prefixes_hold_a_code(name: str, column: str, known: dict[str, edition.Code]) -> None:
    prefixes = {row[column] for row in tables.rows(name)}
    assert [prefix for prefix in sorted(prefixes) if not any(code.startswith(prefix) for code in known)] == []


def test_by_value_leaves_no_overlap() -> None:
    for key in {(row["base_code"], row["analyte"]) for row in tables.rows("icd10gm/by_value")}:
        rows = [row for row in tables.rows("icd10gm/by_value") if (row["base_code"], row["analyte"]) == key]
        rows.sort(key=lambda row: Decimal(row["low"] or 0))
        assert [row["high"] for row in rows[:-1]] == [row["low"] for row in rows[1:]]
        assert key[1] in labs.analytes()


def test_codes_agree_with_the_official_catalogue_of_2025() -> None:
    official = {row["code"]: row for row in shared("icd10gm/icd10gm_2025_codes.csv")}
    for row in tables.rows("icd10gm/codes"):
        if row["valid_from"] != "2025":
            continue
        found = official[row["code"]]
        assert found["terminal"] == "T" and plain(found["title"]) == plain(row["title"]), row["code"]
        for ours, theirs in METADATA.items():
            empty = found[theirs] in ("9", "9999")
            assert row[ours] == ("" if empty else found[theirs]), (row["code"], ours)


#: The columns of the starter by the columns of the official file.
METADATA = {
    "p295": "p295", "p301": "p301", "sex": "sex", "sex_error": "sex_error", "age_from": "age_min", "age_to": "age_max",
    "age_error": "age_error", "rare": "rare_central_europe", "used": "has_content",
    "ifsg_notifiable": "ifsg_notifiable", "ifsg_lab": "ifsg_lab",
}  # fmt: skip


def test_codes_agree_with_the_official_titles_of_2026() -> None:
    newer = {row["code"]: plain(row["title"]) for row in shared("icd10gm/icd10gm_2026_primary_terminal_titles.csv")}
    held = {code.code: plain(code.title) for code in starter.load(2026).codes.values() if code.mark is None}
    assert {name: title for name, title in held.items() if newer.get(name) != title} == {}
    gone = [row["code"] for row in tables.rows("icd10gm/codes") if row["valid_to"] == "2025"]
    assert [name for name in gone if newer.get(name) == starter.load(2025).codes[name].title] == []


def test_all_that_changed_from_2025_to_2026_is_in_the_starter() -> None:
    older, newer = starter.load(2025).codes, starter.load(2026).codes
    for row in shared("icd10gm/delta_2025_2026.csv"):
        if row["change"] == "new_terminal_primary":
            assert row["code"] in newer and row["code"] not in older, row["code"]
        elif row["change"] == "no_longer_terminal_primary":
            assert row["code"] in older and row["code"] not in newer, row["code"]
        else:
            assert older[row["code"]].title != newer[row["code"]].title, row["code"]


# Fees


def test_fee_items_of_services_contacts_and_rules_exist() -> None:
    known = {
        "EBM": {row["code"] for row in tables.rows("billing/ebm")},
        "GOAE": {row["code"] for row in tables.rows("billing/goae")},
    }
    for name in ("billing/services", "billing/contacts"):
        for row in tables.rows(name):
            assert set(parts(row["ebm"])) <= known["EBM"], row
            assert set(parts(row["goae"])) <= known["GOAE"], row
    for row in tables.rows("billing/rules"):
        assert row["code"] in known[row["schedule"]], row
        if row["rule"] in ("excludes_same_session", "excludes_same_case", "requires_item", "only_alone_or_with"):
            assert set(parts(row["value"])) <= known[row["schedule"]], row


def test_rules_of_fees_have_values_of_their_kind() -> None:
    for row in tables.rows("billing/rules"):
        if row["rule"] in ("min_minutes", "min_age", "max_age"):
            assert row["value"].isdigit(), row
        if row["rule"] == "requires_contact":
            assert set(parts(row["value"])) <= {"in_person", "phone", "video", "home"}, row
        if row["rule"] == "sex":
            assert row["value"] in ("female", "male", "W", "M"), row
        if row["rule"] == "requires_diagnosis":
            assert all(ICD_PREFIX.fullmatch(part) for part in parts(row["value"])), row


def test_services_use_known_pieces() -> None:
    pieces = {row["name"] for row in tables.rows("billing/not_done")}
    for row in tables.rows("billing/services"):
        assert set(re.findall(r"\{([a-z_]+)\}", row["not_cue"])) <= pieces, row["service"]
    assert len(billing.services()) == len(tables.rows("billing/services"))


def test_fee_items_have_a_value_or_say_that_none_is_known() -> None:
    for row in tables.rows("billing/ebm"):
        assert row["set_by"] in ("physician", "kv")
        dt.date.fromisoformat(row["valid_from"])
        assert not row["valid_to"] or row["valid_to"] >= row["valid_from"]
        if not (row["points"] or row["eur_fixed"]):
            assert billing.ebm_item(row["code"], dt.date(2026, 12, 1), 40) is None, row
    for row in tables.rows("billing/goae"):
        assert Decimal(row["points"] or 1) > 0 and Decimal(1) <= Decimal(row["threshold_factor"])
        assert Decimal(row["threshold_factor"]) <= Decimal(row["max_factor"])


def test_goae_points_agree_with_the_statute() -> None:
    statute = {row["nr"]: row for row in shared("goae/goae_full.csv")}
    for row in tables.rows("billing/goae"):
        assert Decimal(row["points"] or 0) == Decimal(statute[row["code"]]["points"] or 0), row["code"]
        assert Decimal(row["threshold_factor"]) <= Decimal(statute[row["code"]]["threshold_factor"] or 1), row["code"]
        assert Decimal(row["max_factor"]) <= Decimal(statute[row["code"]]["max_factor"] or 1), row["code"]


def test_verified_ebm_points_agree_with_the_collected_values() -> None:
    collected: dict[str, set[str]] = {}
    for row in shared("ebm/ebm_gp_core.csv"):
        collected.setdefault(row["gop"], set()).add(row["points"])
    verified = [row for row in tables.rows("billing/ebm") if row["status"] == "verified" and row["points"]]
    wrong = [row["code"] for row in verified if not row["valid_to"] and row["points"] not in collected[row["code"]]]
    assert verified
    assert wrong == []


def test_ebm_items_exist_in_the_schedule_or_are_marked_unverified() -> None:
    listed = {row["gop"] for row in shared("ebm/ebm_gp_core.csv")}
    assert [
        r["code"] for r in tables.rows("billing/ebm") if r["code"] not in listed and r["status"] == "verified"
    ] == []


def test_point_values_agree_with_the_collected_ones() -> None:
    collected = {row["valid_from"]: row["cent_per_point"] for row in shared("ebm/orientierungswert.csv")}
    for row in tables.rows("billing/ebm_point_values"):
        assert Decimal(collected[row["valid_from"]]) == Decimal(row["cent_per_point"])
