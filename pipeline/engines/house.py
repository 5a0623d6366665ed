"""Whether a model server stands in the building: patient data goes to private networks, and to those that are named.

Which networks are private stands here as a table. `ipaddress.is_global` is another thing: it differs by the version of
Python, and what is not global can still lead outside (Teredo, 6to4 and NAT64 hold an IPv4 address of the Internet).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Private (RFC 1918, RFC 4193), loopback and link-local networks, and carrier-grade NAT (RFC 6598), which overlay
#: networks use inside. An IPv4 address that is written as IPv6 (::ffff:0:0/96) counts as what it is.
_PRIVATE: tuple[_Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10",
        "::1/128", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip


async def stranger(host: str, port: int, networks: Sequence[str]) -> str | None:
    """The first address of a host that is neither private nor in one of `networks`; None when all of them are.

    Raises OSError when the name has no address. `networks` are in CIDR notation, e.g. 192.0.2.0/24.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return next((str(address[0]) for *_rest, address in found if not is_inside(str(address[0]), networks)), None)


def is_inside(address: str, networks: Sequence[str]) -> bool:
    """Whether an address is private or in one of `networks`."""
    known = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(known, ipaddress.IPv6Address) and known.ipv4_mapped is not None:
        known = known.ipv4_mapped
    allowed = (*_PRIVATE, *map(ipaddress.ip_network, networks))
    return any(known.version == network.version and known in network for network in allowed)
