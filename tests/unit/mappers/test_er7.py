"""`mappers.er7`: any bytes to a tree and back, escapes, character sets, batches, and texts that try to be segments."""

from __future__ import annotations

import codecs
import contextlib
import string
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mappers import er7
from tests.support import SHARED

SAMPLES = SHARED / "data" / "hl7v2"
HEAD = "MSH|^~\\&|KIS|KLINIK|||20261101120000||ADT^A01^ADT_A01|7|P|2.5||||||"
HEADERS = ("MSH", "FHS", "BHS")
STANDARD = er7.Context(er7.STANDARD)


def message(*lines: str, charset: str = "", end: str = "\r") -> bytes:
    """An ADT^A01 with these lines, ISO 8859-1 as far as they go."""
    return "".join(f"{line}{end}" for line in (HEAD + charset, *lines)).encode("latin-1")


def texts(message: er7.Message) -> list[str]:
    """Everything that can be read of a message, by every accessor."""
    found = [message.structure, str(message), str(message.is_decoded), message.text("PID-5[2].1.3"), *message.notes]
    for segment in message.segments:
        found += [segment.name, str(len(segment))]
        assert message.first(segment.name) is message.all(segment.name)[0]
        for number, field in segment.fields:
            found += [field.text, field.repetition(number).text, str(field.is_null)]
            for repetition in field.repetitions:
                found += [repetition.text, repetition.whole, repetition.component(number).text]
                for component in repetition.components:
                    found += [component.text, component.subcomponent(number).text]
                    found += [subcomponent.text for subcomponent in component.subcomponents]
    return found


def as_read(text: str) -> str:
    """A text as it is after a way through a message: line breaks are "\\n", other control characters are gone."""
    kept = []
    for character in text.replace("\r\n", "\n"):
        if len(f"a{character}b".splitlines()) == 2:
            kept.append("\n")
        elif character == "\t" or unicodedata.category(character) not in ("Cc", "Cs"):
            kept.append(character)
    return "".join(kept)


# ---- any bytes

PUNCTUATION = st.sampled_from(string.punctuation)
LINE_ENDS = st.sampled_from([b"\r", b"\n", b"\r\n", b"\n\r", b"\r\r", b"\n\n"])
LINES = st.one_of(
    st.binary(max_size=60),
    st.text("|^~\\&XE.br0A\"'äß€ \x00\x0b\x1c\x85\u2028", max_size=60).map(lambda text: text.encode("utf-8")),
    st.text("PID|^~\\&1äöü§", max_size=60).map(lambda text: text.encode("latin-1")),
    st.sampled_from([b"ZBE|1^KIS|20261101||INSERT", b"PIDX|1", b"pid|1", b"MSHX|1", b"BTS|1", b"PID", b"|", b"MSH"]),
)
CHARSETS = st.one_of(
    st.sampled_from(["", "ASCII", "8859/1", "8859/15", "UNICODE UTF-8", "UNICODE UTF-16", "~8859/1", "KLINGON"]),
    st.text(max_size=20),
)


