"""Messages come out of any stream of bytes, cut into packets at any place, and nothing else does."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_gateway.mllp import framing

VT, FS, CR = framing.VT, framing.FS, framing.CR
LIMIT = 1_000

contents = st.binary(max_size=60).map(lambda data: data.replace(VT, b"").replace(FS, b""))
#: Streams in which the bytes that mean something are frequent.
streams = st.lists(st.sampled_from([VT, FS, CR, b"\n", b"M", b"SH|"]), max_size=60).map(b"".join)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """The stream in packets that end at these places."""
    ends = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(ends)]


def messages(packets: list[bytes], limit: int = LIMIT) -> tuple[list[bytes], framing.Framer]:
    framer = framing.Framer(limit)
    return [message for packet in packets for message in framer.feed(packet)], framer


@given(st.lists(contents, max_size=12), st.lists(st.integers(0, 10_000), max_size=30))
def test_messages_come_out_as_they_went_in(sent: list[bytes], places: list[int]) -> None:
    found, framer = messages(cut(b"".join(map(framing.frame, sent)), places))
    assert found == sent
    assert framer.dropped == 0
    assert not framer.is_inside


@given(streams, st.lists(st.integers(0, 1_000), max_size=40))
def test_packets_do_not_matter_and_each_byte_is_accounted_for(stream: bytes, places: list[int]) -> None:
    whole, framer = messages([stream])
    pieces, other = messages(cut(stream, places))
    assert pieces == whole
    assert other.dropped == framer.dropped
    assert other.is_inside == framer.is_inside
    kept = sum(map(len, whole))
    assert kept + 2 * len(whole) <= len(stream) - framer.dropped  # VT and FS at least; CR is missing before a VT
    if not framer.is_inside:
        assert len(stream) - framer.dropped <= kept + 3 * len(whole)
    assert not any(VT in message or FS + CR in message for message in whole)


@pytest.mark.parametrize("place", range(1, 12))
def test_a_frame_may_be_cut_at_any_place(place: int) -> None:
    stream = framing.frame(b"MSH|1") + framing.frame(b"2")
    found, _framer = messages([stream[:place], stream[place:]])
    assert found == [b"MSH|1", b"2"]


@pytest.mark.parametrize(
    ("stream", "found", "dropped"),
    [
        (b"GET / HTTP/1.1\r\n" + VT + b"a" + FS + CR, [b"a"], 16),
        (VT + b"a" + FS + CR + b"\r\n" + VT + b"b" + FS + CR, [b"a", b"b"], 2),
        (VT + b"lost" + VT + b"a" + FS + CR, [b"a"], 5),
        (VT + VT + b"a" + FS + CR, [b"a"], 1),
        (VT + b"a" + FS + VT + b"b" + FS + CR, [b"a", b"b"], 0),
        (VT + b"a" + FS + b"b" + FS + FS + CR, [b"a" + FS + b"b" + FS], 0),
        (VT + FS + CR, [b""], 0),
        (b"a" + FS + CR, [], 3),
        (VT + b"a\rb" + FS, [], 0),
        (b"", [], 0),
    ],
    ids=["garbage before", "line end between", "begun anew", "two VT", "no CR before the next", "FS within",
         "empty", "no VT", "no end", "nothing"],
)  # fmt: skip
def test_what_is_not_quite_a_frame(stream: bytes, found: list[bytes], dropped: int) -> None:
    for packets in ([stream], [stream[at : at + 1] for at in range(len(stream))]):
        got, framer = messages(packets)
        assert (got, framer.dropped) == (found, dropped)


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_a_message_may_be_as_long_as_the_limit_and_no_longer(size: int) -> None:
    def packets(length: int) -> list[bytes]:
        stream = framing.frame(b"x" * length)
        return [stream[at : at + size] for at in range(0, len(stream), size)]

    assert messages(packets(LIMIT))[0] == [b"x" * LIMIT]
    with pytest.raises(framing.FrameTooLarge, match="longer than the limit"):
        messages(packets(LIMIT + 1))


def test_a_message_too_long_does_not_take_those_before_it_along() -> None:
    stream = framing.frame(b"1") + framing.frame(b"2") + VT + b"x" * 2_000
    with pytest.raises(framing.FrameTooLarge) as raised:
        framing.Framer(LIMIT).feed(stream)
    assert raised.value.complete == [b"1", b"2"]


def test_a_message_too_long_is_refused_before_its_end() -> None:
    framer = framing.Framer(LIMIT)
    framer.feed(VT)
    for _ in range(LIMIT):
        framer.feed(b"x")
    with pytest.raises(framing.FrameTooLarge):
        framer.feed(b"x")


@pytest.mark.parametrize("filling", [b"x", FS, VT, b"\x1c\x0b"], ids=["text", "FS", "VT", "FS VT"])
def test_the_time_is_linear(filling: bytes) -> None:
    """Far from a measurement: what is quadratic takes minutes here."""
    size = 1_048_576
    content = filling * (size // len(filling))
    framer = framing.Framer(2 * size)
    begun = time.process_time()
    framer.feed(VT)
    for at in range(0, size, 65_536):
        framer.feed(content[at : at + 65_536])
    for at in range(100_000):
        framer.feed(content[at : at + 1])
    framer.feed(FS + CR)
    assert time.process_time() - begun < 20
    assert not framer.is_inside
