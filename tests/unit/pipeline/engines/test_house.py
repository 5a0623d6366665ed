"""`pipeline.engines.house`: patient data stays in the building."""

from __future__ import annotations

import asyncio
import socket

import pydantic
import pytest

from pipeline.engines import house, options


@pytest.mark.parametrize(
    ("address", "networks", "is_inside"),
    [
        ("127.0.0.1", [], True), ("::1", [], True), ("10.1.2.3", [], True), ("172.31.0.1", [], True),
        ("192.168.7.7", [], True), ("100.64.0.9", [], True), ("fd00::1", [], True), ("169.254.1.1", [], True),
        ("::ffff:10.0.0.1", [], True), ("::ffff:8.8.8.8", [], False), ("8.8.8.8", [], False),
        ("141.2.3.4", ["141.2.0.0/16"], True), ("141.3.3.4", ["141.2.0.0/16"], False),
        ("2a00:1450::1", [], False), ("2a00:1450::1", ["2a00:1450::/32"], True), ("224.0.0.1", [], False),
        ("0.0.0.0", [], False), ("172.32.0.1", [], False), ("172.15.255.255", [], False), ("0.0.0.1", [], False),
        ("240.0.0.1", [], False), ("255.255.255.255", [], False), ("198.18.0.1", [], False), ("192.88.99.1", [], False),
        ("2001:0:808:808::1", [], False), ("2002:808:808::1", [], False), ("64:ff9b::808:808", [], False),
        ("64:ff9b:1::808:808", [], False), ("::8.8.8.8", [], False), ("::", [], False), ("fec0::1", [], False),
        ("100::1", [], False), ("3fff::1", [], False), ("ff02::1", [], False), ("fe80::1", [], True),
        ("240.0.0.1", ["240.0.0.0/4"], True), ("::ffff:192.168.0.1", [], True), ("::ffff:0.0.0.1", [], False),
    ],
)  # fmt: skip
def test_which_addresses_are_in_the_house(address: str, networks: list[str], is_inside: bool) -> None:
    assert asyncio.run(house.stranger(address, 443, networks)) == (None if is_inside else address)


def test_a_name_is_judged_by_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def two(_loop: object, host: str, port: int, **_more: object) -> list[object]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, ("10.0.0.1", port)), (*kind, ("93.184.216.34", port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", two)
    assert asyncio.run(house.stranger("modelle.klinik.example", 443, [])) == "93.184.216.34"
    assert asyncio.run(house.stranger("modelle.klinik.example", 443, ["93.184.216.0/24"])) is None


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="network"):
        options.OpenAI(engine="openai", url="http://127.0.0.1:1", networks=("the ward",))