@st.composite
def anything(draw: st.DrawFn) -> bytes:
    """A header with any delimiters, and any bytes after it; every now and then not even a header."""
    field = draw(PUNCTUATION)
    encoding = draw(st.one_of(st.just("^~\\&"), st.just("^~\\\\&"), st.text(max_size=6)))
    fields = [*("",) * 15, draw(CHARSETS)]
    head = draw(st.sampled_from(HEADERS)) + field + encoding + field + field.join(fields)
    mark, codec = draw(
        st.sampled_from([
            (b"", "utf-8"), (b"", "latin-1"), (codecs.BOM_UTF8, "utf-8"),
            (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"), (codecs.BOM_UTF32_LE, "utf-32-le"),
        ])
    )  # fmt: skip
    lines = draw(st.lists(st.tuples(LINES, LINE_ENDS), max_size=8))
    start = draw(st.sampled_from([b"", b"\r\n", b" ", b"\x00", b"x"]))
    tail = b"".join(line + end for line, end in lines)
    if codec.startswith("utf-16") and draw(st.booleans()):
        tail = tail.decode("latin-1").encode(codec)
    return mark + start + head.encode(codec, "replace") + draw(LINE_ENDS) + tail


@given(anything())
@example(b"")
@example(b"MSH")
@example(b"MSH|")
@example(b"MSH|^")
@example(b"MSH\r\r\r")
@example(b"MSH|^~\\&|\r\r\r\n\n\nPID|1")
@example(codecs.BOM_UTF16_LE + "MSH|^~\\&|".encode("utf-16-le") + b"\x00\xd8")
@example(codecs.BOM_UTF16_LE + "MSH|^~\\&|".encode("utf-16-le") + b"a")
@example(b"MSH|^~\\&|\\.sp\xb2\\" + b"\\.sp" + b"9" * 5000 + b"\\\r")
def test_what_is_not_refused_comes_back_byte_for_byte_and_can_be_read(data: bytes) -> None:
    for part in [data, *er7.messages(data)]:
        try:
            parsed = er7.parse(part)
        except er7.Malformed:
            continue
        assert parsed.encode() == part
        texts(parsed)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    assert b"".join(er7.messages(data)) in data
    with contextlib.suppress(er7.Malformed):
        assert er7.parse(data).encode() == data


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs ../shared")
def test_all_samples_come_back_byte_for_byte() -> None:
    files = [path for path in SAMPLES.rglob("*") if path.suffix == ".hl7" or path.name.endswith("T02.txt")]
    assert len(files) > 250
    for path in files:
        data = path.read_bytes()
        found = er7.messages(data)
        assert found, path
        for part in found:
            parsed = er7.parse(part)
            assert parsed.encode() == part, path
            assert parsed.is_decoded, path
            texts(parsed)


@pytest.mark.parametrize(
    ("unit", "parts"),
    [
        (b"\r", 100_000), (b"P\r\n", 100_000), (b"\\", 300_000), (b"\\X41", 100_000), (b"\\X41\\", 60_000),
        (b"\\.sp", 100_000), (b"|", 300_000), (b"^&~", 100_000), (b"\n", 300_000), (b"\xc3", 300_000),
    ],
)  # fmt: skip
def test_reading_takes_time_in_proportion_to_the_length(unit: bytes, parts: int) -> None:
    def seconds(number: int) -> float:
        parsed = er7.parse(b"MSH|^~\\&|KIS\rNTE|1||" + unit * number)
        begun = time.process_time()
        parsed = er7.parse(parsed.encode())
        for segment in parsed.segments[-2:]:
            for _number, field in segment.fields[-2:]:
                er7.unescape(field.raw, parsed.context)
        return time.process_time() - begun

    assert min(seconds(parts) for _ in range(2)) < 40 * max(seconds(parts // 10), 0.001)


# ---- the header

REFUSED = [
    b"", b"\r\n", b"MSH", b"MSH|", b"MSH||", b"MSH\r", b"MSH|\r^~\\&|KIS", b"MSH |^~\\&|KIS", b"MSHX^~\\&|KIS",
    b"MSH5^~\\&|", b"PID|1\rMSH|^~\\&|", b"msh|^~\\&|", b"\x0bMSH|^~\\&|", b"<?xml?>", b'{"resourceType": "Bundle"}',
    "MSH§^~\\&§KIS".encode("latin-1"), "MSH|§~\\&|KIS".encode(), "MSH\u2028^~\\&|".encode(), b"MSH\x1c^~\\&\x1c",
    codecs.BOM_UTF16_LE + "PID|1".encode("utf-16-le"), "MSH|^~\\&|KIS".encode("utf-16-le"),
    codecs.BOM_UTF32_LE + "MSH|^~\\&|KIS".encode("utf-32-le"),
]  # fmt: skip


@pytest.mark.parametrize("data", REFUSED)
def test_what_has_no_header_is_malformed(data: bytes) -> None:
    with pytest.raises(er7.Malformed, match=r"MSH.*\.$"):
        er7.parse(data)


@pytest.mark.parametrize("tail", [b"a", b"\x00\xd8", b"\x00\xd8a\x00"])
def test_utf16_that_is_none_is_malformed(tail: bytes) -> None:
    with pytest.raises(er7.Malformed, match=r"no utf-16-le"):
        er7.parse(codecs.BOM_UTF16_LE + "MSH|^~\\&|KIS".encode("utf-16-le") + tail)


def test_two_headers_are_two_patients() -> None:
    with pytest.raises(er7.Malformed, match="more than one MSH"):
        er7.parse(message("PID|1||4711", HEAD, "PID|1||4712"))
    er7.parse(message("NTE|1||MSH|^~\\&|", "MSHX|1"))


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("^~\\&", er7.STANDARD),
        ("^~\\&#", er7.Delimiters(truncation="#")),
        ("^~\\\\&", er7.STANDARD),
        ("^^~\\&", er7.STANDARD),
        ("^~\\&ABC", er7.STANDARD),
        ("^~\\", er7.Delimiters(subcomponent="")),
        ("^~", er7.Delimiters(escape="", subcomponent="")),
        ("^", er7.Delimiters(repetition="", escape="", subcomponent="")),
        ("^~\\&#!", er7.Delimiters(truncation="#")),
        ("^ \\&", er7.Delimiters(repetition="", escape="", subcomponent="")),
    ],
)
def test_delimiters(encoding: str, expected: er7.Delimiters) -> None:
    data = f"MSH|{encoding}|KIS\rPID|1||4711^^^KIS~4712|||Müller&von\r".encode()
    parsed = er7.parse(data)
    assert parsed.delimiters == expected
    assert parsed.text("MSH-1") == "|"
    assert parsed.text("MSH-2") == encoding
    assert parsed.text("MSH-3") == "KIS"
    assert parsed.text("PID-3") == "4711" + ("~4712" if not expected.repetition else "") * (not expected.component)
    assert parsed.encode() == data
    assert er7.segment("MSH", {3: "KIS"}, parsed.context).raw == f"MSH|{expected.encoding_characters}|KIS"


def test_own_delimiters() -> None:
    parsed = er7.parse(b"MSH$:*!%$KIS$KLINIK\rPID$1$$4711::: KIS%OID*4712$$M!S!ller!X7C!|^\r")
    assert parsed.text("PID-3.4.1") == " KIS"
    assert parsed.text("PID-3.4.2") == "OID"
    assert parsed.text("PID-3[2]") == "4712"
    assert parsed.text("PID-5") == "M:ller||^"
    assert er7.escape("1$ : 2*3!4%5|^", parsed.delimiters) == "1!F! !S! 2!R!3!E!4!T!5|^"


# ---- segments, fields and paths


def test_fields_as_hl7_counts_them() -> None:
    parsed = er7.parse(message("PID|1||4711^^^KIS^PI~4712^^^KIS&1.2.3&ISO^MR|", 'PV1|1|""|""^""'))
    pid = parsed.segments[1]
    assert (pid.name, len(pid)) == ("PID", 4)
    assert [number for number, _field in pid.fields] == [1, 3]
    assert parsed.text("MSH-9.2") == "A01"
    assert parsed.structure == "ADT^A01"
    assert parsed.text("PID-3[2].4.2") == "1.2.3"
    assert parsed.text("PID-3.4") == "KIS"
    assert [repetition.text for repetition in pid.field(3).repetitions] == ["4711", "4712"]
    assert pid.field(2).repetitions == []
    assert [component.raw for component in pid.field(3).repetition(1).components] == ["4711", "", "", "KIS", "PI"]
    assert parsed.segments[2].field(2).is_null
    assert not parsed.segments[2].field(3).is_null
    assert parsed.text("PV1-2") == parsed.text("PV1-3.2") == parsed.segments[2].field(2).repetition(1).whole == ""


@pytest.mark.parametrize(
    "path", ["PID-99", "PID-0", "PID-3[0]", "PID-3[3]", "PID-3.0", "PID-3.9", "PID-3.1.0", "ZZZ-1"]
)
def test_what_is_not_there_is_empty(path: str) -> None:
    assert er7.parse(message("PID|1||4711^A&B~4712^C&D")).text(path) == ""


@pytest.mark.parametrize("path", ["PID", "PID-", "pid-3", "PID-3.1.1.1", "PID-3[]", "PIDX-3", "PID-a", ""])
def test_a_path_that_is_none(path: str) -> None:
    with pytest.raises(ValueError, match="is no path"):
        er7.parse(message()).text(path)


@pytest.mark.parametrize(
    ("line", "name", "third"),
    [
        ("PIDX|1||4711", "PIDX", "4711"), ("PIDABC|1||4711", "PIDABC", "4711"), ("MSHX|1||4711", "MSHX", "4711"),
        ("pid|1||4711", "pid", "4711"), ("ZBE|1||4711", "ZBE", "4711"), ("|1||4711", "", "4711"), ("PID", "PID", ""),
    ],
)  # fmt: skip
def test_a_name_ends_at_the_first_delimiter(line: str, name: str, third: str) -> None:
    segment = er7.parse(message(line)).segments[1]
    assert segment.name == name
    assert segment.field(3).text == third


def test_a_text_that_its_sender_did_not_escape_can_be_read_whole() -> None:
    parsed = er7.parse(message("OBX|1|TX|1||pH 7,4 & CO2 ^ O2 \\T\\ Hb"))
    assert parsed.segments[1].field(5).repetition(1).whole == "pH 7,4 & CO2 ^ O2 & Hb"


# ---- line ends


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\n\n", "\r\r\n"])
def test_line_ends(end: str) -> None:
    parsed = er7.parse(message("PID|1", "PV1|1", end=end))
    assert [segment.name for segment in parsed.segments] == ["MSH", "PID", "PV1"]
    assert {segment.end for segment in parsed.segments} == {end}


def test_a_line_feed_in_a_message_with_carriage_returns_is_data() -> None:
    parsed = er7.parse(message("NTE|1||Befund:\nunauffällig\n\nPID|1", "PV1|1"))
    assert [segment.name for segment in parsed.segments] == ["MSH", "NTE", "PV1"]
    assert parsed.text("NTE-3") == "Befund:\nunauffällig\n\nPID"


def test_the_last_line_needs_no_end() -> None:
    assert er7.parse(b"MSH|^~\\&|KIS").segments[0].end == ""
    assert er7.parse(message("PID|1||4711")[:-1]).text("PID-3") == "4711"


# ---- character sets

UMLAUTS = "Jürgen Groß aus Köln"


@pytest.mark.parametrize(
    ("charset", "bytes_in", "codec", "is_odd"),
    [
        ("8859/1", "latin-1", "iso8859-1", False),
        ("ISO 8859-1", "latin-1", "iso8859-1", False),
        ("ISO8859/1", "latin-1", "iso8859-1", False),
        ("iso-8859-1", "latin-1", "iso8859-1", False),
        ("8859/15", "iso8859-15", "iso8859-15", False),
        ("8859-15", "iso8859-15", "iso8859-15", False),
        ("8859/2", "iso8859-2", "iso8859-2", False),
        ("UNICODE UTF-8", "utf-8", "utf-8", False),
        ("UTF-8", "utf-8", "utf-8", False),
        ("utf8", "utf-8", "utf-8", False),
        ("UNICODE", "utf-8", "utf-8", False),
        ("WINDOWS-1252", "cp1252", "cp1252", False),
        ("8859/1~UNICODE UTF-8", "latin-1", "iso8859-1", False),
        ("ASCII~8859/15", "iso8859-15", "iso8859-15", False),
        ("~8859/15", "iso8859-15", "iso8859-15", False),
        ("8859/1^x&y", "latin-1", "iso8859-1", False),
        ("", "latin-1", "iso8859-1", True),
        ("", "utf-8", "utf-8", True),
        ("ASCII", "latin-1", "iso8859-1", True),
        ("ASCII", "utf-8", "utf-8", True),
        ("UNICODE UTF-16", "utf-8", "utf-8", True),
        ("KLINGON", "latin-1", "iso8859-1", True),
        ("KLINGON~8859/15", "iso8859-15", "iso8859-15", True),
        ("8859/1", "utf-8", "utf-8", True),
        ("8859/15", "utf-8", "utf-8", True),
    ],
)
def test_character_sets(charset: str, bytes_in: str, codec: str, is_odd: bool) -> None:
    data = message(charset=charset) + f"PID|||4711||{UMLAUTS}\r".encode(bytes_in)
    parsed = er7.parse(data)
    assert parsed.text("PID-5") == UMLAUTS
    assert parsed.codec == codec
    assert parsed.is_decoded
    assert bool(parsed.notes) == is_odd, parsed.notes
    assert parsed.encode() == data


@pytest.mark.parametrize(
    ("charset", "default", "codec"),
    [
        ("", None, "ascii"), ("ASCII", None, "ascii"), ("8859/1", None, "iso8859-1"), ("UNICODE UTF-8", None, "utf-8"),
        ("", "8859/15", "iso8859-15"), ("", "UNICODE UTF-16", "ascii"), ("", "KLINGON", "ascii"),
        ("~8859/15", None, "iso8859-15"), ("UNICODE UTF-16", None, "ascii"),
    ],
)  # fmt: skip
def test_a_message_of_ascii_alone_keeps_its_character_set(charset: str, default: str | None, codec: str) -> None:
    parsed = er7.parse(message(charset=charset), default)
    assert (parsed.codec, parsed.notes) == (codec, ())


def test_euro_sign_and_quotation_marks() -> None:
    text = "Zuzahlung 10 €"
    assert er7.parse(message(charset="8859/15") + f"NTE|1||{text}\r".encode("iso8859-15")).text("NTE-3") == text
    text = "„Herz-Echo“ – 10 €…"
    for charset in ("8859/1", ""):
        data = message(charset=charset) + f"NTE|1||{text}\r".encode("cp1252")
        parsed = er7.parse(data)
        assert (parsed.codec, parsed.text("NTE-3")) == ("cp1252", text)
        assert any("cp1252" in note for note in parsed.notes)
        assert parsed.encode() == data


def test_a_sender_that_names_none_has_a_default() -> None:
    data = message() + "PID|||||Groß €\r".encode("iso8859-15")
    assert er7.parse(data, "8859/15").text("PID-5") == "Groß €"
    assert er7.parse(data, "8859/15").notes == ()
    assert (
        er7.parse(message(charset="8859/1") + "PID|||||Groß\r".encode("latin-1"), "UNICODE UTF-8").codec == "iso8859-1"
    )


def test_bytes_that_are_no_characters_are_kept_and_said() -> None:
    data = message(charset="UNICODE UTF-8") + "PID|||||Müller|||\r".encode("latin-1")
    parsed = er7.parse(data)
    assert not parsed.is_decoded
    assert parsed.notes == ("There are bytes that are no utf-8.",)
    assert parsed.encode() == data


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("charset", ["", "8859/1", "UNICODE UTF-8"])
def test_a_byte_order_mark_decides(codec: str, charset: str) -> None:
    text = f"{HEAD}{charset}\rPID|||||{UMLAUTS} 😷\r"
    data = ("\ufeff" + text).encode(codec)
    parsed = er7.parse(data)
    assert (parsed.codec, parsed.text("PID-5"), parsed.notes) == (codec, f"{UMLAUTS} 😷", ())
    assert parsed.encode() == data


def test_a_note_holds_no_more_of_a_name_than_a_name() -> None:
    data = message(charset="Müller, geboren 1950") + b"PID|||||\xfc\r"
    assert er7.parse(data).notes[0] == "MSH-18 names a character set that is not known."
    assert er7.parse(message(charset="CP850")).notes == ("MSH-18 names a character set that is not known: CP850.",)


def test_a_text_that_the_character_set_lacks_cannot_be_sent() -> None:
    parsed = er7.parse(message(charset="8859/1"))
    parsed.segments.append(er7.segment("NTE", {3: "10 €"}, parsed.context))
    with pytest.raises(er7.Unencodable, match=r"U\+20AC") as caught:
        parsed.encode()
    assert caught.value.__cause__ is None
    mark = er7.parse(("\ufeff" + HEAD).encode("utf-16-le"))
    mark.segments.append(er7.segment("NTE", {3: er7.Raw("\udcfc")}, mark.context))
    with pytest.raises(er7.Unencodable, match=r"U\+DCFC"):
        mark.encode()


# ---- batches


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8, b"\r\n", codecs.BOM_UTF8 + b"\n "])
def test_batches(end: str, mark: bytes) -> None:
    def of(*lines: str) -> bytes:
        return "".join(f"{line}{end}" for line in lines).encode()

    one, two, three = of(HEAD, "PID|1||4711", "BTX|1"), of(HEAD, "NTE|1||äöü"), of(HEAD, "PID|1||4713")
    assert er7.messages(mark + of("BHS|^~\\&|KIS") + one + of("BTS|1")) == [one]
    inner = of("BHS|^~\\&|KIS") + one + two + of("BTS|2") + of("BHS|^~\\&|KIS") + three + of("BTS|1", "NTE|1||nach")
    assert er7.messages(mark + of("FHS|^~\\&|KIS") + inner + of("FTS|2")) == [one, two, three]
    assert er7.messages(mark + of("FHS|^~\\&|KIS", "BHS|^~\\&|KIS", "NTE|1")) == []
    assert er7.messages(mark + one) == [mark + one]
    assert er7.messages(b"") == [b""]


