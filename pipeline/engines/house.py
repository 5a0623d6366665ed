"""Whether a model server stands in the building: patient data goes to private networks, and to those that are named."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

#: Carrier-grade NAT (RFC 6598): not global, and used inside by overlay networks.
_SHARED = ipaddress.ip_network("100.64.0.0/10")


async def stranger(host: str, port: int, networks: Sequence[str]) -> str | None:
    """The first address of a host that is neither private nor in one of `networks`; None when all of them are.

    Raises OSError when the name has no address. `networks` are in CIDR notation, e.g. 192.0.2.0/24.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    allowed = [ipaddress.ip_network(network) for network in networks]
    for *_rest, address in found:
        if not _is_inside(str(address[0]), allowed):
            return str(address[0])
    return None


def _is_inside(address: str, allowed: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    known = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(known, ipaddress.IPv6Address) and known.ipv4_mapped is not None:
        known = known.ipv4_mapped
    if any(known.version == network.version and known in network for network in (*allowed, _SHARED)):
        return True
    return not known.is_global and not known.is_multicast and not known.is_unspecified
