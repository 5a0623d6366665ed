"""`pipeline.evaluation.files`: lines that are there at once, and files that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.engines import base
from pipeline.evaluation import files, records
from tests.unit.pipeline.evaluation import made


def write(path: Path, *given: records.Record) -> Path:
    with files.Writer.begin(path, made.header("a", "b")) as writer:
        writer.add(given)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    judged = records.Judgement(both_yes=3)
    given = made.record(judged=judged), made.record(case="b", answers=(made.answer("invalid", mode=None),))
    found = files.read(write(tmp_path / "a.jsonl", *given))
    assert found.records == given and found.header == made.header("a", "b")
    assert (found.name, found.models) == ("a", ("m",))


def test_a_line_is_in_the_file_before_the_next_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with files.Writer.begin(path, made.header("a")) as writer:
        writer.add([made.record()])
        assert len(files.read(path).records) == 1


def test_a_file_that_exists_is_not_written_over(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", made.record())
    before = path.read_bytes()
    with pytest.raises(files.NotUsable, match="--resume"):
        files.Writer.begin(path, made.header("a"))
    assert path.read_bytes() == before


def test_a_last_line_that_was_broken_off_is_left_out_and_written_over(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", made.record())
    whole = path.read_bytes()
    path.write_bytes(whole + whole.split(b"\n")[1][:40])
    assert len(files.read(path).records) == 1
    with files.Writer.resume(path, made.header("a", "b")) as writer:
        writer.add([made.record(case="b")])
    assert [record.case for record in files.read(path).records] == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"gateway": "1"}, "gateway version"),
        ({"rules": "x"}, "rules"),
        ({"prompts": {"scribe": "2-0"}}, "prompts"),
        ({"cases": {"a": "changed"}}, "cases"),
        ({"plan": records.Plan(repeat=2)}, "stages, repeats or concurrency"),
        ({"has_texts": True}, "--keep-texts"),
        ({"judge": "j"}, "judge"),
        ({"machine": made.MACHINE.model_copy(update={"cores": 1})}, "machine"),
    ],
)
def test_another_header_is_refused_by_name(tmp_path: Path, change: dict[str, object], told: str) -> None:
    path = write(tmp_path / "a.jsonl")
    with pytest.raises(files.NotUsable, match=told):
        files.Writer.resume(path, made.header("a", "b").model_copy(update=change))


def test_the_time_alone_may_differ(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", made.record())
    with files.Writer.resume(path, made.header("a", "b").model_copy(update={"begun": "later"})) as writer:
        assert writer.done == {made.record().key}


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"no json\n", b'{"kind":"record"}\n', b'{"kind":"surprise"}\n', b"\xff\xfe\n"]
)
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(files.NotUsable, match="not a file of measurements"):
        files.read(path)


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        made.header("a").model_copy(update={"format": 2}).model_dump_json(exclude_none=True) + "\n", "utf-8"
    )
    with pytest.raises(files.NotUsable, match="not a file of measurements"):
        files.read(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for action in (files.read, lambda path: files.Writer.resume(path, made.header("a"))):
        with pytest.raises(files.NotUsable, match="cannot be read"):
            action(tmp_path / "none.jsonl")
    with pytest.raises(files.NotUsable, match="cannot be written"):
        files.Writer.begin(tmp_path / "no" / "folder.jsonl", made.header("a"))


def test_a_model_that_could_not_be_used_may_come_back(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl")
    with files.Writer.resume(path, made.header("a", "b")) as writer:
        writer.introduce(records.Candidate(name="m", fault="It is not there."))
        writer.introduce(records.Candidate(name="m"))
    assert files.read(path).candidates["m"].fault is None


def identity(model: str) -> base.Identity:
    return base.Identity(name="m", engine="stub", model=model)


def test_a_fault_in_between_hides_no_change_of_the_model(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl")
    head = made.header("a", "b")
    with files.Writer.resume(path, head) as writer:
        writer.introduce(records.Candidate(name="m", identity=identity("one")))
    with files.Writer.resume(path, head) as writer:
        writer.introduce(records.Candidate(name="m", fault="It is not there."))
    found = files.read(path).candidates["m"]
    assert (found.identity, found.fault) == (identity("one"), "It is not there.")
    with files.Writer.resume(path, head) as writer, pytest.raises(files.NotUsable, match="another model m"):
        writer.introduce(records.Candidate(name="m", identity=identity("two")))
    with files.Writer.resume(path, head) as writer:
        writer.introduce(records.Candidate(name="m", identity=identity("one")))
    assert files.read(path).candidates["m"].fault is None


@pytest.mark.parametrize("outcome", ["unavailable", "disabled"])
def test_what_nobody_was_there_to_answer_is_not_done(tmp_path: Path, outcome: str) -> None:
    answers = made.answer("invalid"), made.answer(outcome, is_second=True)
    path = write(tmp_path / "a.jsonl", made.record(answers=answers, served="rules"), made.record(case="b"))
    with files.Writer.resume(path, made.header("a", "b")) as writer:
        assert writer.done == {made.record(case="b").key}
        writer.add([made.record()])
    assert {record.case: record.served for record in files.read(path).records} == {"a": "model", "b": "model"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_is_one_sentence() -> None:
    path = Path("/dev/full")
    told = "/dev/full cannot be written on: No space left on device; make room"
    with pytest.raises(files.NotUsable, match=told), files.Writer(path, path.open("wb"), None) as writer:
        writer.write(made.header("a"))