def test_a_text_does_not_begin_or_end_a_message_of_a_batch() -> None:
    text = "NTE|1||Zeile\nMSH|^~\\&|BOESE\nBTS|1\nBHS|\nFHS|"
    parts = er7.messages(b"BHS|^~\\&|KIS\r" + message(text, "BTSX|1", "MSHA|1") + message("PID|1") + b"BTS\r")
    assert parts == [message(text, "BTSX|1", "MSHA|1"), message("PID|1")]


# ---- escapes


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (r"A\F\B\S\C\T\D\R\E\E\F", r"A|B^C&D~E\F"),
        (r"\E\F\E\ ", "\\F\\ "),
        (r"Zeile 1\.br\Zeile 2\.BR\3", "Zeile 1\nZeile 2\n3"),
        (r"a\.sp\b\.sp3\c\.sp+2\d", "a\nb\n\n\nc\nd"),
        (r"a\.sk3\b\.sk\c", "a   b c"),
        (r"a\.ce\Titel\.fi\\.nf\\.in+4\\.ti-2\b", "a\nTitelb"),
        (r"\.sp9999\ ", "\n" * 100 + " "),
        (r"\H\wichtig\N\ ", "wichtig "),
        (r"\X41420D\c", "AB\rc"),
        (r"M\XFC\ller \XE4c\ ", "Müller \u00e4c".replace("\u00e4c", r"\XE4c\ ".strip()) + " "),
        (r"\X41\\X42\ \X\ \X4\ \XGG\ ", r"AB \X\ \X4\ \XGG\ "),
        (r"\Zx\ \C2842\ \M264E2B\ \.xx1\ \.br", r"\Zx\ \C2842\ \M264E2B\ \.xx1\ \.br"),
        (r"C:\Temp\T\F.txt \\ \ ", r"C:\Temp&F.txt \\ \ "),
        (r"5\6 mg\F\ml", r"5\6 mg|ml"),
        (r"\f\ \P\ ", r"\f\ \P\ "),
        ("\\.sp\u00b2\\ \\.sp\u0663\\", "\\.sp\u00b2\\ \\.sp\u0663\\"),
    ],
)
def test_escapes(raw: str, text: str) -> None:
    assert er7.unescape(raw, STANDARD) == text


@pytest.mark.parametrize(
    ("codec", "raw", "text"),
    [
        ("ascii", r"\XFC\ ", "ü "), ("iso8859-1", r"\XFC\ ", "ü "), ("iso8859-15", r"\XA4\ ", "€ "),
        ("utf-8", r"\XC3BC\ ", "ü "), ("utf-8", r"\XC3\\XBC\ ", "ü "), ("utf-8", r"\XFC\ ", r"\XFC\ "),
        ("utf-8", r"\XEDA080\ ", r"\XEDA080\ "), ("utf-16-be", r"\X00FC\ ", "ü "), ("utf-16-le", r"\X22\ ", '" '),
        ("cp1252", r"\X80\\X81\ ", r"\X80\\X81\ "),
    ],
)  # fmt: skip
def test_hexadecimal_escapes_are_bytes_of_the_character_set(codec: str, raw: str, text: str) -> None:
    assert er7.unescape(raw, er7.Context(er7.STANDARD, codec)) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        (r"A|B^C&D~E\F", r"A\F\B\S\C\T\D\R\E\E\F"),
        ("a\r\nb\nc\rd\u2028e\u0085f\x0bg\x1ch", r"a\.br\b\.br\c\.br\d\.br\e\.br\f\.br\g\.br\h"),
        ("\x00a\tb\x07\x7f\x9f\ud83d", "a\tb"),
        ('""', '"\\X22\\'), ('"\x00"', '"\\X22\\'), ('"""', '"""'), ("", ""), ("#", "#"),
        ("Käse 😷", "Käse 😷"),
    ],
)  # fmt: skip
def test_escaping(text: str, escaped: str) -> None:
    assert er7.escape(text) == escaped


NASTY = st.one_of(
    st.text(),
    st.text('|^~\\&"\r\n\x0b\x1cFSTREXHN.br0A#\u2028\u2029\x85\x00\ud800é'),
    st.sampled_from(['""', "\\", "\\\\", '"', "\\F\\", "\\.br", "\rMSH|^~\\&", "\x1c\r\x0bMSH|", "\n\nPID|"]),
)  # fmt: skip
ENCODINGS = st.lists(PUNCTUATION, unique=True, min_size=2, max_size=6)


@given(NASTY, ENCODINGS)
@example('""', ['"', "^", "~", "\\", "&"])
@example("a\nb", ["|", ".", "~", "\\", "&"])
@example("a\nb", ["|", "^", "~", ".", "&"])
def test_a_text_comes_back_and_holds_nothing_that_divides(text: str, encoding: list[str]) -> None:
    field, *parts = encoding
    delimiters = er7.Delimiters(field, *parts, *[""] * (5 - len(parts)))
    escaped = er7.escape(text, delimiters)
    dividing = {*encoding} - {delimiters.escape} | {*"\r\n\x0b\x1c"}
    assert not dividing & {*escaped}
    assert escaped != er7.NULL
    if delimiters.escape:
        for codec in ("ascii", "utf-8", "iso8859-1"):
            assert er7.unescape(escaped, er7.Context(delimiters, codec)) == as_read(text)


SUBCOMPONENTS = st.one_of(st.none(), NASTY, st.lists(NASTY, max_size=3).map(tuple))
COMPONENTS = st.one_of(st.none(), NASTY, st.lists(SUBCOMPONENTS, max_size=3).map(tuple))
FIELDS = st.one_of(COMPONENTS, st.lists(COMPONENTS, max_size=3))


def expected(value: er7.FieldValue) -> list[list[list[str]]]:
    """The texts of a field by repetition, component and subcomponent."""
    repetitions = value if isinstance(value, list) else [value]
    components = [part if isinstance(part, tuple) else (part,) for part in repetitions]
    return trimmed([
        trimmed([trimmed([as_read(text or "") for text in (c if isinstance(c, tuple) else (c,))]) for c in part])
        for part in components
    ])  # fmt: skip


def trimmed(parts: list) -> list:  # type: ignore[type-arg]  # lists of lists of any depth
    """Without what is empty at the end."""
    while parts and not parts[-1]:
        parts = parts[:-1]
    return parts


def read(field: er7.Field) -> list[list[list[str]]]:
    """The texts of a field by repetition, component and subcomponent."""
    return trimmed([
        trimmed([trimmed([sub.text for sub in component.subcomponents]) for component in repetition.components])
        for repetition in field.repetitions
    ])  # fmt: skip


@given(
    st.lists(st.dictionaries(st.integers(1, 6), FIELDS, max_size=4), max_size=4),
    st.lists(PUNCTUATION, unique=True, min_size=5, max_size=6),
    st.sampled_from(["\r", "\n", "\r\n"]),
)
def test_no_text_becomes_a_segment_a_field_or_a_component(
    segments: list[dict[int, er7.FieldValue]], encoding: list[str], end: str
) -> None:
    field, *parts = encoding
    context = er7.Context(er7.Delimiters(field, *parts, *[""] * (5 - len(parts))), "utf-8")
    header = er7.segment("MSH", {1: "x", 2: "y", 3: "KIS", 18: "UNICODE"}, context, end=end)
    built = er7.Message([header, *(er7.segment("ZXX", values, context, end=end) for values in segments)], context)
    parsed = er7.parse(built.encode())
    assert parsed.context == context
    assert [segment.name for segment in parsed.segments] == ["MSH", *("ZXX" for _ in segments)]
    for values, segment in zip(segments, parsed.segments[1:], strict=True):
        assert len(segment) == max((number for number, value in values.items() if value), default=0)
        for number, value in values.items():
            assert read(segment.field(number)) == expected(value)


# ---- segments that are built


def test_a_segment() -> None:
    built = er7.segment(
        "PID",
        {
            3: [("4711", None, None, ("KIS", "1.2.3", "ISO"), "PI"), "4712"],
            5: (("Groß", "von"), "Änne"),
            8: None,
            9: "",
        },
    )
    assert built.raw == "PID|||4711^^^KIS&1.2.3&ISO^PI~4712||Groß&von^Änne"
    assert built.end == "\r"
    assert er7.segment("MSA", {}).raw == "MSA"
    assert er7.segment("MSH", {1: "x", 2: "y", 3: "A|B"}).raw == "MSH|^~\\&|A\\F\\B"
    assert er7.segment("PV1", {2: er7.Raw('""'), 3: '""'}).raw == 'PV1||""|"\\X22\\'


@pytest.mark.parametrize("name", ["", "PI", "PIDX", "pid", "PI|", "P\rX", "ÄÖÜ", "1PI"])
def test_a_segment_has_a_name(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        er7.segment(name, {1: "1"})


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (er7.Raw("4711^^^KIS~4712&x\\F\\"), "4711^^^KIS~4712&x\\F\\"),
        ([er7.Raw("4711^^^KIS&x"), er7.Raw("4712")], "4711^^^KIS&x~4712"),
        ((er7.Raw("A&B"), er7.Raw("C")), "A&B^C"),
        (((er7.Raw("A"), er7.Raw("B")),), "A&B"),
        (er7.Raw("Befund:\n\nPID\r\nMSH\x0b\x1c\x00\u2028"), "Befund:\\.br\\\\.br\\PID\\.br\\MSH\\.br\\\\.br\\\\.br\\"),
        (er7.Raw("M\udcfcller"), "M\udcfcller"),
    ],
)
def test_a_raw_piece_stays_in_its_place(value: er7.FieldValue, raw: str) -> None:
    assert er7.segment("NTE", {1: value}).raw == f"NTE|{raw}"


@pytest.mark.parametrize(
    "value",
    [
        er7.Raw("a|b"), er7.Raw("a\rPID|1"), [er7.Raw("a~b")], (er7.Raw("a^b"),), (er7.Raw("a~b"), "c"),
        [(er7.Raw("a^b"),)], ((er7.Raw("a&b"),),), ((er7.Raw("a^b"), "c"),),
    ],
)  # fmt: skip
def test_a_raw_piece_that_would_end_what_it_is_put_in_is_refused(value: er7.FieldValue) -> None:
    with pytest.raises(ValueError, match="raw piece"):
        er7.segment("NTE", {1: value})


@pytest.mark.parametrize("value", [["a", "b"], (("a", "b"),), [None, "b"]])
def test_what_the_delimiters_cannot_divide_is_refused(value: er7.FieldValue) -> None:
    bare = er7.parse(b"MSH|^|KIS").context
    with pytest.raises(ValueError, match="no delimiter"):
        er7.segment("NTE", {1: value}, bare)
    assert er7.segment("NTE", {1: ("a|b\n^", "~\\&"), 2: '""'}, bare).raw == 'NTE|a b  ^~\\&|"'


def test_a_message_that_is_built() -> None:
    context = er7.Context(er7.STANDARD, "iso8859-1")
    built = er7.Message([er7.segment("MSH", {9: ("ACK",), 18: "8859/1"}, context)], context)
    built.segments.append(er7.segment("MSA", {1: "AE", 2: "7", 3: "Größe\rMSH|^~\\&|BOESE"}, context))
    assert (
        built.encode()
        == b"MSH|^~\\&|||||||ACK|||||||||8859/1\rMSA|AE|7|Gr\xf6\xdfe\\.br\\MSH\\F\\\\S\\\\R\\\\E\\\\T\\\\F\\BOESE\r"
    )
    assert er7.parse(built.encode()).text("MSA-3") == "Größe\nMSH|^~\\&|BOESE"
